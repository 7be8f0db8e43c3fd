"""Delete a tree for good, among files that other people made.

Everything happens relative to directory descriptors; a link is unlinked,
never followed; what is mounted inside is never entered. The device number
does not tell a bind mount from a folder of the same filesystem, the identity
of the mount does (see ``fs.mounts.mount_id``): somebody's home folder bound
into a tree must outlive that tree.

A tree may be made to harm: a hundred thousand folders deep it would exhaust
the stack or the descriptors, so a folder below ``_MAX_DEPTH`` is first moved
up to the top of the tree and removed from there. It never leaves the tree: a
removal that is killed leaves nothing that the next one does not find.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from cacheadmin.fs.mounts import mount_id
from cacheadmin.fs.reading import open_directory

# Descriptors held at once stay below this; real caches are 30 folders deep.
_MAX_DEPTH = 64

_MOUNTED = "another filesystem is mounted there"


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
    removal = _Removal(device, mount_id(parent_fd))
    removal.remove(parent_fd, name, name, 0)
    return removal.done


class _Removal:
    def __init__(self, device: int, mount: int | None) -> None:
        self.device = device
        self.mount = mount
        self.done = Removed()
        self.top_fd = -1
        self._deep: list[str] = []
        self._moved = 0

    def remove(self, folder_fd: int, name: str, path: str, depth: int) -> bool:
        """Remove an entry; whether it is gone from its folder."""
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=folder_fd)
                self._count(status)
                return True
            if status.st_dev != self.device:
                return self._failed(path, _MOUNTED)
            if depth >= _MAX_DEPTH:
                return self._move_up(folder_fd, name, path)
            return self._remove_folder(folder_fd, name, path, depth, status)
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._failed(path, error.strerror or type(error).__name__)

    def _remove_folder(
        self, folder_fd: int, name: str, path: str, depth: int, status: os.stat_result
    ) -> bool:
        fd = _open_writable(folder_fd, name)
        try:
            if self._is_elsewhere(fd):
                return self._failed(path, _MOUNTED)
            if depth == 0:
                self.top_fd = fd
            emptied = self._empty(fd, path, depth)
            while depth == 0 and self._deep:
                moved = self._deep.pop()
                emptied &= self.remove(fd, moved, f"{path}/{moved}", 1)
        finally:
            os.close(fd)
        # With something left inside, rmdir could only repeat its failure.
        if emptied:
            os.rmdir(name, dir_fd=folder_fd)
            self._count(status)
        return emptied

    def _empty(self, fd: int, path: str, depth: int) -> bool:
        emptied = True
        for child in os.listdir(fd):
            emptied &= self.remove(fd, child, f"{path}/{child}", depth + 1)
        return emptied

    def _is_elsewhere(self, fd: int) -> bool:
        return os.fstat(fd).st_dev != self.device or mount_id(fd) != self.mount

    def _move_up(self, folder_fd: int, name: str, path: str) -> bool:
        # A folder moves to another parent only when it may be written to.
        fd = _open_writable(folder_fd, name)
        try:
            if self._is_elsewhere(fd):
                return self._failed(path, _MOUNTED)
        finally:
            os.close(fd)
        target = self._free_name()
        os.rename(name, target, src_dir_fd=folder_fd, dst_dir_fd=self.top_fd)
        self._deep.append(target)
        return True

    def _free_name(self) -> str:
        while True:
            self._moved += 1
            target = f".deep-{self._moved}"
            try:
                os.stat(target, dir_fd=self.top_fd, follow_symlinks=False)
            except FileNotFoundError:
                return target

    def _failed(self, path: str, reason: str) -> bool:
        self.done.failures.append((path, reason))
        return False

    def _count(self, status: os.stat_result) -> None:
        # The last of several names frees the blocks, and it is the last seen.
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            self.done.allocated_bytes += status.st_blocks * 512
        self.done.files += 1


def _open_writable(folder_fd: int, name: str) -> int:
    try:
        fd = open_directory(name, folder_fd)
    except PermissionError:
        _make_writable(folder_fd, name)
        return open_directory(name, folder_fd)
    status = os.fstat(fd)
    if status.st_mode & 0o700 != 0o700 and status.st_uid == os.geteuid():
        try:
            os.fchmod(fd, 0o700)
        except OSError:
            os.close(fd)
            raise
    return fd


def _make_writable(folder_fd: int, name: str) -> None:
    # chmod by name would follow a link put there meanwhile, to any file of the
    # caller's; a path-only descriptor pins the folder, and needs no right to read.
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    pinned = os.open(name, flags, dir_fd=folder_fd)
    try:
        os.chmod(f"/proc/self/fd/{pinned}", 0o700)
    finally:
        os.close(pinned)
