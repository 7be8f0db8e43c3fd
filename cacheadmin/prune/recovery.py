"""End what a killed run began: put back whatever was not committed.

Safe at any time and killable at any instant: each step is one rename, and
what is already back is not found in quarantine the next time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.removal import remove_tree
from cacheadmin.fs.small_files import open_directory
from cacheadmin.prune.journal import (
    SETTLED,
    Journal,
    JournalWriter,
    RunState,
    read_journal,
    was_begun,
)
from cacheadmin.prune.kept_open import undeleted
from cacheadmin.prune.moves import ENTRIES
from cacheadmin.prune.restoration import PutBack, put_back
from cacheadmin.prune.runs import remove_empty_folders
from cacheadmin.text.timestamps import now_ns, rfc3339
from cacheadmin.trial.trials import Trials, trials_or_none
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.prune.quarantine import QuarantineFolder


# A host moves one entry at a time, and looks whether it has the turn before the next.
_LATE_MOVES = 3


@frozen
class Recovered:
    """One run that was ended."""

    run_id: str
    """The id of the run that was interrupted."""
    put_back: int
    """How many entries are at their place again."""
    problem: str = ""
    """What could not be put back or read, in words; empty when all is well."""


def recover(cache: OpenCache, quarantine: QuarantineFolder) -> tuple[Recovered, ...]:
    """Undo every run that did not come to its end. Call it under the run lock."""
    with trials_or_none(cache) as trials:
        if trials is not None:
            trials.fence = quarantine.fence
            # The cache's lock is another's: decoys go with the look that follows.
            trials.drops_decoys = False
        ended = [_recover_run(run_id, cache, quarantine, trials) for run_id in quarantine.run_ids()]
    return tuple(one for one in ended if one is not None)


def _recover_run(
    run_id: str, cache: OpenCache, quarantine: QuarantineFolder, trials: Trials | None
) -> Recovered | None:
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None:
            return _without_journal(run_id, run_fd, quarantine)
        # Several caches may share one quarantine: another's run is not ours to end.
        if journal.state in SETTLED or not journal.is_of(cache.identity):
            return None
        quarantine.fence(batch=True)
        result = _put_back(run_fd, journal, cache, trials, quarantine.fence)
        problem = "; ".join(f"{path}: {why}" for path, why in result.left)
        if not result.failed:
            # What failed may come back another time: such a run stays open,
            # is tried again by the next one, and is never purged meanwhile.
            _settle(run_fd, problem)
        return Recovered(run_id, len(result.moved), problem)
    finally:
        os.close(run_fd)


def _put_back(
    run_fd: int,
    journal: Journal,
    cache: OpenCache,
    trials: Trials | None,
    fence: Callable[[], None],
) -> PutBack:
    """Put back what a run had moved, and close the door behind it.

    Its host may only have stood still, and go on with the one move it was at: into
    folders that are gone by then. What came in before they went is put back as well.
    """
    done = PutBack()
    for _ in range(_LATE_MOVES):
        entries_fd = _entries(run_fd)
        if entries_fd is None:
            break
        try:
            paths = [entry["path"] for entry in journal.entries]
            times = (journal.before, journal.after)
            one = put_back(cache.fd, entries_fd, paths, *times, journal.rights, trials, fence)
        finally:
            os.close(entries_fd)
        done.moved += one.moved
        done.absent, done.conflicts, done.failed = one.absent, one.conflicts, one.failed
        if remove_empty_folders(run_fd, ENTRIES) or not one.moved:
            break
    return done


def _settle(run_fd: int, problem: str) -> None:
    writer = JournalWriter(run_fd)
    try:
        writer.state(RunState.ROLLED_BACK, rfc3339(now_ns()), recovered=True, problem=problem)
    except OSError as error:
        if not is_full(error):
            raise
        # No room for a line: the next run finds everything at its place, and writes it.
    finally:
        writer.close()


def _without_journal(run_id: str, run_fd: int, quarantine: QuarantineFolder) -> Recovered | None:
    """End a run that was killed before its journal was on the disk: nothing was moved yet."""
    if was_begun(run_fd):
        # A disk that fails for a moment, or damage: it may tell of what is on trial.
        return Recovered(run_id, 0, f"its journal in {quarantine.path} can't be read")
    entries_fd = _entries(run_fd)
    if entries_fd is not None:
        try:
            if os.listdir(entries_fd):
                problem = "it has no journal; what it moved lies in its folder `entries`"
                return Recovered(run_id, 0, problem)
        finally:
            os.close(entries_fd)
    left = undeleted(remove_tree(quarantine.fd, run_id, device=quarantine.device))
    problem = "; ".join(f"{path} can't be deleted: {why}" for path, why in left)
    return Recovered(run_id, 0, problem) if left else None


def _entries(run_fd: int) -> int | None:
    try:
        return open_directory(ENTRIES, run_fd)
    except FileNotFoundError:
        return None
