"""Buckets and our folder in them: opened, and made where they are missing.

Users can write to a shared cache. A bucket may be a link into another user's home,
``cacheadmin`` another user's private folder, and both may be swapped while we look.
So each step is one name in an open folder, no link is ever followed, and what is
mounted on a bucket is not entered: whatever is done here is done inside the
cache, or not at all.

A folder that we make must be usable by every user of the cache: uv opens
``sdists-v*/.git`` for writing in every command, and fails when it may not
create it there (facts section 11). It gets owner, group, mode and access lists
of the cache's root, before any user can see it (``fs.new_folders``).

Our folder carries a marker: a file of the folder's own owner that no other user
can write. Whatever else has the folder's name belongs to a user, and is left alone.
"""

from __future__ import annotations

import errno
import os
import stat

from cacheadmin.fs.mounts import mount_id
from cacheadmin.fs.new_folders import make_folder
from cacheadmin.fs.rights import Rights, rights_below
from cacheadmin.fs.small_files import kind_words, open_directory
from cacheadmin.protect.roots import is_planted
from cacheadmin.uv.layout import ROOTS_FOLDER

# An attacker may put something in the way again and again.
_ATTEMPTS = 5

# The file in our folder that says so.
MARKER = ".cacheadmin"
_OTHERS_WRITE = 0o022
_MARKER_WORDS = (
    b"cacheadmin protects archives in use with the links in this folder.\n"
    b"Do not change anything; `cacheadmin protect --remove` takes it away.\n"
)


class Obstacle(OSError):
    """Something other than a folder of the cache's filesystem is where one should be."""


class NotOurs(Obstacle):
    """A folder that we did not make has our folder's name."""


def rights_of(cache_fd: int) -> Rights:
    """Return what our folders get: what the cache's root has, or gives to what is made in it."""
    return rights_below(cache_fd)


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
    # A bind mount of a user's home has the cache's own device number.
    if os.fstat(fd).st_dev != os.fstat(parent_fd).st_dev or mount_id(fd) != mount_id(parent_fd):
        os.close(fd)
        raise Obstacle(errno.EXDEV, "another filesystem is mounted there", name)
    return fd


def open_or_make_folder(
    parent_fd: int, name: str, rights: Rights, workshop_fd: int | None = None
) -> int:
    """Return a descriptor of a folder, made with these rights where it is missing.

    What is there keeps the rights it has. Raises OSError.
    """
    for _ in range(_ATTEMPTS):
        try:
            return open_folder(parent_fd, name)
        except FileNotFoundError:
            pass
        try:
            return make_folder(parent_fd, name, rights, workshop_fd=workshop_fd)
        except FileExistsError:
            continue
    raise Obstacle(errno.EBUSY, "another process removes it as often as it is made", name)


def trusted_owners(cache_fd: int) -> frozenset[int]:
    """Return whose folders in a cache may be ours when they have lost their marker."""
    return frozenset({0, os.geteuid(), os.fstat(cache_fd).st_uid})


def open_own_folder(bucket_fd: int, trusted: frozenset[int]) -> int:
    """Return a descriptor of our folder in a bucket.

    Raises FileNotFoundError, NotOurs for what else has its name, and OSError.
    """
    try:
        fd = open_folder(bucket_fd, ROOTS_FOLDER)
    except Obstacle as obstacle:
        raise _not_ours(str(obstacle.strerror)) from None
    try:
        _require_ours(fd, trusted)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_or_make_own_folder(
    bucket_fd: int, rights: Rights, trusted: frozenset[int], workshop_fd: int | None = None
) -> int:
    """Return a descriptor of our folder in a bucket, made where it is missing.

    Raises NotOurs for what else has its name, and OSError.
    """
    for _ in range(_ATTEMPTS):
        try:
            fd = open_own_folder(bucket_fd, trusted)
        except FileNotFoundError:
            pass
        else:
            # Killed members and careless ones may have taken the marker away.
            _mark(fd)
            return fd
        try:
            return make_folder(
                bucket_fd, ROOTS_FOLDER, rights, workshop_fd=workshop_fd, furnish=_mark
            )
        except FileExistsError:
            continue
    raise Obstacle(errno.EBUSY, "another process puts something else there each time", ROOTS_FOLDER)


def _require_ours(fd: int, trusted: frozenset[int]) -> None:
    owner = os.fstat(fd).st_uid
    try:
        marker = os.stat(MARKER, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        if owner in trusted and all(is_planted(name) for name in os.listdir(fd)):
            return
        raise _not_ours(f"it is a folder of uid {owner} without our marker") from None
    ours = stat.S_ISREG(marker.st_mode) and marker.st_nlink == 1 and marker.st_uid == owner
    if not ours or stat.S_IMODE(marker.st_mode) & _OTHERS_WRITE:
        raise _not_ours(f"it is a folder of uid {owner}, and its marker is not ours")


def _mark(fd: int) -> None:
    """Put the marker into a folder that is ours, unless it is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        marker = os.open(MARKER, flags, 0o600, dir_fd=fd)
    except (FileExistsError, PermissionError):
        return
    try:
        os.write(marker, _MARKER_WORDS)
        above = os.fstat(fd)
        if os.geteuid() == 0:
            os.fchown(marker, above.st_uid, above.st_gid)
        os.fchmod(marker, 0o644)
    finally:
        os.close(marker)


def _not_ours(what: str) -> NotOurs:
    return NotOurs(errno.EPERM, f"{what}; it is not ours and is left alone", ROOTS_FOLDER)


def _what_is_there(parent_fd: int, name: str) -> str:
    try:
        mode = os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode
    except OSError:
        return "it can't be opened as a folder"
    return f"it is {kind_words(mode)}, not a folder"
