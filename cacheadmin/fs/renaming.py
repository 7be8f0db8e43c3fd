"""Rename without ever replacing what is there.

``rename(2)`` replaces an existing file, and an empty folder, without a word.
Looking first leaves a moment in which somebody else may make the name; the
kernel's ``RENAME_NOREPLACE`` does not. Filesystems that lack it (NFS) get the
look and the rename.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any

_NOREPLACE = 1
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def rename_to_free_name(name: str, source_fd: int, target_fd: int) -> None:
    """Move ``name`` from one open folder to another, under the same name.

    Raises FileExistsError when the name is taken there, OSError otherwise.
    """
    renameat2 = _renameat2()
    if renameat2 is not None:
        raw = os.fsencode(name)
        if renameat2(source_fd, raw, target_fd, raw, _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), name)
    try:
        os.stat(name, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


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
