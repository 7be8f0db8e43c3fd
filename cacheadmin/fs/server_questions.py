"""Have a network filesystem's server asked for attributes that its client would tell from memory.

A client of NFS answers ``stat`` from attributes that may be a minute old. Opening
a file asks the server, but a link can't be opened. ``statx(2)`` with
``AT_STATX_FORCE_SYNC`` asks too, and what it brings is what the next ``stat`` tells.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

# From <fcntl.h> and <linux/stat.h>.
_SYMLINK_NOFOLLOW = 0x100
_FORCE_SYNC = 0x2000
_BASIC_STATS = 0x7FF
_STATX_BYTES = 256


def ask_server(name: str, folder_fd: int) -> None:
    """Have attributes of a name in an open folder fetched, never following it.

    Costs one request on a network filesystem, nothing elsewhere. What can't be
    asked is left to the ``stat`` that comes after, which says why.
    """
    statx = _statx()
    if statx is None:
        return
    answer = ctypes.create_string_buffer(_STATX_BYTES)
    flags = _SYMLINK_NOFOLLOW | _FORCE_SYNC
    statx(folder_fd, os.fsencode(name), flags, _BASIC_STATS, answer)


@cache
def _statx() -> Any:
    # Missing from C libraries before glibc 2.28.
    function = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    if function is not None:
        function.argtypes = (
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_char_p,
        )
        function.restype = ctypes.c_int
    return function
