"""What a run itself has to write before anything is freed, and whether there is room for it.

On a full disk nothing can be created, and a run that needs a folder, a journal
and links before it frees anything frees nothing. So what it needs is counted
beforehand. Where there is less, room is made first (``prune.in_place``), and
what then went to quarantine is deleted at once: nobody could have written
there anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.fs.free_space import can_write, free_space
from cacheadmin.planner.gaps import PROOF

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


@dataclass(frozen=True, slots=True)
class Needs:
    """What a run writes, at most."""

    bytes: int
    """Bytes on the cache's filesystem."""

    files: int
    """Files, folders and links there."""

    def fit(self, folder_fd: int) -> bool:
        """Whether there is room for it where an open folder lies; a file is tried there."""
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


def is_pressed(cache_fd: int, freed_bytes: int, freed_files: int) -> bool:
    """Whether a filesystem that was full is so still, once this much is freed."""
    space = free_space(cache_fd)
    if space.bytes + freed_bytes < _ENOUGH * space.filesystem_bytes:
        return True
    total = os.fstatvfs(cache_fd).f_files
    return space.files is not None and space.files + freed_files < _ENOUGH * total
