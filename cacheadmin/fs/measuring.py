"""Walk trees and hand what is there to ``accounting``, through descriptors.

Users can write in what is measured: no link is followed, no other filesystem
is entered, and a tree deeper than any release of uv writes is not followed to
its end. What could not be looked at is named, never silently left out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cacheadmin.accounting import Accounting, Measured, Ranges, Size, Tally
from cacheadmin.fs.charges import PLAIN, Charges
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.reading import (
    ReadFailure,
    failure,
    open_directory,
    open_directory_beneath,
)

__all__ = [
    "Measured",
    "Size",
    "Walk",
    "extents_below",
    "in_threads",
    "measure",
    "measure_each",
    "measure_many",
]

# Each level holds a descriptor, in each of several threads; real caches are 30 deep.
_MAX_DEPTH = 64

# FIEMAP's answers where a filesystem has none to give.
_NO_EXTENTS = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})

Item = TypeVar("Item")
Result = TypeVar("Result")

# (path, status) -> the group's tally. A path is relative to the root of the walk.
ChooseTally = Callable[[str, os.stat_result], Tally]


@dataclass(slots=True)
class Walk:
    """One walk: it counts what is below an entry, and notes what could not be read."""

    choose: ChooseTally
    """Returns the tally that counts a path, by its path from the walk's root and its status."""
    charges: Charges = PLAIN
    """What the filesystem charges; with ``clones`` each file is asked for its shared extents."""
    leave_out: Collection[str] = ()
    """Paths from the walk's root that are neither counted nor entered."""
    failures: list[ReadFailure] = field(default_factory=list)
    """What could not be read, by paths from the walk's root."""

    def count(self, root_fd: int, relative: str) -> None:
        """Count one entry below an open folder, with all below it; nothing when it is gone."""
        if relative in self.leave_out:
            return
        folder, _, name = relative.rpartition("/")
        try:
            parent = open_directory_beneath(root_fd, folder)
        except OSError as error:
            self._note(relative, error)
            return
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            self._count_one(parent, name, relative, status)
            if stat.S_ISDIR(status.st_mode):
                self._descend(parent, name, relative, status.st_dev, 0)
        except OSError as error:
            self._note(relative, error)
        finally:
            os.close(parent)

    def _descend(self, parent_fd: int, name: str, path: str, device: int, depth: int) -> None:
        try:
            fd = open_directory(name, parent_fd)
        except OSError as error:
            self._note(path, error)
            return
        try:
            folders = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    inner = f"{path}/{entry.name}"
                    if inner in self.leave_out:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self._note(inner, error)
                        continue
                    if status.st_dev != device:
                        continue
                    self._count_one(fd, entry.name, inner, status)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(entry.name)
            if depth >= _MAX_DEPTH and folders:
                reason = "deeper than any uv release writes"
                self.failures.append(ReadFailure(path, reason, blocked=True))
                return
            for folder in folders:
                self._descend(fd, folder, f"{path}/{folder}", device, depth + 1)
        except OSError as error:
            self._note(path, error)
        finally:
            os.close(fd)

    def _count_one(self, folder_fd: int, name: str, path: str, status: os.stat_result) -> None:
        tally = self.choose(path, status)
        linked = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        identity = (status.st_dev, status.st_ino)
        if linked and tally.knows(identity):
            return
        blocks = status.st_blocks * 512
        shared: Ranges = ()
        own = blocks
        if self.charges.clones and blocks and stat.S_ISREG(status.st_mode):
            shared, own = self._extents(folder_fd, name, path, blocks)
        allocated = blocks + self.charges.inode_bytes
        own += self.charges.inode_bytes
        if linked:
            links = status.st_nlink
            tally.add_linked(identity, links, status.st_size, allocated, shared, own)
        else:
            tally.add(status.st_size, allocated, shared, own)

    def _extents(self, folder_fd: int, name: str, path: str, blocks: int) -> tuple[Ranges, int]:
        """Return a file's shared extents, and the bytes that are its own."""
        try:
            found = shared_extents(name, folder_fd)
        except OSError as error:
            if error.errno in _NO_EXTENTS:
                self.charges = replace(self.charges, clones=False)
            else:
                self._note(path, error)
            return (), blocks
        if not found.complete:
            return (), 0
        return found.ranges, max(0, blocks - sum(end - start for start, end in found.ranges))

    def _note(self, path: str, error: OSError) -> None:
        # Gone meanwhile is nothing; what is there and can't be read is.
        problem = failure(path, error)
        if not problem.missing:
            self.failures.append(problem)


def measure(root_fd: int, relative: str, charges: Charges = PLAIN) -> Size:
    """Return the size of one entry below an open folder; zeros when it is gone.

    What cannot be read counts as nothing.
    """
    return measure_each(root_fd, [relative], charges)[relative]


def measure_each(root_fd: int, paths: Sequence[str], charges: Charges = PLAIN) -> dict[str, Size]:
    """Return the size of each entry by itself; entries may lie in each other."""

    def alone(path: str) -> Size:
        accounting: Accounting[str] = Accounting()
        accounting.add(path, _tally(root_fd, path, charges))
        return accounting.finish()[path]

    return dict(zip(paths, in_threads(alone, paths), strict=True))


def measure_many(
    root_fd: int,
    paths: Iterable[str],
    charges: Charges = PLAIN,
    elsewhere: Callable[[], Ranges] = tuple,
) -> Measured[str]:
    """Return the size of each entry, and of any set of them that goes together.

    An entry that lies in another one counts by itself alone, not in the other.
    ``elsewhere`` is asked for the shared extents of files that stay, if an extent
    turns out to have several users among the entries.
    """
    accounting: Accounting[str] = Accounting()
    entries = list(dict.fromkeys(paths))
    inner: dict[str, set[str]] = {path: set() for path in entries}
    for path in entries:
        folder = path.rpartition("/")[0]
        while folder:
            if folder in inner:
                inner[folder].add(path)
            folder = folder.rpartition("/")[0]
    tallies = in_threads(lambda path: _tally(root_fd, path, charges, inner[path]), entries)
    for path, tally in zip(entries, tallies, strict=True):
        accounting.add(path, tally)
    held = elsewhere() if accounting.shares_among_itself() else ()
    return accounting.finish(held)


def _tally(root_fd: int, path: str, charges: Charges, leave_out: Collection[str] = ()) -> Tally:
    tally = Tally()
    Walk(lambda _path, _status: tally, charges, leave_out).count(root_fd, path)
    return tally


def extents_below(root_fd: int, relative: str, leave_out: Collection[str] = ()) -> Ranges:
    """Return the shared extents of all files of an entry; none where it can't be read."""
    tally = Tally()
    walk = Walk(lambda _path, _status: tally, Charges(clones=True), leave_out)
    walk.count(root_fd, relative)
    return [*tally.shared, *(one for inode in tally.linked.values() for one in inode.shared)]


def in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the results of some work in the order of the items, done by a few threads."""
    if len(items) < 8:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
        return list(pool.map(work, items))
