"""Where removals wait: a folder on the cache's filesystem that no other user can write.

Moving is a rename, so quarantine must be on the same filesystem; and it must
not lie in the cache, where any user's ``uv cache prune`` deletes every unknown
name. A sibling of the cache is both, except when the cache is itself a mount
point: then quarantine falls back to ``CACHE/.cacheadmin``, and undo lasts only
until a user's prune. Every report says so.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from cacheadmin.errors import NoRoom, NotACache, NotPermitted, Refused
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import open_directory
from cacheadmin.hosts.turns import Undisputed
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.text.escapes import shell_word
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.hosts.turns import Turn
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy

# The folder in a cache that is a mount point.
_OWN = ".cacheadmin"

_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}", re.ASCII)


@frozen
class QuarantineFolder:
    """A quarantine folder that is held open."""

    fd: int
    """Descriptor of the open folder, valid while ``open_quarantine`` lasts."""
    path: str
    """Its absolute path."""
    warning: str
    """Why undo may not last, for every report; empty where it does."""
    device: int
    """Device number of its filesystem, which is the cache's."""
    fence: Turn | Undisputed = field(default_factory=Undisputed)
    """Called right before every move; it raises LeaseLost when this run must stop."""

    def run_ids(self) -> list[str]:
        """Return the runs there, oldest first."""
        return sorted(name for name in os.listdir(self.fd) if _RUN_ID.fullmatch(name))

    def open_run(self, run_id: str) -> int:
        """Return a descriptor of one run's folder. Raises NotACache when there is none."""
        if _RUN_ID.fullmatch(run_id):
            try:
                return open_directory(run_id, self.fd)
            except FileNotFoundError:
                pass
        raise NotACache(
            f"no run {run_id} in {self.path}", hint="`cacheadmin runs list POLICY` names them"
        )


# Source: bford.info/cachedir; the first 43 bytes are what programs look for.
_MARKS = {
    "CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# What cacheadmin removed from a uv cache, for as long as that can be undone.\n",
    ".gitignore": b"*\n",
}


def no_room(what: str, error: OSError) -> NoRoom:
    """Return what is said where there is no room for what a run has to write first."""
    return NoRoom(
        f"{what}: {error.strerror}",
        details=("nothing was removed",),
        hint="free some room: `cacheadmin prune POLICY` deletes what rests on proof, "
        "`cacheadmin runs purge POLICY --all` what earlier runs hold",
        by_quota=error.errno == errno.EDQUOT,
    )


def is_run_id(word: str) -> bool:
    """Whether a word has the shape of a run's id."""
    return _RUN_ID.fullmatch(word) is not None


def new_run_id(now_ns: int) -> str:
    """Return an id that sorts by time, such as ``20261121T052343Z-0a1b2c``.

    Two runs may end within one second, and the last is meant where none is
    named: of the six digits four count the 65,536th parts of the second.
    """
    seconds, rest_ns = divmod(now_ns, 10**9)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    return f"{moment}-{rest_ns * 65536 // 10**9:04x}{os.urandom(1).hex()}"


@contextmanager
def open_quarantine(
    policy: Policy, cache: OpenCache, *, create: bool = True
) -> Iterator[QuarantineFolder]:
    """Open the quarantine of a cache, making it where it is missing.

    Raises Refused when it could be written by another user or lies on
    another filesystem, NotPermitted when it can't be made, and NotACache when
    it is missing and ``create`` is False.
    """
    place = choose_quarantine(policy, cache)
    fd = _open(place.path, cache, create=create)
    try:
        status = os.fstat(fd)
        _check(place.path, status)
        if status.st_dev != cache.identity.device:
            raise Refused(
                f"quarantine {place.path} is on another filesystem than the cache",
                details=("moving there would be copying, which is neither quick nor safe",),
                hint="set quarantine.path to a folder on the cache's filesystem",
            )
        if create:
            _mark(fd, place.path)
        yield QuarantineFolder(fd, place.path, place.warning, status.st_dev)
    finally:
        os.close(fd)


