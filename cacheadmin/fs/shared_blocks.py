"""Let two files share their blocks, where they are equal, by FIDEDUPERANGE.

The kernel compares both ranges with both files locked, and shares only what is
equal, byte for byte: whatever a user does to a file at the same time, no content ever
changes. Inodes, names, owners, modes and times stay.

Source: ioctl_fideduperange(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

_FIDEDUPERANGE = 0xC0189436
_HEADER = struct.Struct("=QQHHI")
_TARGET = struct.Struct("=qQQiI")
_DIFFERS = 1

# btrfs does no more at once; larger files take more calls.
_PER_CALL = 16 * 1024 * 1024


class CanNotShare(Exception):
    """The filesystem has no shared extents."""


def share_blocks(
    source_fd: int, target_fd: int, length: int, step: Callable[[], None] = lambda: None
) -> bool:
    """Let an open file share the blocks of another, over its whole length.

    ``step`` is called after each piece: large files take long.

    Returns False when they differ: what was equal before that is shared. Raises
    CanNotShare for a filesystem that can't, OSError for these files alone.
    """
    done = 0
    while done < length:
        size = min(_PER_CALL, length - done)
        buffer = bytearray(_HEADER.size + _TARGET.size)
        _HEADER.pack_into(buffer, 0, done, size, 1, 0, 0)
        _TARGET.pack_into(buffer, _HEADER.size, target_fd, done, 0, 0, 0)
        try:
            fcntl.ioctl(source_fd, _FIDEDUPERANGE, buffer, True)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS):
                raise CanNotShare from None
            raise
        _, _, shared, status, _ = _TARGET.unpack_from(buffer, _HEADER.size)
        if status == _DIFFERS:
            return False
        if status < 0:
            if -status in (errno.EOPNOTSUPP, errno.ENOTTY):
                raise CanNotShare
            raise OSError(-status, os.strerror(-status))
        if shared == 0:
            raise OSError(errno.EIO, "nothing was shared")
        done += shared
        step()
    return True
