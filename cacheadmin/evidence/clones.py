"""Tell a clone (shared extents) from a copy, by FIEMAP. For the report only.

Both survive a prune alike; only the bytes that a removal frees differ. uv
clones by default since 0.10.5, on filesystems that can (facts section 5).
"""

from __future__ import annotations

import fcntl
import os
import struct

_FS_IOC_FIEMAP = 0xC020660B
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_SHARED = 0x2000
_EXTENTS = 32


def shares_extents(path: str) -> bool:
    """Whether a file's first extents are shared with another file.

    False where the filesystem cannot tell, and for empty files.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        buffer = bytearray(_HEADER.size + _EXTENTS * _EXTENT.size)
        _HEADER.pack_into(buffer, 0, 0, 2**64 - 1, 0, 0, _EXTENTS, 0)
        fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer, True)
        mapped = _HEADER.unpack_from(buffer, 0)[3]
        return any(
            _EXTENT.unpack_from(buffer, _HEADER.size + number * _EXTENT.size)[5] & _SHARED
            for number in range(min(mapped, _EXTENTS))
        )
    except OSError:
        return False
    finally:
        os.close(fd)
