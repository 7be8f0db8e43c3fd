"""Delete a tree for good, among files that other people made.

Everything happens relative to directory descriptors; a link is unlinked,
never followed; another filesystem (something mounted inside) is never
entered. A tree may be made to harm: a hundred thousand folders deep it would
exhaust the stack or the descriptors, so a folder below ``_MAX_DEPTH`` is
first moved up beside the tree and removed from there.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from cacheadmin.fs.reading import open_directory

# Descriptors held at once stay below this; real caches are 30 folders deep.
_MAX_DEPTH = 64


@dataclass(slots=True)
class Removed:
    """What a removal did. ``failures`` are (path below the tree, reason)."""

    files: int = 0
    allocated_bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def remove_tree(parent_fd: int, name: str, *, device: int) -> Removed:
    """Remove ``name`` in an open folder, whatever it is; go on past failures.

    ``device`` is the filesystem it must lie on. A folder its owner made
    unwritable is made writable first where the caller may do so.
    """
    removal = _Removal(parent_fd, device)
    removal.remove(parent_fd, name, name, 0)
    while removal.deep:
        moved = removal.deep.pop()
        removal.remove(parent_fd, moved, moved, 0)
    return removal.done


class _Removal:
    def __init__(self, parent_fd: int, device: int) -> None:
        self.parent_fd = parent_fd
        self.device = device
        self.deep: list[str] = []
        self.done = Removed()
        self._moved = 0

    def remove(self, folder_fd: int, name: str, path: str, depth: int) -> None:
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=folder_fd)
                self._count(status)
            elif status.st_dev != self.device:
                self.done.failures.append((path, "another filesystem is mounted there"))
            elif depth >= _MAX_DEPTH:
                self._move_up(folder_fd, name)
            else:
                self._remove_folder(folder_fd, name, path, depth, status)
        except FileNotFoundError:
            return
        except OSError as error:
            self.done.failures.append((path, error.strerror or type(error).__name__))

    def _remove_folder(
        self, folder_fd: int, name: str, path: str, depth: int, status: os.stat_result
    ) -> None:
        fd = self._open_writable(folder_fd, name)
        try:
            if os.fstat(fd).st_dev != self.device:
                self.done.failures.append((path, "another filesystem is mounted there"))
                return
            for child in os.listdir(fd):
                self.remove(fd, child, f"{path}/{child}", depth + 1)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=folder_fd)
        self._count(status)

    def _open_writable(self, folder_fd: int, name: str) -> int:
        try:
            fd = open_directory(name, folder_fd)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=folder_fd)
            return open_directory(name, folder_fd)
        mode = os.fstat(fd).st_mode
        if mode & 0o700 != 0o700 and os.fstat(fd).st_uid == os.geteuid():
            os.fchmod(fd, 0o700)
        return fd

    def _move_up(self, folder_fd: int, name: str) -> None:
        # Beside the tree, under a name nobody else makes: the parent is ours.
        while True:
            target = f".deep-{os.getpid()}-{self._moved}"
            self._moved += 1
            try:
                os.stat(target, dir_fd=self.parent_fd, follow_symlinks=False)
            except FileNotFoundError:
                break
        os.rename(name, target, src_dir_fd=folder_fd, dst_dir_fd=self.parent_fd)
        self.deep.append(target)

    def _count(self, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            self.done.allocated_bytes += status.st_blocks * 512
        self.done.files += 1
