"""Look at a folder without its links' access times moving.

``O_NOATIME`` spares files and folders, but reading a symlink moves the
symlink's own access time (under ``relatime`` once a day, or after a change),
and nothing an application can open prevents that. A bind mount with
``noatime`` does. It is made in a mount namespace of this process alone, so
no other user sees it and it ends with the process; only root may do so.
"""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x00020000
_MS_REMOUNT = 0x20
_MS_NOATIME = 0x400
_MS_NODIRATIME = 0x800
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000


def stop_recording_access_times(path: str) -> bool:
    """Make access times below a folder stand still for this process.

    Returns False where that is not allowed or possible (not root, a
    container): looking then may move the access times of links. Call it
    before the folder is opened.
    """
    if os.geteuid() != 0 or not os.path.isdir(path):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    folder = os.fsencode(path)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return False
    # First of all private: otherwise the mount would appear for every user.
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    if libc.mount(folder, folder, None, _MS_BIND, None) != 0:
        return False
    flags = _MS_BIND | _MS_REMOUNT | _MS_NOATIME | _MS_NODIRATIME
    return bool(libc.mount(b"none", folder, None, flags, None) == 0)
