"""The journal of one run: what was meant, and how far it came.

JSON lines, appended and synced. What really happened is always told by the
disk itself (an entry lies in ``entries/`` or at its origin), so the journal
needs no line for each move: it holds the list before the first move, and the
state that was reached. A torn last line is a line that was not written; what
is appended later begins a line of its own.

The first line has the ``format``; 0.1 wrote none, which is 1. A release reads every
format up to its own, and refuses newer ones, of which it would lose something. Records
that it does not know, of its own format, it leaves alone.

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
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import Refused
from cacheadmin.fs.rights import Rights
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.text.damage import DAMAGE

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity

# Raise it only for what older releases must not act on.
FORMAT = 1

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
    PURGING = "purging"
    """Purged, but for what is open on NFS, or a killed purge left; never in a journal."""


# States that need nothing more: the run's entries are where they should be.
SETTLED = frozenset(
    {
        RunState.COMMITTED,
        RunState.ROLLED_BACK,
        RunState.RESTORED,
        RunState.PURGED,
        RunState.PURGING,
    }
)


@dataclass(slots=True)
class Journal:
    """A journal that was read."""

    run: dict[str, Any] = field(default_factory=dict)
    """The header: ``run_id``, ``version``, ``host``, ``policy``, ``begun_at`` and ``cache``."""
    entries: list[dict[str, Any]] = field(default_factory=list)
    """The rows of the plan's removals, written before the first move; each has a ``path``."""
    before: dict[str, int] = field(default_factory=dict)
    """Modification times (ns) of the parent folders before the first move, by folder."""
    after: dict[str, int] = field(default_factory=dict)
    """Modification times (ns) of the parent folders after the last move, by folder."""
    state: RunState = RunState.PLANNED
    """The last state that the run reached."""
    not_moved: set[str] = field(default_factory=set)
    """Paths of entries that stayed where they were."""
    rights: dict[str, Rights] = field(default_factory=dict)
    """Rights of the folders above the entries before the first move, by folder."""

    @property
    def moved_entries(self) -> list[dict[str, Any]]:
        """The rows of what was moved: what came alive or could not be moved is left out.

        Of a run that was killed before it could tell, all that it meant to move.
        """
        return [entry for entry in self.entries if entry["path"] not in self.not_moved]

    def is_of(self, cache: CacheIdentity) -> bool:
        """Whether the run was made on this cache.

        A run lies on the filesystem of its cache, so the inode tells. Device numbers change
        with each mount (network filesystems, btrfs, loop mounts), paths from host to host.
        """
        return bool(self.run.get("cache", {}).get("inode") == cache.inode)

    def concerns(self, cache: CacheIdentity) -> bool:
        """Whether the run was made on this cache, or on one that was at its path before."""
        return self.is_of(cache) or self.run.get("cache", {}).get("path") == cache.path


class JournalWriter:
    """Appends to a run's journal; every record is on the disk when a call returns."""

    def __init__(self, run_fd: int) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._run_fd = run_fd
        self._fd = os.open(_NAME, flags, 0o600, dir_fd=run_fd)
        size = os.fstat(self._fd).st_size
        # After a torn line, what follows must not become part of it.
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def close(self) -> None:
        """Close the file; records stay."""
        os.close(self._fd)

    def begin(self, run: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> None:
        """Record what is meant, before anything is touched."""
        rows = [{"record": "entry", **entry} for entry in entries]
        self._append({"record": "run", "format": FORMAT, **run}, *rows)
        os.fsync(self._run_fd)

    def times(self, *, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Record the parent folders' modification times before and after the moves."""
        self._append({"record": "times", "before": dict(before), "after": dict(after)})

    def rights(self, folders: Mapping[str, Rights]) -> None:
        """Record what rights the folders above the entries have: they may have to be made again."""
        rows = {folder: rights.to_json() for folder, rights in folders.items()}
        self._append({"record": "rights", "folders": rows})

    def state(self, state: RunState, at: str, **details: Any) -> None:
        """Record that a state is reached."""
        self._append({"record": "state", "state": state.value, "at": at, **details})

    def _append(self, *records: Mapping[str, Any]) -> None:
        lines = "".join(json.dumps(record, ensure_ascii=True) + "\n" for record in records)
        data = (b"\n" if self._torn else b"") + lines.encode("ascii")
        self._torn = False
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)


def read_journal(run_fd: int) -> Journal | None:
    """Return a run's journal; None when there is none that can be read.

    Raises Refused for one of a newer release.
    """
    content = read_file(_NAME, _MAX_BYTES, run_fd)
    if isinstance(content, ReadFailure):
        return None
    journal = Journal()
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            # Empty, or torn by a crash while it was written.
            continue
        try:
            _take(journal, record)
        except DAMAGE:
            # No record of ours, or of a newer release: better to touch nothing.
            return None
    return journal if journal.run else None


def was_begun(run_fd: int) -> bool:
    """Whether a run has a journal that was begun, whether it can be read now or not.

    Without one the run was killed before it moved anything.
    """
    content = read_file(_NAME, _MAX_BYTES, run_fd)
    if isinstance(content, ReadFailure):
        return not content.missing
    return b"\n" in content


def _require_known(run: Mapping[str, Any]) -> None:
    number = run.get("format", 1)
    if not isinstance(number, int) or number > FORMAT:
        raise Refused(
            f"a run in quarantine was made by a newer cacheadmin (on {run.get('host', 'a host')}): "
            f"its journal is of format {number}, this release knows up to {FORMAT}",
            hint="upgrade cacheadmin on this host; nothing was changed",
        )


def _take(journal: Journal, record: dict[str, Any]) -> None:
    kind = record.pop("record", None)
    if kind == "run":
        _require_known(record)
        if not isinstance(record.get("cache", {}), dict):
            raise ValueError("the cache of a run is no mapping")
        journal.run = record
    elif kind == "entry":
        journal.entries.append({**record, "path": str(record["path"])})
    elif kind == "times":
        # Kept in order: a second record refines the first.
        journal.before.update(record["before"])
        journal.after.update(record["after"])
    elif kind == "rights":
        for folder, row in record["folders"].items():
            journal.rights[folder] = Rights.from_json(row)
    elif kind == "state":
        state = RunState(record["state"])
        if journal.state is RunState.ROLLED_BACK and state not in SETTLED - {RunState.COMMITTED}:
            # Its host had stood still, and did not know yet that another one ended the run.
            return
        journal.state = state
        journal.not_moved.update(record.get("not_moved", ()))
