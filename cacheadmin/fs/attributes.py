"""Extended attributes of files, through pyxattr: access lists, and when an archive was last used.

Whatever lies in a cache is named by an open descriptor. Where a name within an
open folder is meant, no link is followed: its owner may have put one there.
"""

from __future__ import annotations

import errno
import os

import xattr  # type: ignore[import-not-found]  # it has no types

# There is no such attribute, or the filesystem keeps none, or was not told to.
_NONE_THERE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def attribute(place: int | str, name: str, *, follow: bool = True) -> bytes | None:
    """Return an attribute's bytes; None where the file lacks it, or no file can have it here.

    ``place`` is a descriptor, or a path. Raises OSError where it can't be read.
    """
    try:
        content: bytes = xattr.get(_named(place), name, not follow)
    except OSError as error:
        if error.errno in _NONE_THERE:
            return None
        raise
    return content


def attribute_names(fd: int) -> frozenset[str]:
    """Return the names of the attributes of an open file. Raises OSError."""
    try:
        return frozenset(os.fsdecode(name) for name in xattr.list(fd))
    except OSError as error:
        if error.errno in _NONE_THERE:
            return frozenset()
        raise


def keeps_attribute(place: int | str, name: str) -> bool:
    """Whether a filesystem keeps an attribute of this name for a file, set or not.

    Raises OSError where that can't be told.
    """
    try:
        xattr.get(_named(place), name, True)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return True
        if error.errno in _NONE_THERE:
            return False
        raise
    return True


def set_attribute(fd: int, name: str, content: bytes | None) -> None:
    """Set an attribute of an open file; None removes it where it is there. Raises OSError."""
    if content is not None:
        xattr.set(fd, name, content)
        return
    try:
        xattr.remove(fd, name)
    except OSError as error:
        if error.errno not in _NONE_THERE:
            raise


def _named(place: int | str) -> int | bytes:
    return os.fsencode(place) if isinstance(place, str) else place
