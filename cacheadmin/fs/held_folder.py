"""A folder that is read below its descriptor, whatever its path leads to meanwhile.

Who may write above a folder can put another one in its place, and back, between two
calls with the same path. So a process that reads one folder opens it once and works in
it (``fchdir``): paths below it are then looked up from there, by `below` and
`below_unfollowed`, and nothing on the way to it matters any more. Paths stay what they
were wherever they are shown, compared or kept.

One folder at a time, for a process that does nothing else: readers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cacheadmin.values import frozen


@frozen
class _Held:
    path: str
    prefix: str


_NONE = _Held("", "")
_held = [_NONE]


@contextmanager
def hold_folder(path: str) -> Iterator[os.stat_result]:
    """Hold the folder that a path leads to, links followed; yield its status.

    Raises OSError as opening does: NotADirectoryError for what is no folder. Where it may
    be opened and not entered, it is not held: then nothing below it can be looked at.
    """
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        with _working_in(fd, path):
            yield status
    finally:
        os.close(fd)


@contextmanager
def _working_in(fd: int, path: str) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.fchdir(fd)
            _held[0] = _Held(path, f"{path.rstrip('/')}/")
        except PermissionError:
            pass
        try:
            yield
        finally:
            if _held[0] is not _NONE:
                _held[0] = _NONE
                os.fchdir(before)
    finally:
        os.close(before)


def holds_folder() -> bool:
    """Whether this process holds a folder: what is in it is there, wherever its path leads."""
    return _held[0] is not _NONE


def below(path: str) -> str:
    """Return what to hand to a call that follows links, for a path."""
    held = _held[0]
    return "." if path == held.path and path else below_unfollowed(path)


def below_unfollowed(path: str) -> str:
    """Return what to hand to a call that does not follow a link at the path's end.

    The held folder's own path may be a link: that one is looked at by its path.
    """
    held = _held[0]
    if held is _NONE or not path.startswith(held.prefix):
        return path
    return path[len(held.prefix) :].lstrip("/") or "."


def is_gone_from(folder: str, path: str) -> bool:
    """Whether what was listed below a folder is not there any more, while that folder is.

    Where the folder is gone as well, a disk may have been taken away, or the process have ended
    through whose root both were seen: nothing is known then of what was in it.
    """
    there = os.path.lexists(below_unfollowed(folder))
    return there and not os.path.lexists(below_unfollowed(path))
