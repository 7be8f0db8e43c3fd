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

There are very many, and each costs little: archives of one owner are asked for
together. What a batch could not answer to its end is asked for one by one.
"""

from __future__ import annotations

import os
import stat
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cacheadmin.accounting import PackedTally, Tally
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.measurement import Walk
from cacheadmin.fs.small_files import ReadFailure, open_directory_beneath
from cacheadmin.inventory.entries import Archive, ArchiveContent, ArchiveId
from cacheadmin.inventory.measurement import Counting, add_packed, parts_of, unmeasured
from cacheadmin.readers import Question, Unreadable
from cacheadmin.state.archive_sizes import RememberedSize
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.charges import FilesystemCosts
    from cacheadmin.readers import Readers

_DIST_INFO = ".dist-info"
_NUMBERS = "I"

# So many archives are one item of a question.
_BATCH = 256

# Larger ones are measured one by one: a batch has the time of one answer.
_MOST_NAMES = 20_000
_PART_SECONDS = 2.0
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


@frozen
class ArchiveBatch:
    """Archives of one owner."""

    uid: int
    """Their owner."""
    numbers: tuple[int, ...]
    """Their places among all that are measured."""


@frozen
class BatchPart:
    """What was found of some archives of a batch."""

    as_known: bytes
    """Places of those of which what is remembered is still true: 32-bit integers of this host."""
    measured: tuple[tuple[int, ArchivePart], ...]
    """Those that were measured, each by its place, and whole."""


def measure_archives(
    readers: Readers,
    cache_fd: int,
    archives: Sequence[Archive],
    known: Mapping[ArchiveId, RememberedSize],
    charges: FilesystemCosts,
) -> list[MeasuredArchive]:
    """Return what archives hold: as remembered while that is true, else as it is."""
    tasks = [ArchiveTask(one.id, _remembered(one, known)) for one in archives]
    looking = _ArchiveLook(cache_fd, archives, tasks, charges)
    together: Question[ArchiveBatch, BatchPart] = Question(
        looking.look_at_batch,
        BatchPart,
        in_parts=True,
        whose=lambda batch: batch.uid,
        blame=lambda batch: batch.uid,
        together=1,
    )
    one_by_one: Question[int, ArchivePart] = Question(
        looking.look, ArchivePart, in_parts=True, whose=looking.owner, blame=looking.owner
    )
    found: dict[int, MeasuredArchive] = {}
    for reply in readers.replies(together, _batches(archives)):
        for part in reply.parts:
            _take(part, reply.item, archives, tasks, found)
    rest = [number for number in range(len(archives)) if number not in found]
    for alone in readers.replies(one_by_one, rest) if rest else ():
        number = alone.item
        found[number] = _measured(archives[number], tasks[number], alone.parts, alone.failed)
    return [found[number] for number in range(len(archives))]


def _batches(archives: Sequence[Archive]) -> Iterator[ArchiveBatch]:
    by_owner: dict[int, list[int]] = {}
    for number, archive in enumerate(archives):
        by_owner.setdefault(archive.uid, []).append(number)
    for uid, numbers in by_owner.items():
        for first in range(0, len(numbers), _BATCH):
            yield ArchiveBatch(uid, tuple(numbers[first : first + _BATCH]))


def _take(
    part: BatchPart,
    batch: ArchiveBatch,
    archives: Sequence[Archive],
    tasks: Sequence[ArchiveTask],
    found: dict[int, MeasuredArchive],
) -> None:
    """Take what a reader found of archives of a batch; what is none of it is no answer."""
    asked = frozenset(batch.numbers)
    try:
        as_known = array(_NUMBERS, part.as_known)
    except ValueError:
        return
    answers = [(number, (ArchivePart(),)) for number in as_known]
    answers += [(number, (one,)) for number, one in part.measured]
    for number, parts in answers:
        if number in asked and number not in found:
            found[number] = _measured(archives[number], tasks[number], parts, None)


def _remembered(
    archive: Archive, known: Mapping[ArchiveId, RememberedSize]
) -> RememberedSize | None:
    one = known.get(archive.id)
    same = one is not None and (one.inode, one.mtime_ns) == (archive.inode, archive.mtime_ns)
    return one if same else None


def _measured(
    archive: Archive, task: ArchiveTask, parts: Sequence[ArchivePart], failed: Unreadable | None
) -> MeasuredArchive:
    memory = task.known
    tally = Tally()
    if memory is not None and failed is None and len(parts) == 1 and _says_nothing(parts[0]):
        tally.add_size(memory.size)
        return MeasuredArchive(archive, tally, memory, from_state=True)
    failures: list[ReadFailure] = []
    probe = None
    for part in parts:
        failures += part.failures
        probe = part.probe
        if part.tally is not None:
            add_packed(part.tally, tally, failures)
    if failed is not None:
        failures.append(unmeasured(archive.path, failed))
    remember = None
    if probe is not None and tally.stands_alone and not failures:
        remember = RememberedSize(archive.inode, archive.mtime_ns, probe, tally.alone())
    return MeasuredArchive(archive, tally, remember, failures=tuple(failures))


def _says_nothing(part: ArchivePart) -> bool:
    return part.tally is None and part.probe is None and not part.failures


class _ArchiveLook:
    """Looks at archives, in a reader."""

    def __init__(
        self,
        cache_fd: int,
        archives: Sequence[Archive],
        tasks: Sequence[ArchiveTask],
        charges: FilesystemCosts,
    ) -> None:
        self._cache_fd = cache_fd
        self._archives = archives
        self._tasks = tasks
        self._charges = charges

    def owner(self, number: int) -> int | None:
        """Return the owner of an archive, as the inventory has it."""
        return self._archives[number].uid

    def look_at_batch(self, batch: ArchiveBatch) -> Iterator[BatchPart]:
        """Yield what a batch's archives hold; large ones are left out."""
        as_known, measured = array(_NUMBERS), []
        since = time.monotonic()
        for number in batch.numbers:
            if self._is_as_known(number):
                as_known.append(number)
            else:
                part = self._measure_small(number)
                if part is not None:
                    measured.append((number, part))
            if time.monotonic() - since >= _PART_SECONDS:
                yield BatchPart(as_known.tobytes(), tuple(measured))
                as_known, measured, since = array(_NUMBERS), [], time.monotonic()
        yield BatchPart(as_known.tobytes(), tuple(measured))

    def _is_as_known(self, number: int) -> bool:
        known = self._tasks[number].known
        path = self._archives[number].path
        return known is not None and _is_alone(
            self._cache_fd, f"{path}/{known.probe}", self._charges
        )

    def _measure_small(self, number: int) -> ArchivePart | None:
        """Return what an archive holds; None where that takes longer than a part may."""
        counting = Counting()
        walk = Walk(counting.choose, self._charges)
        since = time.monotonic()
        for _ in walk.steps(self._cache_fd, self._archives[number].path):
            if walk.entries >= _MOST_NAMES or time.monotonic() - since >= _PART_SECONDS:
                return None
        if walk.entries >= _MOST_NAMES:
            return None
        tally = counting.tally
        alone = tally.stands_alone and not walk.failures
        probe = self._probe_of(self._archives[number]) if alone else None
        return ArchivePart(tally.packed(), probe, tuple(walk.failures))

    def look(self, number: int) -> Iterator[ArchivePart]:
        """Yield what an archive holds; one empty part where that is remembered."""
        if self._is_as_known(number):
            yield ArchivePart()
            return
        archive, fd, charges = self._archives[number], self._cache_fd, self._charges
        counting = Counting()
        walk = Walk(counting.choose, charges)
        alone = True
        for _ in parts_of(walk, fd, archive.path):
            alone = alone and counting.tally.stands_alone
            yield ArchivePart(counting.tally.packed())
            counting.tally = Tally()
        alone = alone and counting.tally.stands_alone and not walk.failures
        probe = self._probe_of(archive) if alone else None
        yield ArchivePart(counting.tally.packed(), probe, tuple(walk.failures))

    def _probe_of(self, archive: Archive) -> str | None:
        """Return the file that tells later whether an archive shares anything; None: none does."""
        if archive.content is not ArchiveContent.WHEEL:
            return None
        fd = self._cache_fd
        probe = _probe(fd, archive)
        alone = probe is not None and _is_alone(fd, f"{archive.path}/{probe}", self._charges)
        return probe if alone else None


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
    if not charges.clones:
        # Two calls, where opening all that is on the way takes six: there are very many. The
        # archive's own folder is one, as the inventory has just seen.
        try:
            above = os.stat(folder, dir_fd=cache_fd, follow_symlinks=False)
            status = os.stat(path, dir_fd=cache_fd, follow_symlinks=False)
        except (OSError, ValueError):
            return False
        is_there = stat.S_ISDIR(above.st_mode) and stat.S_ISREG(status.st_mode)
        return is_there and status.st_nlink == 1
    try:
        fd = open_directory_beneath(cache_fd, folder)
    except (OSError, ValueError):
        return False
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        found = shared_extents(name, fd)
    except OSError:
        return False
    else:
        return found.complete and not found.ranges and status.st_size > _LARGEST_INLINE
    finally:
        os.close(fd)
