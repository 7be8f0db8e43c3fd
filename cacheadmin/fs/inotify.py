"""inotify(7): what the kernel tells of names that come and go in folders.

It tells of what happens through this host's kernel, and only so much at once:
`OVERFLOW` says that notices were lost. No well-kept library that needs nothing
but the C library has descriptors and masks as they are.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

# From <sys/inotify.h>.
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
UNMOUNT, OVERFLOW, IS_FOLDER = 0x2000, 0x4000, 0x4000_0000
ONLY_FOLDERS, DONT_FOLLOW = 0x0100_0000, 0x0200_0000

COMES_AND_GOES = MOVED_FROM | MOVED_TO | CREATE | DELETE

_HEADER = struct.Struct("iIII")
_BUFFER_BYTES = 256 * 1024


def open_inotify() -> int:
    """Return a descriptor that becomes readable when something happens. Raises OSError."""
    return _checked(_libc().inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))


def add_watch(fd: int, path: bytes, mask: int) -> int:
    """Watch a folder; return the watch's number, the same for the same folder. Raises OSError."""
    return _checked(_libc().inotify_add_watch(fd, path, mask))


def notices(fd: int) -> Iterator[tuple[int, int, str]]:
    """Yield what has happened and was not read yet: watch, mask, name. Raises OSError."""
    while True:
        try:
            data = os.read(fd, _BUFFER_BYTES)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            name = os.fsdecode(data[position : position + length].rstrip(b"\0"))
            position += length
            yield watch, mask, name


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        raise OSError(errno.ENOSYS, "there is no inotify")
    libc.inotify_init1.argtypes = (ctypes.c_int,)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    return libc
