"""Folders that the kernel encrypts (fscrypt): without their key no name in them can be found.

A path below one is then "not there", as it would be if it were deleted.

Source: linux/fscrypt.h; FS_IOC_GET_ENCRYPTION_POLICY_EX and FS_IOC_GET_ENCRYPTION_KEY_STATUS are
of Linux 5.4, need no rights, and work on any descriptor of the filesystem.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from enum import Enum

_GET_POLICY_EX = 0xC0096616
_GET_KEY_STATUS = 0xC080661A

_POLICY_SIZE = 24
_V1, _V2 = 0, 2
_DESCRIPTOR, _IDENTIFIER = 1, 2
_PRESENT = 2


class _Status(Enum):
    PLAIN = "not encrypted"
    OPEN = "encrypted, and its key is there"
    LOCKED = "encrypted, and its key is not there"
    UNKNOWN = "on a filesystem, or a kernel, without encryption"


class LockedFolders:
    """Tells folders without their key; asks each filesystem once whether it encrypts at all."""

    def __init__(self) -> None:
        self._encrypting: dict[int, bool] = {}

    def holds(self, path: str, device: int) -> bool:
        """Whether a folder, on the filesystem with this device number, is one of them."""
        if not self._encrypting.get(device, True):
            return False
        status = _status(path)
        self._encrypting[device] = status is not _Status.UNKNOWN
        return status is _Status.LOCKED


def is_locked(folder: str) -> bool:
    """Whether a folder is encrypted and its key is not there; False where that can't be told.

    Keys of first-version policies may lie in an account's keyring, where no other account sees
    them: such a folder counts as locked.
    """
    return _status(folder) is _Status.LOCKED


def _status(folder: str) -> _Status:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return _Status.PLAIN
    try:
        policy = bytearray(struct.pack("=Q", _POLICY_SIZE) + bytes(_POLICY_SIZE))
        fcntl.ioctl(fd, _GET_POLICY_EX, policy)
        version, identifier = policy[8], bytes(policy[16:32])
        if version == _V1:
            kind, identifier = _DESCRIPTOR, bytes(policy[12:20])
        elif version == _V2:
            kind = _IDENTIFIER
        else:
            return _Status.PLAIN
        asked = bytearray(struct.pack("=II32s", kind, 0, identifier) + bytes(88))
        fcntl.ioctl(fd, _GET_KEY_STATUS, asked)
        (status,) = struct.unpack_from("=I", asked, 64)
    except OSError as error:
        return _Status.PLAIN if error.errno == errno.ENODATA else _Status.UNKNOWN
    finally:
        os.close(fd)
    return _Status.OPEN if status == _PRESENT else _Status.LOCKED
