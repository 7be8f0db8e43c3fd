"""Rights of root that a process keeps: the capability sets of the kernel.

No well-kept library does this with what Debian has; the two system calls are
``capget(2)`` and ``capset(2)``. A set belongs to one thread, and to those that it
starts later.
"""

from __future__ import annotations

import ctypes
import os

_CAPABILITIES_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3 of <linux/capability.h>

#: To read every file and search every folder.
READING = 1 << 2  # CAP_DAC_READ_SEARCH
#: To look at processes of other accounts.
LOOKING_AT_PROCESSES = 1 << 19  # CAP_SYS_PTRACE
#: To end processes of other accounts.
KILLING = 1 << 5  # CAP_KILL
#: To ignore every right of files: where root has not the first, it reads by this.
IGNORING_RIGHTS = 1 << 1  # CAP_DAC_OVERRIDE


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def permitted(libc: ctypes.CDLL) -> int:
    """Return the rights this thread may use, as a mask. Raises OSError."""
    return int(_sets(libc)[0].permitted)


def use_only(libc: ctypes.CDLL, rights: int) -> None:
    """Use these of the permitted rights from now on; the others may be taken up again."""
    sets = _sets(libc)
    sets[0] = _Set(sets[0].permitted & rights, sets[0].permitted, 0)
    sets[1] = _Set(0, sets[1].permitted, 0)
    _write(libc, sets)


def keep_only(libc: ctypes.CDLL, rights: int) -> None:
    """Give up all permitted rights but these, for good. Raises OSError."""
    kept = permitted(libc) & rights
    sets = (_Set * 2)()
    sets[0] = _Set(kept, kept, 0)
    _write(libc, sets)


def _sets(libc: ctypes.CDLL) -> ctypes.Array[_Set]:
    header, sets = _Header(_CAPABILITIES_VERSION, 0), (_Set * 2)()
    checked(libc.capget(ctypes.byref(header), ctypes.byref(sets)))
    return sets


def _write(libc: ctypes.CDLL, sets: ctypes.Array[_Set]) -> None:
    header = _Header(_CAPABILITIES_VERSION, 0)
    checked(libc.capset(ctypes.byref(header), ctypes.byref(sets)))


def checked(result: int) -> None:
    """Raise OSError where a function of the C library says that it failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
