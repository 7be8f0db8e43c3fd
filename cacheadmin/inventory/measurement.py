"""Measure entries of a cache, and other folders, in readers.

A folder to be measured is its members' to fill: with millions of files, with
something mounted that never answers. So each entry is one answer, which comes
in parts; what could not be measured is named, and counts as nothing.
"""

from __future__ import annotations

import os
import stat
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.accounting import Accounting, Measured, PackedTally, Ranges, Size, Tally
from cacheadmin.fs.charges import PLAIN, FilesystemCosts
from cacheadmin.fs.measurement import Walk
from cacheadmin.fs.small_files import ReadFailure
from cacheadmin.readers import Question, Unreadable, note_owner
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.readers import Readers

# What one part of an answer counts. A file with several names takes 64 bytes in it.
_PART_NAMES = 50_000

# A slow disk is none that hangs.
_PART_SECONDS = 2.0

_TOGETHER = 32

# So many links are one item of a question; what one counts as, in numbers.
_LINKS = 1024
_NUMBERS = "Q"
_UNTOLD = (1 << 64) - 1


@frozen
class EntryToMeasure:
    """An entry that is to be measured."""

    path: str
    """Its path below the open folder."""
    leave_out: frozenset[str] = frozenset()
    """Paths, as ``path``, that are neither counted nor entered."""


@frozen
class MeasuredPart:
    """A part of what an entry holds."""

    tally: PackedTally
    """What was counted."""
    failures: tuple[ReadFailure, ...] = ()
    """What could not be looked at."""


@dataclass(slots=True)
class Counted:
    """What an entry holds."""

    tally: Tally = field(default_factory=Tally)
    """What was counted."""
    failures: list[ReadFailure] = field(default_factory=list)
    """What could not be looked at; it is not in the tally."""


@frozen
class LinkBatch:
    """Links of one account that are to be measured."""

    uid: int
    """The account."""
    paths: tuple[str, ...]
    """Their paths below the open folder."""


