"""What a run itself has to write before anything is freed, and whether there is room for it.

On a full disk nothing can be created, and a run that needs a folder, a journal
and links before it frees anything frees nothing. So what it needs is counted
beforehand. Where there is less, room is made first (``prune.in_place``), and
what then went to quarantine is deleted at once: no user could have written
there anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cacheadmin.fs.free_space import FreeSpace, can_write, free_space
from cacheadmin.planner.gaps import PROOF
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.planner.plan import Decision

_KIB = 1024

# Quarantine with lock and marks, the run's folders and the head of its journal.
_RUN_BYTES = 64 * _KIB
_RUN_FILES = 16

# Folder of trials with ledger, decoys, and folders of roots in the buckets.
_TRIALS_BYTES = 256 * _KIB
_TRIALS_FILES = 128

# A row of the journal; a folder in quarantine; links, roots and record of a trial.
_ROW_BYTES = 1 * _KIB
_FOLDER_BYTES = 4 * _KIB
_TRIAL_BYTES = 2 * _KIB
# A tripwire, and a root in the bucket of each release that has its own.
_TRIAL_FILES = 20

# Silent trials end early until so much of a full filesystem is free.
_ENOUGH = 0.05


@frozen
class Needs:
    """What a run writes, at most."""

    bytes: int
    """Bytes that it takes on the cache's filesystem."""

    files: int
    """Files, folders and links that it makes there."""

    def fit(self, folder_fd: int) -> bool:
        """Whether the filesystem of an open folder has room for these; a file is tried there."""
        if not free_space(folder_fd).has(self.bytes, self.files):
            return False
        return can_write(folder_fd, self.bytes) is not False


def needs_of(removals: Iterable[Decision]) -> Needs:
    """Return what a run that carries these removals out writes, at most."""
    listed = tuple(removals)
    folders = {decision.path.rpartition("/")[0] for decision in listed}
    trials = sum(1 for decision in listed if decision.rests_on not in (None, PROOF))
    needs = Needs(
        _RUN_BYTES + len(listed) * _ROW_BYTES + len(folders) * _FOLDER_BYTES,
        _RUN_FILES + 2 * len(folders),
    )
    if not trials:
        return needs
    return Needs(
        needs.bytes + _TRIALS_BYTES + trials * _TRIAL_BYTES,
        needs.files + _TRIALS_FILES + trials * _TRIAL_FILES,
    )


@frozen
class RoomForRun:
    """What is free where a cache lies, and what a run would write there."""

    free: FreeSpace
    """What the caller can still write."""

    needs: Needs
    """What the run writes, at most."""

    @property
    def fits(self) -> bool:
        """Whether the numbers say that there is room; nothing is tried."""
        return self.free.has(self.needs.bytes, self.needs.files)


def room_for(cache_fd: int, removals: Iterable[Decision]) -> RoomForRun:
    """Return what is free, and what a run with these removals needs. Raises OSError."""
    return RoomForRun(free_space(cache_fd), needs_of(removals))


def room_json(room: RoomForRun) -> dict[str, Any]:
    """Return the keys of a document; ``free_files`` null where inodes are made as needed."""
    return {
        "free_bytes": room.free.bytes,
        "free_files": room.free.files,
        "by_quota": room.free.by_quota,
        "needs_bytes": room.needs.bytes,
        "needs_files": room.needs.files,
        "fits": room.fits,
    }


def room_words(room: RoomForRun) -> str:
    """Return what is free and what the run writes, in a sentence."""
    files = "" if room.free.files is None else f" and {format_count(room.free.files, 'file')}"
    by = " by quota" if room.free.by_quota else ""
    return (
        f"{format_size(room.free.bytes)}{files} free{by}; a run needs "
        f"{format_size(room.needs.bytes)} and {format_count(room.needs.files, 'file')}"
    )


def is_pressed(cache_fd: int, freed_bytes: int, freed_files: int) -> bool:
    """Whether a filesystem is nearly full even once so many bytes and inodes are freed."""
    space = free_space(cache_fd)
    if space.bytes + freed_bytes < _ENOUGH * space.filesystem_bytes:
        return True
    total = os.fstatvfs(cache_fd).f_files
    return space.files is not None and space.files + freed_files < _ENOUGH * total
