"""End what a killed run began: put back whatever was not committed.

Safe at any time and killable at any instant: each step is one rename, and
what is already back is not found in quarantine the next time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.fs.reading import open_directory
from cacheadmin.fs.removal import remove_tree
from cacheadmin.prune.journal import SETTLED, JournalWriter, RunState, read_journal
from cacheadmin.prune.moving import ENTRIES, put_back
from cacheadmin.timestamps import now_ns, rfc3339

if TYPE_CHECKING:
    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.prune.quarantine import Quarantine


@dataclass(frozen=True, slots=True)
class Recovered:
    """One run that was ended; ``problem`` says what could not be put back."""

    run_id: str
    put_back: int
    problem: str = ""


def recover(cache: OpenCache, quarantine: Quarantine) -> tuple[Recovered, ...]:
    """Undo every run that did not come to its end. Call it under the run lock."""
    ended = (_recover_run(run_id, cache, quarantine) for run_id in quarantine.run_ids())
    return tuple(one for one in ended if one is not None)


def _recover_run(run_id: str, cache: OpenCache, quarantine: Quarantine) -> Recovered | None:
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None:
            return _without_journal(run_id, run_fd, quarantine)
        if journal.state in SETTLED:
            return None
        entries_fd = _entries(run_fd)
        if entries_fd is None:
            moved, problem = 0, ""
        else:
            try:
                paths = [str(entry["path"]) for entry in journal.entries]
                moves = put_back(cache.fd, entries_fd, paths, journal.before, journal.after)
            finally:
                os.close(entries_fd)
            moved = len(moves.moved)
            problem = "; ".join(f"{path}: {why}" for path, why in moves.failed)
        writer = JournalWriter(run_fd)
        try:
            writer.state(RunState.ROLLED_BACK, rfc3339(now_ns()), recovered=True, problem=problem)
        finally:
            writer.close()
        return Recovered(run_id, moved, problem)
    finally:
        os.close(run_fd)


def _without_journal(run_id: str, run_fd: int, quarantine: Quarantine) -> Recovered | None:
    """End a run that was killed before its journal was on the disk: nothing was moved yet."""
    entries_fd = _entries(run_fd)
    if entries_fd is not None:
        try:
            if os.listdir(entries_fd):
                problem = "its journal can't be read; what it moved lies in its folder `entries`"
                return Recovered(run_id, 0, problem)
        finally:
            os.close(entries_fd)
    remove_tree(quarantine.fd, run_id, device=quarantine.device)
    return None


def _entries(run_fd: int) -> int | None:
    try:
        return open_directory(ENTRIES, run_fd)
    except FileNotFoundError:
        return None
