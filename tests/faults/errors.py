"""Which call can return which error: what a disk, a quota, a server or a limit does to it."""

from __future__ import annotations

import errno

from tests.support.supervised import Call

_READS = (errno.EIO, errno.EACCES, errno.ESTALE)
_DESCRIPTORS = (errno.EIO, errno.ESTALE)
_MAKES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EROFS, errno.ESTALE)
_CHANGES = (errno.EIO, errno.EACCES, errno.EROFS, errno.ESTALE)
_WRITES = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.ESTALE)

_BY_NAME: dict[str, tuple[int, ...]] = {
    "open": (*_READS, errno.EMFILE),
    "openat": (*_READS, errno.EMFILE),
    "openat2": (*_READS, errno.EMFILE),
    "write": _WRITES,
    "pwrite64": _WRITES,
    "ftruncate": _WRITES,
    "fsync": _WRITES,
    "fdatasync": _WRITES,
    "mkdir": _MAKES,
    "mkdirat": _MAKES,
    "symlink": _MAKES,
    "symlinkat": _MAKES,
    "link": (*_MAKES, errno.EXDEV),
    "linkat": (*_MAKES, errno.EXDEV),
    "rename": (*_MAKES, errno.EXDEV, errno.EBUSY),
    "renameat": (*_MAKES, errno.EXDEV, errno.EBUSY),
    "renameat2": (*_MAKES, errno.EXDEV, errno.EBUSY),
    "unlink": (*_CHANGES, errno.EBUSY),
    "unlinkat": (*_CHANGES, errno.EBUSY),
    "rmdir": (*_CHANGES, errno.EBUSY),
    "chmod": _CHANGES,
    "fchmod": _CHANGES,
    "fchmodat": _CHANGES,
    "chown": (*_CHANGES, errno.EDQUOT),
    "fchown": (*_CHANGES, errno.EDQUOT),
    "fchownat": (*_CHANGES, errno.EDQUOT),
    "utimensat": _CHANGES,
    "setxattr": _WRITES,
    "fsetxattr": _WRITES,
    "flock": (errno.ENOLCK, errno.EIO),
    "read": _DESCRIPTORS,
    "pread64": _DESCRIPTORS,
    "fstat": _DESCRIPTORS,
    "getdents64": _DESCRIPTORS,
    "fstatfs": _DESCRIPTORS,
}

#: Calls that change the disk: a kill before each is another state.
CHANGING = frozenset(_BY_NAME) - {
    *("open", "openat", "openat2", "read", "pread64", "fstat", "getdents64", "fstatfs", "flock")
}


def errors_of(call: Call) -> tuple[int, ...]:
    """Return what a call can return."""
    found = _BY_NAME.get(call.name, _READS)
    if call.creates:
        return (*found, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return found


def changes(call: Call) -> bool:
    """Whether the disk is another one after it."""
    return call.name in CHANGING or call.creates