class Measuring:
    """Measures entries below one open folder; readers must keep its descriptor."""

    def __init__(self, readers: Readers, root_fd: int, charges: FilesystemCosts = PLAIN) -> None:
        self._readers = readers
        self._root_fd = root_fd
        self._charges = charges
        self._question: Question[EntryToMeasure, MeasuredPart] = Question(
            self._measure,
            MeasuredPart,
            in_parts=True,
            whose=lambda entry: owner_below(root_fd, entry.path),
            together=_TOGETHER,
        )
        self._of_links: Question[LinkBatch, bytes] = Question(
            self._measure_links,
            bytes,
            whose=lambda batch: batch.uid,
            blame=lambda batch: batch.uid,
            together=1,
        )

    def links(self, paths: Iterable[tuple[str, int]]) -> dict[str, Size]:
        """Return the sizes of those paths that are links with one name; each with its owner.

        What is anything else, or could not be looked at, is left out.
        """
        by_owner: dict[int, list[str]] = {}
        for path, uid in paths:
            by_owner.setdefault(uid, []).append(path)
        batches = [
            LinkBatch(uid, tuple(named[first : first + _LINKS]))
            for uid, named in by_owner.items()
            for first in range(0, len(named), _LINKS)
        ]
        sizes: dict[str, Size] = {}
        for reply in self._readers.replies(self._of_links, batches) if batches else ():
            for part in reply.parts:
                numbers = array(_NUMBERS)
                if len(part) != 2 * numbers.itemsize * len(reply.item.paths):
                    continue
                numbers.frombytes(part)
                pairs = zip(reply.item.paths, numbers[::2], numbers[1::2], strict=True)
                for path, logical, allocated in pairs:
                    if logical != _UNTOLD:
                        sizes[path] = Size(logical, allocated, allocated, 1)
        return sizes

    def _measure_links(self, batch: LinkBatch) -> bytes:
        """Return two numbers a path, its length and what it takes; runs in a reader."""
        numbers = array(_NUMBERS)
        for path in batch.paths:
            numbers.extend(self._of_link(path))
        return numbers.tobytes()

    def _of_link(self, path: str) -> tuple[int, int]:
        try:
            # At worst a link on the way, which no uv makes, shows another one: a wrong size.
            status = os.stat(path, dir_fd=self._root_fd, follow_symlinks=False)
        except (OSError, ValueError):
            return _UNTOLD, 0
        if not stat.S_ISLNK(status.st_mode) or status.st_nlink != 1:
            return _UNTOLD, 0
        return status.st_size, status.st_blocks * 512 + self._charges.inode_bytes

    def each(self, paths: Iterable[str]) -> dict[str, Size]:
        """Return the size of each entry by itself, zeros for one that is gone.

        Entries may lie in each other. What cannot be read counts as nothing.
        """
        entries = [EntryToMeasure(path) for path in dict.fromkeys(paths)]
        sizes: dict[str, Size] = {}
        for entry, counted in zip(entries, self._count(entries), strict=True):
            accounting: Accounting[str] = Accounting()
            accounting.add(entry.path, counted.tally)
            sizes[entry.path] = accounting.finish()[entry.path]
        return sizes

    def together(
        self, paths: Iterable[str], elsewhere: Callable[[], Ranges] = tuple
    ) -> Measured[str]:
        """Return the size of each entry, and of any set of them that is removed together.

        An entry that lies in another one counts by itself alone, not in the other.
        ``elsewhere`` is asked for the shared extents of files that stay, if an extent
        turns out to have several users among the entries.
        """
        inner: dict[str, set[str]] = {path: set() for path in paths}
        for path in inner:
            folder = path.rpartition("/")[0]
            while folder:
                if folder in inner:
                    inner[folder].add(path)
                folder = folder.rpartition("/")[0]
        entries = [EntryToMeasure(path, frozenset(below)) for path, below in inner.items()]
        accounting: Accounting[str] = Accounting()
        for entry, counted in zip(entries, self._count(entries), strict=True):
            accounting.add(entry.path, counted.tally)
        held = elsewhere() if accounting.shares_among_itself() else ()
        return accounting.finish(held)

    def extents(self, paths: Iterable[str], leave_out: Collection[str] = ()) -> Ranges:
        """Return the shared extents of all files of some entries; none where they can't be read."""
        but = frozenset(leave_out)
        counted = self._count([EntryToMeasure(path, but) for path in paths])
        return [extent for one in counted for extent in one.tally.extents]

    def _count(self, entries: Sequence[EntryToMeasure]) -> list[Counted]:
        found = []
        for reply in self._readers.replies(self._question, entries):
            one = Counted()
            for part in reply.parts:
                add_part(part, one.tally, one.failures)
            if reply.failed is not None:
                one.failures.append(unmeasured(reply.item.path, reply.failed))
            found.append(one)
        return found

    def _measure(self, entry: EntryToMeasure) -> Iterator[MeasuredPart]:
        """Yield what an entry holds; runs in a reader."""
        counting = Counting()
        walk = Walk(counting.choose, self._charges, entry.leave_out)
        for _ in parts_of(walk, self._root_fd, entry.path):
            yield MeasuredPart(counting.tally.packed())
            counting.tally = Tally()
        yield MeasuredPart(counting.tally.packed(), tuple(walk.failures))


class Counting:
    """Chooses one tally for all that a walk meets; runs in a reader."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._uid: int | None = None

    def choose(self, _: str, status: os.stat_result) -> Tally:
        """Return the tally, and note whose the file is."""
        # Once for many: to ask for the time used costs more than to count.
        if status.st_uid != self._uid:
            self._uid = status.st_uid
            note_owner(status.st_uid)
        return self.tally


def parts_of(walk: Walk, root_fd: int, path: str) -> Iterator[None]:
    """Walk; yield whenever a part of the answer is due, in names or in time."""
    counted, since = 0, time.monotonic()
    for _ in walk.steps(root_fd, path):
        if walk.entries - counted >= _PART_NAMES or time.monotonic() - since >= _PART_SECONDS:
            yield
            counted, since = walk.entries, time.monotonic()


def owner_below(root_fd: int, path: str) -> int | None:
    """Return the owner of an entry of an open folder. Raises OSError."""
    return os.stat(path, dir_fd=root_fd, follow_symlinks=False).st_uid


def add_part(part: MeasuredPart, tally: Tally, failures: list[ReadFailure]) -> None:
    """Add a part of an answer to what came before."""
    failures += part.failures
    add_packed(part.tally, tally, failures)


def add_packed(sent: PackedTally, tally: Tally, failures: list[ReadFailure]) -> None:
    """Add a tally that a reader sent."""
    try:
        tally.merge(Tally.unpacked(sent))
    except (ValueError, OverflowError):
        failures.append(ReadFailure("", "its reader answered what is no answer", blocked=True))


def unmeasured(path: str, failed: Unreadable) -> ReadFailure:
    """Return what no reader could measure as a failed read."""
    return ReadFailure(path, failed.reason, blocked=True)
