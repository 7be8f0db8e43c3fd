"""Walk trees and hand what is there to ``accounting``, through descriptors.

What walks with rights is a reader (``inventory.measurement``).

Users can write in what is measured: no link is followed, no other filesystem
is entered, and a tree deeper than any release of uv writes is not followed to
its end. What could not be looked at is named, never silently left out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

from cacheadmin.accounting import Ranges, Tally
from cacheadmin.fs.charges import PLAIN, FilesystemCosts
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.small_files import (
    ReadFailure,
    failure,
    open_directory,
    open_directory_beneath,
)

# Each level holds a descriptor; real caches are 30 deep.
_MAX_DEPTH = 64

# Names from one yield to the next.
_STEP = 1000

# FIEMAP's answers where a filesystem has none to give.
_NO_EXTENTS = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})

# (path, status) -> the group's tally. A path is relative to the root of the walk.
ChooseTally = Callable[[str, os.stat_result], Tally]


@dataclass(slots=True)
class Walk:
    """One walk: it counts what is below an entry, and notes what could not be read."""

    choose: ChooseTally
    """Returns the tally that counts a path, by its path from the walk's root and its status."""
    charges: FilesystemCosts = PLAIN
    """What the filesystem charges; with ``clones`` each file is asked for its shared extents."""
    leave_out: Collection[str] = ()
    """Paths from the walk's root that are neither counted nor entered."""
    failures: list[ReadFailure] = field(default_factory=list)
    """What could not be read, by paths from the walk's root."""
    entries: int = 0
    """How many names it has met."""

    def steps(self, root_fd: int, relative: str) -> Iterator[None]:
        """Count one entry below an open folder, with all below it; nothing when it is gone.

        Yields every now and then: a large tree takes long.
        """
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
                yield from self._descend(parent, name, relative, status.st_dev, 0)
        except OSError as error:
            self._note(relative, error)
        finally:
            os.close(parent)

    def _descend(
        self, parent_fd: int, name: str, path: str, device: int, depth: int
    ) -> Iterator[None]:
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
                    self.entries += 1
                    if self.entries % _STEP == 0:
                        yield
            if depth >= _MAX_DEPTH and folders:
                reason = "deeper than any uv release writes"
                self.failures.append(ReadFailure(path, reason, blocked=True))
                return
            for folder in folders:
                yield from self._descend(fd, folder, f"{path}/{folder}", device, depth + 1)
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
