"""How much can still be written to a filesystem: bytes, files, and what a quota leaves.

``df`` tells the first two, and on ext4 and xfs what a project quota leaves of
them as well. A user's quota only ``quotactl`` knows, and a server's quota (NFS)
shows itself when a write fails.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from cacheadmin.errors import CacheadminError, NoRoom, NotPermitted
from cacheadmin.values import frozen

# No space, no inodes, or a quota that is used up.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

# quotactl_fd(2), Linux 5.14: the same number on every architecture.
_QUOTACTL_FD = 443
_GET_USER_QUOTA = 0x800007 << 8
# struct if_dqblk: hard and soft limit in KiB, bytes in use, then the same of files.
_QUOTA = struct.Struct("=8QI4x")
_KIB = 1024

# /proc/self/status shows them as a mask; this one is not held to quotas.
_CAP_SYS_RESOURCE = 24


@frozen
class FreeSpace:
    """What the caller can still write."""

    bytes: int
    """Free bytes; for root with those that are reserved for root."""

    files: int | None
    """Free inodes; None where the filesystem makes them as they are needed."""

    filesystem_bytes: int
    """Size of the filesystem in bytes."""

    by_quota: bool = False
    """Whether a quota of the caller leaves less than the filesystem has."""

    def has(self, bytes_wanted: int, files_wanted: int) -> bool:
        """Whether there is room for so much."""
        return self.bytes >= bytes_wanted and (self.files is None or self.files >= files_wanted)


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room: space, inodes or quota."""
    return error.errno in _FULL


def not_written(what: str, error: OSError) -> CacheadminError:
    """Return why something could not be written: no room, or no right."""
    words = f"{what}: {error.strerror}"
    return NoRoom(words, hint="free some room there") if is_full(error) else NotPermitted(words)


def free_space(fd: int) -> FreeSpace:
    """Return what is free where an open folder lies. Raises OSError."""
    found = os.fstatvfs(fd)
    privileged = os.geteuid() == 0
    size = found.f_frsize or found.f_bsize
    space = FreeSpace(
        (found.f_bfree if privileged else found.f_bavail) * size,
        (found.f_ffree if privileged else found.f_favail) if found.f_files else None,
        found.f_blocks * size,
    )
    quota = None if _no_quota_counts() else _quota_left(fd, os.geteuid())
    if quota is None:
        return space
    left_bytes, left_files = quota
    files = space.files
    if left_files is not None:
        files = left_files if files is None else min(files, left_files)
    bytes_left = space.bytes if left_bytes is None else min(space.bytes, left_bytes)
    return FreeSpace(
        bytes_left,
        files,
        space.filesystem_bytes,
        by_quota=(bytes_left, files) != (space.bytes, space.files),
    )


def can_write(folder_fd: int, bytes_wanted: int) -> bool | None:
    """Whether so many bytes can be written in an open folder; None where that can't be tried.

    What is tried is a file without a name, which no user sees and which goes when
    it is closed. Numbers are no proof: of ext4's free blocks some are for ext4
    alone, and a server's quota shows in no number.
    """
    flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
    try:
        fd = os.open(".", flags, 0o600, dir_fd=folder_fd)
    except OSError as error:
        return False if is_full(error) else None
    try:
        os.posix_fallocate(fd, 0, bytes_wanted)
    except OSError as error:
        return False if is_full(error) else None
    finally:
        os.close(fd)
    return True


def commit(fd: int) -> None:
    """Have everything written to the filesystem of an open file or folder; failing is no matter."""
    ctypes.CDLL(None, use_errno=True).syncfs(fd)


def _quota_left(fd: int, uid: int) -> tuple[int | None, int | None] | None:
    """Return the (bytes, files) a user's quota leaves, None for no limit; None without quotas."""
    buffer = ctypes.create_string_buffer(_QUOTA.size)
    call = ctypes.CDLL(None, use_errno=True).syscall
    if call(_QUOTACTL_FD, fd, ctypes.c_uint(_GET_USER_QUOTA), uid, buffer) != 0:
        # No quotas here, a network filesystem, or an older kernel.
        return None
    hard_kib, _, used, hard_files, _, used_files, _, _, _ = _QUOTA.unpack(buffer.raw)
    return (
        max(0, hard_kib * _KIB - used) if hard_kib else None,
        max(0, hard_files - used_files) if hard_files else None,
    )


def _no_quota_counts() -> bool:
    """Whether the caller's rights lift quotas, as root's do."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    except (OSError, ValueError):
        pass
    return False
