"""Which bytes of a file lie where another file's bytes lie too (clones), by FIEMAP.

A clone (reflink) has an inode and a link count of its own, so nothing in
``stat`` tells it from a copy; the filesystem marks each of its extents as
shared. It does not say with which files: to learn whether a removal
frees them, the other files have to be found (``accounting``).

Source: Documentation/filesystems/fiemap.rst of the kernel.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterator

from cacheadmin.values import frozen

_FS_IOC_FIEMAP = 0xC020660B
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
# FIEMAP_FLAG_SYNC: what was written a moment ago has no place on the device else.
_WRITTEN_FIRST = 0x1
_LAST = 0x1
_NOT_ON_DISK = 0x2 | 0x4 | 0x200  # unknown, not yet allocated, inside the inode
_SHARED = 0x2000

_PER_CALL = 128
# A user may write a file of millions of extents; a file of uv's has a few.
_MAX_CALLS = 512


@frozen
class SharedExtents:
    """The parts of one file that it shares with other files."""

    ranges: tuple[tuple[int, int], ...]
    """(first, past the last) byte on the device of each part."""
    complete: bool = True
    """Whether all extents were looked at; if not, any other part may be shared as well."""


def shared_extents(name: str, dir_fd: int | None = None) -> SharedExtents:
    """Return the extents that a regular file shares with other files.

    No link is followed as the last component. Raises OSError: the file can't
    be opened, or the filesystem can't tell.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=dir_fd)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return SharedExtents(())
        return _read(fd)
    finally:
        os.close(fd)


@frozen
class Extent:
    """One piece of a file on the device."""

    logical: int
    """Where in the file it begins, in bytes."""
    physical: int
    """Where on the device it begins, in bytes."""
    length: int
    """How long it is, in bytes."""
    shared: bool
    """Whether another file has it too."""


def extents_of(fd: int) -> tuple[Extent, ...] | None:
    """Return the extents of an open file that are on the device; None: there are too many.

    What is not written yet is written first.
    Raises OSError: the filesystem can't tell.
    """
    found: list[Extent] = []
    start = 0
    for _ in range(_MAX_CALLS):
        end, flags = start, _LAST
        for logical, physical, length, flags in _call(fd, start, _WRITTEN_FIRST):
            end = logical + length
            if not flags & _NOT_ON_DISK:
                found.append(Extent(logical, physical, length, bool(flags & _SHARED)))
        if flags & _LAST or end <= start:
            return tuple(found)
        start = end
    return None


def _read(fd: int) -> SharedExtents:
    ranges: list[tuple[int, int]] = []
    start = 0
    for _ in range(_MAX_CALLS):
        end, flags = start, _LAST
        for logical, physical, length, flags in _call(fd, start):
            end = logical + length
            if flags & _SHARED and not flags & _NOT_ON_DISK:
                ranges.append((physical, physical + length))
        if flags & _LAST or end <= start:
            return SharedExtents(tuple(ranges))
        start = end
    return SharedExtents(tuple(ranges), complete=False)


def _call(fd: int, start: int, asked: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Yield (logical, physical, length, flags) of some extents from an offset on."""
    buffer = bytearray(_HEADER.size + _PER_CALL * _EXTENT.size)
    _HEADER.pack_into(buffer, 0, start, 2**64 - 1 - start, asked, 0, _PER_CALL, 0)
    fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer, True)
    mapped = min(_HEADER.unpack_from(buffer, 0)[3], _PER_CALL)
    for number in range(mapped):
        logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(
            buffer, _HEADER.size + number * _EXTENT.size
        )
        yield logical, physical, length, flags
