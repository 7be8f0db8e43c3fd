"""Who could have written a policy? It decides what root deletes.

The file that is read is the file that is checked: it is opened once. Its
folder counts too, because a user who can write there can replace it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from cacheadmin.errors import NotACache, NotPermitted, PolicyInvalid
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import kind_words
from cacheadmin.text.accounts import account_name

MAX_BYTES = 1024 * 1024

_HINT = "make it yours or root's and 0644 in a 0755 folder, or give --insecure-policy"
_UNREAD_HINT = "make it yours or root's and 0600, in a folder that no other user can write to"


def read_trusted(path: str, *, insecure: bool) -> bytes:
    """Return a policy file's content, if no user but root and the caller can write it.

    A link is followed, and what it leads to is checked. Raises PolicyInvalid
    (untrusted, too large, no file), NotACache (missing), NotPermitted.
    """
    with _opened(path, "policy") as (fd, real, status):
        if not insecure:
            _check(path, status, "the policy")
            folder = os.path.dirname(real)
            _check(folder, os.stat(folder), "the policy's folder")
        return os.read(fd, MAX_BYTES)


def read_secrets(path: str) -> bytes:
    """Return the content of a file of secret URLs, which others can neither write nor read.

    Raises as ``read_trusted``.
    """
    with _opened(path, "file of URLs") as (fd, real, status):
        _check(path, status, "the file of URLs", _UNREAD_HINT)
        folder = os.path.dirname(real)
        _check(folder, os.stat(folder), "the folder of the file of URLs", _UNREAD_HINT)
        if status.st_mode & stat.S_IROTH:
            mode = stat.S_IMODE(status.st_mode)
            raise PolicyInvalid(
                f"the file of URLs {path} can be read by others (mode {mode:04o})",
                hint=_UNREAD_HINT,
            )
        return os.read(fd, MAX_BYTES)


@contextmanager
def _opened(path: str, what: str) -> Iterator[tuple[int, str, os.stat_result]]:
    """Open a file; yield its descriptor, where it really lies, and its status."""
    real = resolve(path)
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError:
        raise NotPermitted(f"the {what} {path} can't be read: Permission denied") from None
    except OSError as error:
        raise NotACache(f"no such {what}: {path}: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise PolicyInvalid(
                f"{path}: a {what} must be a file, this is {kind_words(status.st_mode)}"
            )
        if status.st_size > MAX_BYTES:
            raise PolicyInvalid(f"{path}: larger than {MAX_BYTES} bytes")
        yield fd, real, status
    finally:
        os.close(fd)


def others_can_read(path: str) -> bool:
    """Whether accounts that are neither owner nor group may read a file; False if it is gone."""
    try:
        return bool(os.stat(resolve(path)).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _check(path: str, status: os.stat_result, what: str, hint: str = _HINT) -> None:
    mode = stat.S_IMODE(status.st_mode)
    # The caller's own, no matter which account acts: what an account may write is no order to root.
    if status.st_uid not in (0, os.getuid()):
        owner = account_name(status.st_uid)
        raise PolicyInvalid(
            f"{what} {path} belongs to {owner}, who is neither root nor you", hint=hint
        )
    if mode & 0o022:
        who = "others" if mode & 0o002 else "its group"
        raise PolicyInvalid(f"{what} {path} can be written by {who} (mode {mode:04o})", hint=hint)
