"""Bounded reads that follow no link and hang on nothing.

A user may put a FIFO, a device, a link to another user's secret, or a terabyte
where a small file is expected. A failed read is a value: the planner has to
weigh what could not be seen.
"""

from __future__ import annotations

import errno
import os
import stat

from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.values import frozen

# These say that nothing is there, or nothing that could be read. Every other error may pass, or
# is one of this account's: a FUSE server that is gone (ENOTCONN), a full table of files.
_TELLING = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.EINVAL, errno.EISDIR, errno.ENXIO, errno.ENODEV),
    }
)
_BASE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@frozen
class ReadFailure:
    """Why something could not be read."""

    path: str
    """Its path, as the reader was given it."""
    reason: str
    """Why, in words."""
    missing: bool = False
    """Whether it is not there."""
    blocked: bool = False
    """Whether something keeps it from being read, such as rights: it may be what it should be."""


def read_file(name: str, limit: int, dir_fd: int | None = None) -> bytes | ReadFailure:
    """Return the content of a regular file of at most ``limit`` bytes.

    The last component is never followed when it is a link.
    """
    found = read_file_and_status(name, limit, dir_fd)
    return found if isinstance(found, ReadFailure) else found[0]


def read_file_and_status(
    name: str, limit: int, dir_fd: int | None = None
) -> tuple[bytes, os.stat_result] | ReadFailure:
    """Return a file's content as `read_file` does, with the status of that very file.

    A user who can swap the file between two calls can't give it another owner.
    """
    opened = open_file(name, dir_fd)
    if isinstance(opened, ReadFailure):
        return opened
    fd, status = opened
    try:
        content = read_opened(name, fd, status, limit)
        return content if isinstance(content, ReadFailure) else (content, status)
    finally:
        os.close(fd)


def open_file(name: str, dir_fd: int | None = None) -> tuple[int, os.stat_result] | ReadFailure:
    """Return a descriptor of a regular file and its status, for what is too large to read whole.

    Never waits for a FIFO's other end, never follows the last component.
    """
    fd = -1
    try:
        fd = _open_quietly(name, _BASE_FLAGS, dir_fd)
        status = os.fstat(fd)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        return failure(name, error)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    return ReadFailure(name, f"not a regular file but {kind_words(status.st_mode)}")


def read_opened(name: str, fd: int, status: os.stat_result, limit: int) -> bytes | ReadFailure:
    """Return the content of a file that `open_file` opened, of at most ``limit`` bytes."""
    if status.st_size > limit:
        return ReadFailure(name, f"larger than {limit} bytes")
    try:
        return _read_at_most(fd, name, status.st_size, limit)
    except OSError as error:
        return failure(name, error)


def read_place(name: str, place: int, status: os.stat_result, limit: int) -> bytes | ReadFailure:
    """Return the content of the regular file at a descriptor that names it alone (O_PATH).

    ``status`` is that file's. Raises OSError where it can't be opened.
    """
    fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return read_opened(name, fd, status, limit)
    finally:
        os.close(fd)


def read_link_and_status(name: str, dir_fd: int) -> tuple[str, os.stat_result]:
    """Return what a link says, and its own status, of that very link. Raises OSError."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        return os.readlink("", dir_fd=fd), os.fstat(fd)
    finally:
        os.close(fd)


def read_linked_file(name: str, limit: int) -> bytes | ReadFailure:
    """Return the content of the regular file that a link leads to, as `read_file` does.

    What it leads to is looked at before it is opened: opening some devices
    does something, and the owner of the link chooses what it leads to.
    """
    place = -1
    try:
        place = os.open(below(name), os.O_PATH | os.O_CLOEXEC)
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode):
            return ReadFailure(name, f"not a regular file but {kind_words(status.st_mode)}")
        return read_place(name, place, status, limit)
    except OSError as error:
        return failure(name, error)
    finally:
        if place >= 0:
            os.close(place)


def _read_at_most(fd: int, name: str, size: int, limit: int) -> bytes | ReadFailure:
    # One byte more than expected: a short answer is then the end of the file,
    # and the usual small file costs one read and no large buffer.
    wanted = min(size, limit) + 1
    content = os.read(fd, wanted)
    if len(content) < wanted:
        return content
    parts = [content]
    remaining = limit + 1 - len(content)
    while remaining > 0:
        part = os.read(fd, min(remaining, 1 << 20))
        if not part:
            return b"".join(parts)
        parts.append(part)
        remaining -= len(part)
    return ReadFailure(name, f"larger than {limit} bytes")


def open_directory(name: str, dir_fd: int | None = None, *, follow: bool = False) -> int:
    """Return a descriptor of a directory; its last component is followed only on request.

    Reading it does not move its access time where the caller may ask so (its
    owner, root). Raises OSError.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
    if not follow:
        flags |= os.O_NOFOLLOW
    return _open_quietly(name, flags, dir_fd)


def open_directory_beneath(root_fd: int, relative: str) -> int:
    """Return a descriptor of a folder below an open one, following no link on the way.

    Raises OSError (ELOOP or ENOTDIR where a component is a link), and
    ValueError for a path that would leave the root.
    """
    parts = [part for part in relative.split("/") if part]
    if ".." in parts:
        raise ValueError(f"a path that leaves its root: {relative}")
    fd = os.dup(root_fd)
    try:
        for part in parts:
            inner = open_directory(part, fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def failure(name: str, error: OSError) -> ReadFailure:
    """Return an OSError as a value, in words."""
    if error.errno == errno.ELOOP:
        return ReadFailure(name, "it is a link, and links are not followed here")
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    blocked = error.errno not in _TELLING
    return ReadFailure(name, error.strerror or type(error).__name__, missing, blocked)


def kind_words(mode: int) -> str:
    """Return what sort of file a mode describes (``a folder``)."""
    for test, words in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return words
    return "a regular file"


def _open_quietly(name: str, flags: int, dir_fd: int | None) -> int:
    if dir_fd is None:
        name = (below_unfollowed if flags & os.O_NOFOLLOW else below)(name)
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        # O_NOATIME is for the owner and root only.
        return os.open(name, flags, dir_fd=dir_fd)