def _mark(fd: int, path: str) -> None:
    """Tell backups and git to leave a quarantine out, as uv tells them of its cache.

    Only where nothing but ours lies: a folder of the admin's may hold more.
    A full disk must not keep a prune from freeing some of it.
    """
    try:
        ours = os.path.basename(os.path.dirname(path)).endswith(_OWN) or not os.listdir(fd)
        for name, content in _MARKS.items() if ours else ():
            if not _exists(fd, name):
                _write(name, content, fd)
    except OSError:
        pass


def _exists(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _write(name: str, content: bytes, folder_fd: int) -> None:
    """Write a small file that must not exist yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(name, flags, 0o644, dir_fd=folder_fd)
    try:
        os.write(file, content)
    finally:
        os.close(file)


@contextmanager
def existing_quarantine(policy: Policy, cache: OpenCache) -> Iterator[QuarantineFolder | None]:
    """Open a quarantine for looking at it; None when nothing was pruned yet."""
    try:
        manager = open_quarantine(policy, cache, create=False)
        quarantine = manager.__enter__()
    except NotACache:
        yield None
        return
    try:
        yield quarantine
    finally:
        manager.__exit__(None, None, None)


def _open(path: str, cache: OpenCache, *, create: bool) -> int:
    parent = os.path.dirname(path)
    try:
        # The folders above may be the admin's links; ours and its parent may not.
        upper_fd = open_directory(resolve(os.path.dirname(parent)) or "/")
    except OSError as error:
        raise NotPermitted(f"quarantine {path} can't be reached: {error.strerror}") from None
    try:
        # First of all: a refusal makes nothing.
        _refuse_inside(path, upper_fd, os.path.basename(parent), cache)
        parent_fd = _step(upper_fd, os.path.basename(parent), parent, create=create)
    finally:
        os.close(upper_fd)
    try:
        if os.path.basename(parent).endswith(".cacheadmin"):
            # A user who can write there could put another folder in quarantine's place.
            _check(parent, os.fstat(parent_fd))
        _refuse_inside(path, parent_fd, os.path.basename(path), cache)
        return _step(parent_fd, os.path.basename(path), path, create=create)
    finally:
        os.close(parent_fd)


def _refuse_inside(path: str, folder_fd: int, name: str, cache: OpenCache) -> None:
    """Refuse ``name`` in a folder that lies in the cache, by whatever path.

    Only ``.cacheadmin`` there is ours.
    """
    wanted = (cache.identity.device, cache.identity.inode)
    fd = os.dup(folder_fd)
    try:
        below: tuple[int, int] | None = None
        while True:
            status = os.fstat(fd)
            here = (status.st_dev, status.st_ino)
            if here == wanted:
                if name == _OWN if below is None else below == _own_folder(fd):
                    return
                raise Refused(
                    f"quarantine {path} lies in the cache, where any user's prune deletes it",
                    hint="set quarantine.path to a folder beside the cache",
                )
            if here == below:
                return
            below = here
            try:
                above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            except OSError:
                return
            os.close(fd)
            fd = above
    finally:
        os.close(fd)


def _own_folder(cache_fd: int) -> tuple[int, int] | None:
    try:
        status = os.stat(_OWN, dir_fd=cache_fd, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _step(folder_fd: int, name: str, path: str, *, create: bool) -> int:
    if not name:
        return os.dup(folder_fd)
    try:
        if create:
            try:
                os.mkdir(name, 0o700, dir_fd=folder_fd)
            except FileExistsError:
                pass
        return open_directory(name, folder_fd)
    except FileNotFoundError:
        raise NotACache(f"there is no quarantine {path} yet: nothing was pruned") from None
    except PermissionError:
        raise NotPermitted(
            f"quarantine {path} can't be made or opened",
            hint="run it as root, or set quarantine.path to a folder of yours beside the cache",
        ) from None
    except OSError as error:
        if is_full(error):
            raise no_room(f"quarantine {path} can't be made", error) from None
        raise Refused(
            f"quarantine {path} is not a folder: {error.strerror}",
            hint="remove what is there; links are not followed",
        ) from None


def _check(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise Refused(
            f"quarantine {path} belongs to uid {status.st_uid}, who could change what lies there",
            hint="remove it, or set quarantine.path to a folder of yours",
        )
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise Refused(
            f"quarantine {path} can be written by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod go-w {shell_word(path)}",
        )
