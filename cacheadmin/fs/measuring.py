"""How large a tree is, and how many bytes would come back if it went.

A file that is linked from elsewhere (hardlink mode) frees nothing when one of
its names goes, so *reclaimable* counts an inode only when all its links lie
inside what was measured. Shared extents (clones) are not looked at here:
reclaimable is then an upper bound.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from cacheadmin.fs.reading import open_directory, open_directory_beneath

# Each level holds a descriptor, in each of several threads; real caches are 30 deep.
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes in bytes. ``files`` counts everything that has an inode here, folders too."""

    logical_bytes: int
    allocated_bytes: int
    reclaimable_bytes: int
    files: int


class _Tally:
    def __init__(self) -> None:
        self.logical = 0
        self.allocated = 0
        self.reclaimable = 0
        self.files = 0
        self._linked: dict[tuple[int, int], int] = {}

    def add(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            seen = self._linked.get(identity, 0) + 1
            self._linked[identity] = seen
            if seen == status.st_nlink:
                self.reclaimable += status.st_blocks * 512
            if seen > 1:
                return
        else:
            self.reclaimable += status.st_blocks * 512
        self.files += 1
        self.logical += status.st_size
        self.allocated += status.st_blocks * 512

    def size(self) -> Size:
        return Size(self.logical, self.allocated, self.reclaimable, self.files)


def measure(root_fd: int, relative: str) -> Size:
    """Return the size of one entry below an open folder; zeros when it is gone.

    Follows no link and enters no other filesystem; what cannot be read, or lies
    deeper than any release of uv writes, counts as nothing.
    """
    tally = _Tally()
    folder, _, name = relative.rpartition("/")
    try:
        parent = open_directory_beneath(root_fd, folder)
    except OSError:
        return tally.size()
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        tally.add(status)
        if stat.S_ISDIR(status.st_mode):
            _walk(parent, name, status.st_dev, tally, 0)
    except OSError:
        pass
    finally:
        os.close(parent)
    return tally.size()


def _walk(parent_fd: int, name: str, device: int, tally: _Tally, depth: int) -> None:
    try:
        fd = open_directory(name, parent_fd)
    except OSError:
        return
    try:
        folders = []
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if status.st_dev != device:
                    continue
                tally.add(status)
                if stat.S_ISDIR(status.st_mode):
                    folders.append(entry.name)
        if depth < _MAX_DEPTH:
            for folder in folders:
                _walk(fd, folder, device, tally, depth + 1)
    except OSError:
        return
    finally:
        os.close(fd)


def measure_many(root_fd: int, paths: Sequence[str]) -> dict[str, Size]:
    """Return the size of each entry, measured by a few threads.

    Each is measured by itself: an inode with links in two of them counts as
    reclaimable in neither.
    """
    if len(paths) < 8:
        return {path: measure(root_fd, path) for path in paths}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool:
        return dict(zip(paths, pool.map(lambda path: measure(root_fd, path), paths), strict=True))
