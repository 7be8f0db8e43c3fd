"""Measure an archive once, and know when that is still true.

uv renames a finished archive into its place and never writes in it again
(facts section 9), so its lengths, blocks and files stay what they were while
the folder has the same inode and mtime. What is *exclusively* its own does
change: an environment in hardlink or clone mode takes a share of every file.

- An archive that shares something is measured again each time: which inode,
  or extent, is shared with what decides what comes back with what.
- One that shared nothing is remembered, and one file is looked at to see if
  it still is alone: its METADATA, which uv links with all the rest (facts
  section 5) and which ``cp -l`` and backups by hardlinks take as well. On a
  filesystem with clones the file must be larger than what btrfs may keep
  inside its inode, where nothing is shared.

A cached environment is no such archive: Python may write into it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cacheadmin.accounting import Tally
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.measuring import Walk
from cacheadmin.fs.reading import ReadFailure, open_directory_beneath
from cacheadmin.inventory.entries import Archive, ArchiveContent, ArchiveId
from cacheadmin.state.archive_sizes import RememberedSize
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.charges import Charges

_DIST_INFO = ".dist-info"
_LARGEST_INLINE = 4096


@frozen
class MeasuredArchive:
    """The tally of one archive."""

    archive: Archive
    """The archive that was measured."""
    tally: Tally
    """What it holds, as measured or remembered."""
    remember: RememberedSize | None
    """What to remember of it; None for one that must be measured again each time."""
    from_state: bool = False
    """Whether the tally was remembered, and the archive not measured again."""
    failures: tuple[ReadFailure, ...] = ()
    """What in it could not be looked at; it is not in the tally."""


def measure_archive(
    cache_fd: int,
    archive: Archive,
    known: Mapping[ArchiveId, RememberedSize],
    charges: Charges,
) -> MeasuredArchive:
    """Return what an archive holds: as remembered while that is true, else as it is."""
    memory = known.get(archive.id)
    if (
        memory is not None
        and (memory.inode, memory.mtime_ns) == (archive.inode, archive.mtime_ns)
        and _is_alone(cache_fd, f"{archive.path}/{memory.probe}", charges)
    ):
        tally = Tally()
        tally.add_size(memory.size)
        return MeasuredArchive(archive, tally, memory, from_state=True)
    tally = Tally()
    walk = Walk(lambda _path, _status: tally, charges)
    walk.count(cache_fd, archive.path)
    remember = None
    if archive.content is ArchiveContent.WHEEL and tally.stands_alone and not walk.failures:
        probe = _probe(cache_fd, archive)
        if probe is not None and _is_alone(cache_fd, f"{archive.path}/{probe}", charges):
            remember = RememberedSize(archive.inode, archive.mtime_ns, probe, tally.alone())
    return MeasuredArchive(archive, tally, remember, failures=tuple(walk.failures))


def _probe(cache_fd: int, archive: Archive) -> str | None:
    try:
        fd = open_directory_beneath(cache_fd, archive.path)
    except OSError:
        return None
    try:
        # One, or the inventory would not call it a wheel.
        folder = next((name for name in os.listdir(fd) if name.endswith(_DIST_INFO)), None)
        return None if folder is None or not folder.isascii() else f"{folder}/METADATA"
    except OSError:
        return None
    finally:
        os.close(fd)


def _is_alone(cache_fd: int, path: str, charges: Charges) -> bool:
    """Whether a regular file has one name, and shares no extent."""
    folder, _, name = path.rpartition("/")
    try:
        fd = open_directory_beneath(cache_fd, folder)
    except (OSError, ValueError):
        return False
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        if charges.clones:
            found = shared_extents(name, fd)
            alone = found.complete and not found.ranges
            return alone and status.st_size > _LARGEST_INLINE
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)
