"""Open a folder as a uv cache, or say why it is none.

The tool deletes as root: a typing error in a policy must not turn a home
folder into a cache. uv writes ``CACHEDIR.TAG`` and ``.gitignore`` into every
cache it makes; that, or at least two of its buckets, must be there.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from cacheadmin.errors import CacheadminError, NotACache, NotPermitted
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import open_directory
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.text.accounts import account_name, who_may
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.uv.releases import known_kinds
from cacheadmin.values import frozen

_MEMBERS = "run it as root, or as a member of the cache's group"
_HINT = "set `cache` in the policy to the folder that `uv cache dir` prints"


@frozen
class OpenCache:
    """A cache whose root folder is held open."""

    fd: int
    """Descriptor of the root folder; closed when `open_cache` ends."""
    identity: CacheIdentity
    """Path, device and inode of that folder."""


@contextmanager
def open_cache(path: str) -> Iterator[OpenCache]:
    """Open the cache at an absolute path.

    Folders above it may be links; it may not be one itself, because a user who
    can change that link would choose what is deleted. Raises NotACache and
    NotPermitted.
    """
    # `link/.` would follow a link that `link` alone does not.
    path = os.path.normpath(path or "/")
    parent = resolve(os.path.dirname(path.rstrip("/")) or "/")
    resolved = os.path.join(parent, os.path.basename(path.rstrip("/")))
    _refuse_places(path, resolved)
    fd = _open(path, resolved)
    try:
        status = os.fstat(fd)
        _refuse_home_of_owner(path, resolved, status.st_uid)
        _refuse_other_folders(fd, path)
        yield OpenCache(fd, CacheIdentity(resolved, status.st_dev, status.st_ino))
    finally:
        os.close(fd)


def _refuse_places(path: str, resolved: str) -> None:
    if resolved.rstrip("/") == "":
        raise NotACache("the root folder / is not a uv cache", hint=_HINT, cache="/")
    homes = {resolve(entry.pw_dir) for entry in pwd.getpwall() if entry.pw_dir != "/"}
    homes.add(resolve(os.path.expanduser("~")))
    if resolved in homes:
        raise _is_home(path)


def _refuse_home_of_owner(path: str, resolved: str, uid: int) -> None:
    # Directory services answer for one user, but seldom list all of them.
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        return
    if resolve(home) == resolved:
        raise _is_home(path)


def _is_home(path: str) -> NotACache:
    return NotACache(f"{path} is a home folder, not a uv cache", hint=_HINT, cache=path)


def _open(path: str, resolved: str) -> int:
    try:
        return open_directory(resolved)
    except PermissionError:
        raise NotPermitted(
            f"the cache {path} can't be read by {account_name(os.geteuid())}",
            hint=who_may(_owner(resolved), _MEMBERS),
        ) from None
    except OSError as error:
        raise NotACache(
            f"{path} is not a uv cache: {_why_not(resolved, error)}", hint=_HINT, cache=path
        ) from None


def _owner(resolved: str) -> int | None:
    try:
        return os.lstat(resolved).st_uid
    except OSError:
        return None


def _why_not(resolved: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "there is no such folder"
    try:
        status = os.lstat(resolved)
    except OSError:
        return error.strerror or "it can't be opened"
    if stat.S_ISLNK(status.st_mode):
        return f"it is a link to {os.readlink(resolved)}; name that folder itself"
    return error.strerror or "it can't be opened"


def _refuse_other_folders(fd: int, path: str) -> None:
    try:
        names = set(os.listdir(fd))
        # Listing needs the right to read, looking at what is listed the right to search.
        os.stat(".", dir_fd=fd)
    except PermissionError:
        raise NotPermitted(
            f"the cache {path} can't be listed and searched by {account_name(os.geteuid())}",
            hint=who_may(os.fstat(fd).st_uid, _MEMBERS),
        ) from None
    except OSError as error:
        raise CacheadminError(f"the cache {path} can't be listed: {error.strerror}") from None
    buckets = [
        name for name in names if (parsed := parse_bucket_name(name)) and parsed[0] in known_kinds()
    ]
    tagged = "CACHEDIR.TAG" in names and (".gitignore" in names or bool(buckets))
    if not tagged and len(buckets) < 2:
        seen = ", ".join(sorted(names)[:4]) or "nothing"
        raise NotACache(
            f"{path} is not a uv cache: no CACHEDIR.TAG with uv's buckets in it",
            details=(f"it holds {seen}{', ...' if len(names) > 4 else ''}",),
            hint=_HINT,
            cache=path,
        )
