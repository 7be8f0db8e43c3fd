"""Past runs: list them, show one, undo one, delete what was kept for undoing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import NotACache, Refused
from cacheadmin.fs.reading import open_directory
from cacheadmin.fs.removal import Removed, remove_tree
from cacheadmin.prune.journal import SETTLED, Journal, JournalWriter, RunState, read_journal
from cacheadmin.prune.moving import ENTRIES, Moves, put_back
from cacheadmin.timestamps import nanoseconds, now_ns, rfc3339

if TYPE_CHECKING:
    from datetime import timedelta

    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.prune.quarantine import Quarantine

# A purged run's journal stays for this long: who removed what, and when.
_HISTORY_NS = 366 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Run:
    """One past run. ``entries`` are its journal's rows; ``begun_at`` is RFC 3339."""

    run_id: str
    state: RunState
    begun_at: str
    host: str
    policy: str
    entries: tuple[dict[str, Any], ...]
    restorable: bool

    @property
    def bytes(self) -> int:
        """Return the bytes its entries had, where they were measured."""
        return sum(entry.get("bytes") or 0 for entry in self.entries)


def list_runs(quarantine: Quarantine) -> Iterator[Run]:
    """Yield the runs of a quarantine, oldest first."""
    for run_id in quarantine.run_ids():
        run_fd = quarantine.open_run(run_id)
        try:
            journal = read_journal(run_fd)
            if journal is not None:
                yield _run(run_id, journal, _has_entries(run_fd))
        finally:
            os.close(run_fd)


def find_run(quarantine: Quarantine, run_id: str) -> Run:
    """Return one run. Raises NotACache when there is none of that id."""
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None:
            raise Refused(f"the journal of run {run_id} in {quarantine.path} can't be read")
        return _run(run_id, journal, _has_entries(run_fd))
    finally:
        os.close(run_fd)


def restore(cache: OpenCache, quarantine: Quarantine, run_id: str) -> Moves:
    """Put a committed run back where it was. Call it under the run lock.

    Raises Refused when it was purged, restored, or made on another cache.
    """
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None or journal.state is not RunState.COMMITTED:
            state = "has no journal" if journal is None else f"is {journal.state.value}"
            raise Refused(f"run {run_id} can't be restored: it {state}")
        made_on = journal.run.get("cache", {})
        identity = (made_on.get("device"), made_on.get("inode"))
        if identity != (cache.identity.device, cache.identity.inode):
            raise Refused(
                f"run {run_id} was made on another cache: {made_on.get('path')}",
                hint="name the policy of that cache",
            )
        entries_fd = open_directory(ENTRIES, run_fd)
        try:
            paths = [str(entry["path"]) for entry in journal.entries]
            moves = put_back(cache.fd, entries_fd, paths, journal.before, journal.after)
        finally:
            os.close(entries_fd)
        _note(run_fd, RunState.RESTORED, conflicts=[list(pair) for pair in moves.failed])
        return moves
    finally:
        os.close(run_fd)


def purge(quarantine: Quarantine, run_id: str) -> Removed:
    """Delete for good what a run moved; its journal stays as a record."""
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is not None and journal.state not in SETTLED:
            raise Refused(
                f"run {run_id} did not come to its end",
                hint="the next `cacheadmin prune` puts it back",
            )
        removed = remove_tree(run_fd, ENTRIES, device=quarantine.device)
        if journal is not None and journal.state is RunState.COMMITTED:
            _note(run_fd, RunState.PURGED)
        return removed
    finally:
        os.close(run_fd)


def purge_due(quarantine: Quarantine, keep: timedelta) -> tuple[str, ...]:
    """Delete what settled runs older than ``keep`` moved; return their ids."""
    purged = []
    for run in list(list_runs(quarantine)):
        age_ns = now_ns() - _moment_ns(run.begun_at)
        if run.state in SETTLED and run.restorable and age_ns > nanoseconds(keep):
            purge(quarantine, run.run_id)
            purged.append(run.run_id)
        elif not run.restorable and age_ns > _HISTORY_NS:
            remove_tree(quarantine.fd, run.run_id, device=quarantine.device)
    return tuple(purged)


def discard_empty(quarantine: Quarantine, run_id: str) -> None:
    """Drop a run that holds nothing; one that holds anything stays as it is.

    Only empty folders are removed before the journal goes: should something
    unforeseen still lie there, it must not be lost.
    """
    try:
        run_fd = quarantine.open_run(run_id)
    except NotACache:
        return
    try:
        if _remove_empty_folders(run_fd, ENTRIES):
            remove_tree(quarantine.fd, run_id, device=quarantine.device)
    finally:
        os.close(run_fd)


def _remove_empty_folders(parent_fd: int, name: str) -> bool:
    """Remove a tree of folders that hold no file; whether it is gone."""
    try:
        fd = open_directory(name, parent_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        gone = [_remove_empty_folders(fd, child) for child in os.listdir(fd)]
    finally:
        os.close(fd)
    if not all(gone):
        return False
    os.rmdir(name, dir_fd=parent_fd)
    return True


def _moment_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def _note(run_fd: int, state: RunState, **details: Any) -> None:
    writer = JournalWriter(run_fd)
    try:
        writer.state(state, rfc3339(now_ns()), **details)
    finally:
        writer.close()


def _has_entries(run_fd: int) -> bool:
    try:
        fd = open_directory(ENTRIES, run_fd)
    except OSError:
        return False
    try:
        return bool(os.listdir(fd))
    finally:
        os.close(fd)


def _run(run_id: str, journal: Journal, restorable: bool) -> Run:
    return Run(
        run_id=run_id,
        state=journal.state,
        begun_at=str(journal.run.get("begun_at", "")),
        host=str(journal.run.get("host", "")),
        policy=str(journal.run.get("policy", "")),
        entries=tuple(journal.entries),
        restorable=restorable,
    )
