"""Buckets and our folder in them: opened, made and given rights.

Users can write to a shared cache. A bucket may be a link into somebody's home,
``cacheadmin`` a file or a link, and both may be swapped while we look. So each
step is one name in an open folder, no link is ever followed, and what is
mounted on a bucket is not entered: whatever is done here is done inside the
cache, or not at all.

A folder that we make must be usable by everybody who uses the cache: uv opens
``sdists-v*/.git`` for writing in every command, and fails when it may not
create it there (facts section 11). It gets owner, group and mode of the cache's root.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from cacheadmin.fs.mounts import mount_id
from cacheadmin.fs.reading import kind_words, open_directory
from cacheadmin.uv.layout import ROOTS_FOLDER

# Set user id means nothing on a folder; a sticky one breaks uv's renames, and
# lets nobody but its owner's links be followed (fs.protected_symlinks).
_KEPT_BITS = 0o2777

# An attacker may put something in the way again and again.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Rights:
    """Owner, group and mode that a folder in the cache should have."""

    uid: int
    gid: int
    mode: int


class Obstacle(OSError):
    """Something other than a folder of the cache's filesystem is where one should be."""


def rights_of(cache_fd: int) -> Rights:
    """Return what our folders get: what the cache's root has."""
    status = os.fstat(cache_fd)
    mode = stat.S_IMODE(status.st_mode) & _KEPT_BITS
    return Rights(status.st_uid, status.st_gid, mode | stat.S_IRWXU)


def open_folder(parent_fd: int, name: str) -> int:
    """Return a descriptor of a folder in an open one.

    Raises FileNotFoundError, and Obstacle where it is no folder, or lies on
    another mount than its parent.
    """
    try:
        fd = open_directory(name, parent_fd)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Obstacle(error.errno, _what_is_there(parent_fd, name), name) from None
    # A bind mount of somebody's home has the cache's own device number.
    if os.fstat(fd).st_dev != os.fstat(parent_fd).st_dev or mount_id(fd) != mount_id(parent_fd):
        os.close(fd)
        raise Obstacle(errno.EXDEV, "another filesystem is mounted there", name)
    return fd


def open_or_make_folder(parent_fd: int, name: str, rights: Rights) -> int:
    """Return a descriptor of a folder, made with these rights where it is missing.

    Raises OSError.
    """
    for _ in range(_ATTEMPTS):
        try:
            return open_folder(parent_fd, name)
        except FileNotFoundError:
            _make_folder(parent_fd, name, rights)
    raise Obstacle(errno.EBUSY, "somebody removes it as often as it is made", name)


def open_or_make_own_folder(bucket_fd: int, rights: Rights) -> int:
    """Return a descriptor of our folder in a bucket; what is in its place goes.

    The name is ours: whatever else has it, a link or a file, was put there
    to keep roots away. Raises OSError.
    """
    for _ in range(_ATTEMPTS):
        try:
            fd = open_or_make_folder(bucket_fd, ROOTS_FOLDER, rights)
        except Obstacle as obstacle:
            if obstacle.errno == errno.EXDEV:
                raise
            _unlink_what_is_no_folder(bucket_fd, ROOTS_FOLDER)
            continue
        _correct_rights(fd, rights)
        return fd
    raise Obstacle(errno.EBUSY, "somebody puts something else there each time", ROOTS_FOLDER)


def _make_folder(parent_fd: int, name: str, rights: Rights) -> None:
    """Make a folder that everybody can use from its first moment, under its own name.

    No other name for a while: a prune that lists the parent in that while
    would fail at what it finds gone.
    """
    old = os.umask(0)
    try:
        os.mkdir(name, rights.mode & 0o777, dir_fd=parent_fd)
    except FileExistsError:
        return
    finally:
        os.umask(old)
    try:
        fd = open_directory(name, parent_fd)
        try:
            give(fd, rights)
        finally:
            os.close(fd)
    except OSError:
        os.rmdir(name, dir_fd=parent_fd)
        raise


def give(fd: int, rights: Rights) -> None:
    """Give a folder these rights. Raises PermissionError."""
    status = os.fstat(fd)
    # Only root gives away; a member of the group shares what they make.
    uid = rights.uid if os.geteuid() == 0 else status.st_uid
    if (status.st_uid, status.st_gid) != (uid, rights.gid):
        os.fchown(fd, uid, rights.gid)
    if stat.S_IMODE(os.fstat(fd).st_mode) != rights.mode:
        os.fchmod(fd, rights.mode)


def _correct_rights(fd: int, rights: Rights) -> None:
    """Give a folder that somebody else made the rights it should have, where we may."""
    try:
        give(fd, rights)
    except PermissionError:
        pass


def _unlink_what_is_no_folder(parent_fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent_fd)
    except (FileNotFoundError, IsADirectoryError):
        # It changed meanwhile: the next attempt sees what it is now.
        pass


def _what_is_there(parent_fd: int, name: str) -> str:
    try:
        mode = os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode
    except OSError:
        return "it can't be opened as a folder"
    return f"it is {kind_words(mode)}, not a folder"
