"""Delete a tree for good, among files that other people made.

Everything happens relative to directory descriptors; a link is unlinked,
never followed; what is mounted inside is never entered. The device number
does not tell a bind mount from a folder of the same filesystem, the identity
of the mount does (see ``fs.mounts.mount_id``): a user's home folder bound
into a tree must outlive that tree.

A tree may be made to harm: a hundred thousand folders deep it would exhaust
the stack or the descriptors, so a folder below ``_MAX_DEPTH`` is first moved
up to the top of the tree and removed from there. It never leaves the tree: a
removal that is killed leaves nothing that the next one does not find.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

from cacheadmin.fs.mounts import mount_id
from cacheadmin.fs.small_files import open_directory
from cacheadmin.values import frozen

# Descriptors held at once stay below this; real caches are 30 folders deep.
_MAX_DEPTH = 64

_MOUNTED = "another filesystem is mounted there"


#: How names begin that NFS and FUSE give a deleted file which a process of this host has open.
LEFT_OPEN = (".nfs", ".fuse_hidden")


class FileIdentity(NamedTuple):
    """Device and inode of a file."""

    device: int
    inode: int


@frozen
class StillOpen:
    """A deleted file that stays, under another name, until a process of this host closes it."""

    path: str
    """Where it is now, from the tree's name on."""

    identity: FileIdentity
    """Device and inode of the file, by which a process that has it open is found."""


@dataclass(slots=True)
class Removed:
    """What a removal did."""

    files: int = 0
    """How many names were removed: files, links and folders."""
    allocated_bytes: int = 0
    """Bytes on the disk of what has no name any more."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(path from the tree's name on, reason) of what could not be removed."""
    still_open: list[StillOpen] = field(default_factory=list)
    """What was deleted and is open on this host; the folders above it stay, and are no failures."""


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
        self._open: set[FileIdentity] = set()

    def remove(self, folder_fd: int, name: str, path: str, depth: int) -> bool:
        """Remove an entry; whether it is gone from its folder."""
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return self._remove_file(folder_fd, name, path, status)
            if status.st_dev != self.device:
                return self._failed(path, _MOUNTED)
            if depth >= _MAX_DEPTH:
                return self._move_up(folder_fd, name, path)
            return self._remove_folder(folder_fd, name, path, depth, status)
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._failed(path, error.strerror or type(error).__name__)

    def _remove_file(self, folder_fd: int, name: str, path: str, status: os.stat_result) -> bool:
        try:
            os.unlink(name, dir_fd=folder_fd)
        except OSError as error:
            # So an NFS client answers for the name it gave a file that is still open.
            if error.errno == errno.EBUSY and name.startswith(LEFT_OPEN):
                return self._left_open(path, status)
            raise
        self._count(status)
        return True

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
            # With something left inside, rmdir could only repeat its failure.
            if emptied:
                emptied = self._remove_emptied(folder_fd, name, fd)
            if emptied:
                self._count(status)
            else:
                self._look_for_open_files(fd, path)
        finally:
            os.close(fd)
        return emptied

    def _empty(self, fd: int, path: str, depth: int) -> bool:
        """Remove what is in a folder; whether all of it is gone.

        There are a hundred files for each folder: they are removed here, without a
        call more than their count and removal need.
        """
        emptied = True
        files = allocated_bytes = 0
        is_folder, stat_name, unlink = stat.S_ISDIR, os.stat, os.unlink
        for child in os.listdir(fd):
            try:
                status = stat_name(child, dir_fd=fd, follow_symlinks=False)
                if not is_folder(status.st_mode):
                    unlink(child, dir_fd=fd)
                    files += 1
                    # The last of several names frees the blocks, and it is the last seen.
                    if status.st_nlink == 1:
                        allocated_bytes += status.st_blocks * 512
                    continue
            except OSError:
                # Tried once more, with words for what fails.
                pass
            emptied &= self.remove(fd, child, f"{path}/{child}", depth + 1)
        self.done.files += files
        self.done.allocated_bytes += allocated_bytes
        return emptied

    def _remove_emptied(self, folder_fd: int, name: str, fd: int) -> bool:
        """Remove a folder after all that was in it; False where open files stand there again."""
        try:
            os.rmdir(name, dir_fd=folder_fd)
        except OSError as error:
            again = error.errno in (errno.ENOTEMPTY, errno.EEXIST) and _listed_anew(fd)
            if not again or not all(one.startswith(LEFT_OPEN) for one in again):
                raise
            return False
        return True

    def _look_for_open_files(self, fd: int, path: str) -> None:
        for name in _listed_anew(fd):
            if name.startswith(LEFT_OPEN):
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._left_open(f"{path}/{name}", status)

    def _left_open(self, path: str, status: os.stat_result) -> bool:
        identity = FileIdentity(status.st_dev, status.st_ino)
        if identity not in self._open:
            self._open.add(identity)
            self.done.still_open.append(StillOpen(path, identity))
        return False

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


def _listed_anew(fd: int) -> list[str]:
    # What was opened before the deletions may answer with what it listed then (sshfs, NFS).
    again = open_directory(".", fd)
    try:
        return os.listdir(again)
    finally:
        os.close(again)


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
