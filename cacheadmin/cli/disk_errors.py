"""What is reported when a read or write of ours fails and no code closer to it has said why."""

from __future__ import annotations

import errno
import os

from cacheadmin.errors import CacheadminError, NoRoom, NotPermitted
from cacheadmin.fs.free_space import is_full

_LOG = "the kernel's log (dmesg) tells of a failing disk or server"

_FAILING = frozenset({errno.EIO, errno.EFBIG, errno.ESTALE, errno.EMFILE, errno.ENFILE})


def explained(error: OSError) -> CacheadminError | None:
    """Return an error of the disk, or of rights, in words; None for one that tells of neither."""
    # What is listed through a descriptor has its number for a name.
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    words = f"{place or 'the filesystem failed'}: {error.strerror}"
    if is_full(error):
        return NoRoom(words, hint="free some room there, or set another place in the policy")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return NotPermitted(words)
    if error.errno == errno.EBUSY:
        return CacheadminError(words, hint="what uses it, a mount perhaps, has to let go of it")
    if error.errno in _FAILING:
        return CacheadminError(words, hint=_LOG)
    return None
