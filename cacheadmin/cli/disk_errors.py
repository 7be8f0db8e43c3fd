"""What is said when a write of ours fails and nobody closer to it has said why."""

from __future__ import annotations

import errno
import os

from cacheadmin.errors import CacheadminError, NoRoom, NotPermitted
from cacheadmin.fs.free_space import is_full

_FAILING = frozenset({errno.EIO, errno.EFBIG, errno.ESTALE, errno.EMFILE, errno.ENFILE})


def explained(error: OSError) -> CacheadminError | None:
    """Return an error of the disk, or of rights, in words; None for one that tells of neither."""
    place = os.fsdecode(error.filename) if error.filename is not None else ""
    words = f"{place}: {error.strerror}" if place else f"a write failed: {error.strerror}"
    if is_full(error):
        return NoRoom(words, hint="free some room there, or set another place in the policy")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return NotPermitted(words)
    if error.errno in _FAILING:
        return CacheadminError(words)
    return None
