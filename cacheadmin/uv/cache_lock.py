"""uv's own lock: ``flock`` on ``CACHE/.lock``, as uv takes it since 0.8.19.

Shared by every command, exclusive by ``cache prune`` and ``cache clean``.
Releases from 0.9.16 give up after 300 seconds, so ours is held for
milliseconds. Releases before 0.8.19 ignore it, and their prune deletes the
file: a lock on a deleted file locks no process out, so after taking it the path
is compared with what is held (facts sections 0 and 4).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable

from cacheadmin.errors import CacheadminError, CacheBusy, NoRoom, NotPermitted, Refused
from cacheadmin.fs.flock import (
    lock_from_clients,
    lock_now,
    unlock,
    unlock_for_clients,
    why_no_lock,
)
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.mounts import mount_of
from cacheadmin.text.accounts import who_may

_NAME = ".lock"
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.25

# Every user must be able to open it for writing, no matter who made it: otherwise
# every uv command of every other user fails (facts section 11).
_MODE = 0o666


def why_no_cache_lock(cache_fd: int) -> str:
    """Return why the lock of an open cache can't be had, in words; empty where it can.

    Tried on ``.lock``, or on the cache's folder while there is none; nothing
    is created. What the caller may not open says nothing.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    for name, kind in ((_NAME, 0), (".", os.O_DIRECTORY)):
        try:
            fd = os.open(name, flags | kind, dir_fd=cache_fd)
        except FileNotFoundError:
            continue
        except OSError:
            return ""
        try:
            return why_no_lock(fd)
        finally:
            os.close(fd)
    return ""


class ExclusiveLock:
    """The cache's lock, exclusively. ``wait_seconds`` and ``held_seconds`` tell how long."""

    _operation = fcntl.LOCK_EX

    def __init__(self, cache_fd: int, cache_path: str) -> None:
        self._cache_fd = cache_fd
        self._path = f"{cache_path}/{_NAME}"
        # A client's own flock is a lock of fcntl(2) already: a second would meet the first.
        self._clients_lock_here = not mount_of(cache_path).is_network
        self._fd: int | None = None
        self._taken_at = 0.0
        self.wait_seconds = 0.0
        self.held_seconds = 0.0

    def acquire(
        self, timeout_seconds: float, holders: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        """Take the lock, waiting at most so long (0: not at all).

        Raises CacheBusy, which names ``holders()``; NotPermitted and Refused
        when ``.lock`` can't be opened, is not a file, or can't be locked.
        """
        begun = time.monotonic()
        pause = _FIRST_PAUSE
        while not self._try():
            self.wait_seconds = time.monotonic() - begun
            left = timeout_seconds - self.wait_seconds
            if left <= 0:
                raise CacheBusy(
                    f"the cache's lock {self._path} was not free within {timeout_seconds:g} s",
                    details=holders(),
                    hint="ask them, wait longer with lock.timeout, or come back later",
                )
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._taken_at = time.monotonic()
        self.wait_seconds = self._taken_at - begun

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            # Not by closing alone: a child that was forked meanwhile has it too.
            unlock_for_clients(self._fd)
            unlock(self._fd)
            os.close(self._fd)
            self._fd = None
            self.held_seconds = time.monotonic() - self._taken_at

    def is_current(self) -> bool:
        """Whether what we hold still is what others would lock."""
        if self._fd is None:
            return False
        held = os.fstat(self._fd)
        try:
            there = os.stat(_NAME, dir_fd=self._cache_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return held.st_nlink > 0 and (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)

    def _try(self) -> bool:
        fd = self._open()
        try:
            taken = lock_now(fd, self._operation, self._path)
        except Refused:
            os.close(fd)
            raise
        if taken and self._clients_lock_here:
            # Closing gives both back.
            taken = lock_from_clients(fd, exclusive=self._operation == fcntl.LOCK_EX)
        if not taken:
            os.close(fd)
            return False
        self._fd = fd
        if self.is_current():
            return True
        # An older uv's prune deleted the file between opening and locking.
        os.close(fd)
        self._fd = None
        return False

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        for _ in range(100):
            try:
                return self._checked(os.open(_NAME, flags, dir_fd=self._cache_fd))
            except FileNotFoundError:
                fd = self._create(flags)
                if fd is not None:
                    return fd
            except OSError as error:
                raise self._explain(error) from None
        raise Refused(f"{self._path} comes and goes: another process deletes it in a loop")

    def _create(self, flags: int) -> int | None:
        try:
            fd = os.open(_NAME, flags | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=self._cache_fd)
        except FileExistsError:
            return None
        except OSError as error:
            raise self._explain(error) from None
        if os.geteuid() == 0:
            # In a sticky cache, fs.protected_regular lets others open only what
            # the folder's owner made.
            folder = os.fstat(self._cache_fd)
            os.fchown(fd, folder.st_uid, folder.st_gid)
        os.fchmod(fd, _MODE)
        return fd

    def _checked(self, fd: int) -> int:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused(f"{self._path} is not a file", hint="remove it: uv makes it again")
        return fd

    def _explain(self, error: OSError) -> CacheadminError:
        if is_full(error):
            return NoRoom(f"the cache's lock {self._path} can't be made: {error.strerror}")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return NotPermitted(
                f"the cache's lock {self._path} can't be opened for writing: {error.strerror}",
                hint=who_may(
                    os.fstat(self._cache_fd).st_uid,
                    "run it as root, or as a member of the cache's group",
                ),
            )
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            return Refused(f"{self._path} is not a file", hint="remove it: uv makes it again")
        return Refused(f"{self._path} can't be opened: {error.strerror}")


class SharedLock(ExclusiveLock):
    """The cache's lock as every uv command takes it: only `cache prune` and `clean` wait for it."""

    _operation = fcntl.LOCK_SH
