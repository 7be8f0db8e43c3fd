"""The journal of one run: what was meant, and how far it came.

JSON lines, appended and synced. What really happened is always told by the
disk itself (an entry lies in ``entries/`` or at its origin), so the journal
needs no line for each move: it holds the list before the first move, and the
state that was reached. A torn last line is a line that was not written.

States: ``planned -> moving -> moved -> committed``, or ``rolled_back``; later
``restored`` or ``purged``. Anything before ``committed`` is undone by the next
run (``recovery``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cacheadmin.fs.reading import ReadFailure, read_file

_NAME = "journal.jsonl"
_MAX_BYTES = 1024 * 1024 * 1024


class RunState(StrEnum):
    """How far a run came (public, in JSON)."""

    PLANNED = "planned"
    MOVING = "moving"
    MOVED = "moved"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    RESTORED = "restored"
    PURGED = "purged"


# States that need nothing more: the run's entries are where they should be.
SETTLED = frozenset({RunState.COMMITTED, RunState.ROLLED_BACK, RunState.RESTORED, RunState.PURGED})


@dataclass(slots=True)
class Journal:
    """A journal that was read. ``entries`` are the rows of the plan's removals.

    ``before`` and ``after`` map parent folders to their modification times
    (ns) before the first and after the last move.
    """

    run: dict[str, Any] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    state: RunState = RunState.PLANNED
    state_at: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)


class JournalWriter:
    """Appends to a run's journal; every record is on the disk when a call returns."""

    def __init__(self, run_fd: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._run_fd = run_fd
        self._fd = os.open(_NAME, flags, 0o600, dir_fd=run_fd)

    def close(self) -> None:
        """Close the file; records stay."""
        os.close(self._fd)

    def begin(self, run: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> None:
        """Record what is meant, before anything is touched."""
        rows = [{"record": "entry", **entry} for entry in entries]
        self._append({"record": "run", **run}, *rows)
        os.fsync(self._run_fd)

    def times(self, *, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Record the parent folders' modification times before and after the moves."""
        self._append({"record": "times", "before": dict(before), "after": dict(after)})

    def state(self, state: RunState, at: str, **details: Any) -> None:
        """Record that a state is reached."""
        self._append({"record": "state", "state": state.value, "at": at, **details})

    def _append(self, *records: Mapping[str, Any]) -> None:
        lines = "".join(json.dumps(record, ensure_ascii=True) + "\n" for record in records)
        data = lines.encode("ascii")
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)


def read_journal(run_fd: int) -> Journal | None:
    """Return a run's journal; None when there is none that can be read."""
    content = read_file(_NAME, _MAX_BYTES, run_fd)
    if isinstance(content, ReadFailure):
        return None
    journal = Journal()
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            # Empty, or torn by a crash while it was written.
            continue
        if isinstance(record, dict):
            _take(journal, record)
    return journal if journal.run else None


def _take(journal: Journal, record: dict[str, Any]) -> None:
    kind = record.pop("record", None)
    if kind == "run":
        journal.run = record
    elif kind == "entry":
        journal.entries.append(record)
    elif kind == "times":
        # Kept in order: a second record refines the first.
        journal.before.update(record["before"])
        journal.after.update(record["after"])
    elif kind == "state":
        journal.state = RunState(record["state"])
        journal.state_at = record["at"]
        journal.notes.append(record)
