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
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cacheadmin.accounting import PackedTally, Tally
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.measurement import Walk
from cacheadmin.fs.small_files import ReadFailure, open_directory_beneath
from cacheadmin.inventory.entries import Archive, ArchiveContent, ArchiveId
from cacheadmin.inventory.measurement import Counting, add_packed, parts_of, unmeasured
from cacheadmin.readers import Question
from cacheadmin.state.archive_sizes import RememberedSize
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.charges import FilesystemCosts
    from cacheadmin.readers import Readers, Reply

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


@frozen
class ArchiveTask:
    """An archive to measure."""

    id: ArchiveId
    """Its id."""
    known: RememberedSize | None
    """What is remembered of it, if its folder is as it was then."""


@frozen
class ArchivePart:
    """A part of what an archive holds."""

    tally: PackedTally | None = None
    """What was counted; None where what is remembered is still true."""
    probe: str | None = None
    """A file that shows, the next time, whether the archive still shares nothing."""
    failures: tuple[ReadFailure, ...] = ()
    """What could not be looked at."""


def measure_archives(
    readers: Readers,
    cache_fd: int,
    archives: Sequence[Archive],
    known: Mapping[ArchiveId, RememberedSize],
    charges: FilesystemCosts,
) -> list[MeasuredArchive]:
    """Return what archives hold: as remembered while that is true, else as it is."""
    looking = _ArchiveLook(cache_fd, {one.id: one for one in archives}, charges)
    tasks = [ArchiveTask(one.id, _remembered(one, known)) for one in archives]
    question: Question[ArchiveTask, ArchivePart] = Question(
        looking.look,
        ArchivePart,
        in_parts=True,
        whose=looking.owner,
        blame=looking.owner,
        together=32,
    )
    replies = readers.replies(question, tasks)
    return [_measured(one, reply) for one, reply in zip(archives, replies, strict=True)]


def _remembered(
    archive: Archive, known: Mapping[ArchiveId, RememberedSize]
) -> RememberedSize | None:
    one = known.get(archive.id)
    same = one is not None and (one.inode, one.mtime_ns) == (archive.inode, archive.mtime_ns)
    return one if same else None


def _measured(archive: Archive, reply: Reply[ArchiveTask, ArchivePart]) -> MeasuredArchive:
    memory = reply.item.known
    tally = Tally()
    if memory is not None and reply.failed is None and reply.parts == (ArchivePart(),):
        tally.add_size(memory.size)
        return MeasuredArchive(archive, tally, memory, from_state=True)
    failures: list[ReadFailure] = []
    probe = None
    for part in reply.parts:
        failures += part.failures
        probe = part.probe
        if part.tally is not None:
            add_packed(part.tally, tally, failures)
    if reply.failed is not None:
        failures.append(unmeasured(archive.path, reply.failed))
    remember = None
    if probe is not None and tally.stands_alone and not failures:
        remember = RememberedSize(archive.inode, archive.mtime_ns, probe, tally.alone())
    return MeasuredArchive(archive, tally, remember, failures=tuple(failures))


class _ArchiveLook:
    """Looks at archives, in a reader."""

    def __init__(
        self, cache_fd: int, archives: Mapping[ArchiveId, Archive], charges: FilesystemCosts
    ) -> None:
        self._cache_fd = cache_fd
        self._archives = archives
        self._charges = charges

    def owner(self, task: ArchiveTask) -> int | None:
        """Return the owner of an archive, as the inventory has it."""
        return self._archives[task.id].uid

    def look(self, task: ArchiveTask) -> Iterator[ArchivePart]:
        """Yield what an archive holds; one empty part where that is remembered."""
        archive, fd, charges = self._archives[task.id], self._cache_fd, self._charges
        known = task.known
        if known is not None and _is_alone(fd, f"{archive.path}/{known.probe}", charges):
            yield ArchivePart()
            return
        counting = Counting()
        walk = Walk(counting.choose, charges)
        alone = True
        for _ in parts_of(walk, fd, archive.path):
            alone = alone and counting.tally.stands_alone
            yield ArchivePart(counting.tally.packed())
            counting.tally = Tally()
        alone = alone and counting.tally.stands_alone and not walk.failures
        probe = None
        if alone and archive.content is ArchiveContent.WHEEL:
            probe = _probe(fd, archive)
            if probe is not None and not _is_alone(fd, f"{archive.path}/{probe}", charges):
                probe = None
        yield ArchivePart(counting.tally.packed(), probe, tuple(walk.failures))


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


def _is_alone(cache_fd: int, path: str, charges: FilesystemCosts) -> bool:
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
