"""``flock`` without surprises: taken, held by another process, or not to be had here.

Some filesystems have no locks (FUSE, gateways of object stores, NFS without its
lock service, a kernel's half-made ones), and each says so by another error.
None of them is "another process holds it": waiting would never end, and going on
would mean pruning while installs run. uv goes on without a lock after
``EOPNOTSUPP`` and ``ENOSYS``; we stop, since what we do is not undone by a retry.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from cacheadmin.errors import Refused

# The kernel's own ENOTSUPP, which has no name in errno and no words of the C library.
_ENOTSUPP = 524

_HINT = "mount it with locks (see preflight, lock.works); without them nothing waits for a prune"


def lock_now(fd: int, operation: int, path: str) -> bool:
    """Take a ``flock`` at once; False when another process holds it.

    ``path`` is for messages. Raises Refused where locks can't be had.
    """
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _refused(path, error) from None
    return True


def unlock(fd: int) -> bool:
    """Give a ``flock`` back; False where even that fails: then closing the file gives it back.

    On a network filesystem that is a question to its server, which may have no answer.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        return False
    return True


def lock_from_clients(fd: int, *, exclusive: bool) -> bool:
    """Take what this host's NFS server takes for its clients; False when it is taken.

    On the server a ``flock`` of ours does not meet the clients' locks, which are
    locks of fcntl(2) there; one of this kind does (facts, NFS). It is the open file's, so
    closing it gives it back. Where there are no such locks nothing is taken.
    """
    try:
        _set_lock(fd, fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def unlock_for_clients(fd: int) -> None:
    """Give back what `lock_from_clients` took; harmless where it took nothing."""
    try:
        _set_lock(fd, fcntl.F_UNLCK)
    except OSError:
        pass


def _set_lock(fd: int, kind: int) -> None:
    """Set a lock of the open file on all of it: ``struct flock`` of fcntl(2)."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, 0, 0, 0))


def lock_soon(fd: int, operation: int, path: str) -> None:
    """Take a ``flock`` that others hold for an instant only. Raises Refused as `lock_now` does."""
    try:
        fcntl.flock(fd, operation)
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: str, error: OSError) -> Refused:
    return Refused(f"{path} can't be locked: {lock_error_words(error)}", hint=_HINT)


def why_no_lock(fd: int) -> str:
    """Return why an open file can't be locked, in words; empty where it can.

    Taken shared and given back at once: no install waits for that. The caller closes the file.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return ""
    except OSError as error:
        return lock_error_words(error)
    unlock(fd)
    return ""


def lock_error_words(error: OSError) -> str:
    """Return an error of flock(2) in words, with its number."""
    number = error.errno or 0
    known = {
        _ENOTSUPP: "the filesystem has no locks",
        errno.EOPNOTSUPP: "the filesystem has no locks",
        errno.ENOSYS: "the filesystem has no locks",
        errno.ENOLCK: "its lock service does not answer, or has no locks left",
        errno.EIO: "the filesystem reports an input/output error",
    }
    return f"{known.get(number, os.strerror(number))} (error {number})"
