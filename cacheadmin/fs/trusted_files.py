"""Files of ours that decide something: read only where no other user can have written them."""

from __future__ import annotations

import os
import stat


def read_own_file(path: str, most_bytes: int) -> bytes | None:
    """Return the content of a file that root or the caller has written; None for any other.

    Its folder counts too: a user who can write there can replace the file. A link is
    not followed, and what has more than ``most_bytes`` is not read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        fd = os.open(path, flags)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        own = _is_own(status) and _is_own(os.stat(os.path.dirname(path)))
        if not (own and stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes):
            return None
        with open(fd, "rb", closefd=False) as file:
            return file.read(most_bytes + 1)
    except OSError:
        return None
    finally:
        os.close(fd)


def is_own_folder(path: str) -> bool:
    """Whether a path is a folder, no link, in which only root and the caller can write."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_own(status)


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
