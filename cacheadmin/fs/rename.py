"""Rename without ever replacing what is there, and exchange two names in one step.

``rename(2)`` replaces an existing file, and an empty folder, without a word.
Looking first leaves a moment in which another process may make the name; the
kernel's ``RENAME_NOREPLACE`` does not. Filesystems that lack it (NFS) get the
look and the rename. An exchange has no such replacement: where the filesystem
lacks it, the caller needs two steps and a way to end them after a kill.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Any

_NOREPLACE = 1
_EXCHANGE = 2
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def rename_to_free_name(name: str, source_fd: int, target_fd: int) -> None:
    """Move ``name`` from one open folder to another, under the same name.

    Raises FileExistsError when the name is taken there, OSError otherwise.
    """
    move_to_free_name(name, source_fd, name, target_fd)


def move_to_free_name(name: str, source_fd: int, target: str, target_fd: int) -> None:
    """Move ``name`` to ``target`` in another open folder; raises as ``rename_to_free_name``."""
    if _rename(name, source_fd, target, target_fd, _NOREPLACE):
        return
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def exchange(name: str, source_fd: int, target: str, target_fd: int) -> bool:
    """Let two names that both exist change places, at once for every user.

    Return False where the filesystem can't (NFS). Raises OSError.
    """
    return _rename(name, source_fd, target, target_fd, _EXCHANGE)


def _rename(name: str, source_fd: int, target: str, target_fd: int, how: int) -> bool:
    """Rename with a flag; whether the kernel and the filesystem know it."""
    # As Python does for its own calls: an audit hook for file accesses sees these too.
    sys.audit("cacheadmin.rename", name, target, how)
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(source_fd, os.fsencode(name), target_fd, os.fsencode(target), how) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), name)


@cache
def _renameat2() -> Any:
    # Missing from C libraries before glibc 2.28, and from older musl.
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        )
        function.restype = ctypes.c_int
    return function
