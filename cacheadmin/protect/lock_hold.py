"""The guard's hold on uv's lock, and how a prune of ours asks for it.

Held shared, uv's lock makes every `uv cache prune` and `clean` of 0.8.19 and
later wait; all other commands share it (facts section 4). Our own prune needs
it alone. The two meet at two files in the quarantine folder, where only root
and the cache's owner can write, and each says its part by ``flock``:

- ``guard.wanted``: locked (shared) by a process that wants the guard to let go;
- ``guard.holding``: locked (shared) by a guard for as long as it holds on.

The kernel frees both when their holder dies, so no process waits for a dead one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.evidence.lock_holders import GUARD_FILE
from cacheadmin.fs.flock import lock_now, lock_soon, unlock
from cacheadmin.prune.quarantine import existing_quarantine, open_quarantine
from cacheadmin.uv.cache_lock import SharedLock

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy

_WANTED = "guard.wanted"
_HOLDING = GUARD_FILE

# How often a guard looks whether it is asked (seconds), and how long a prune
# waits for a guard that should have noticed long ago.
INTERVAL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class Hold:
    """One guard's hold on the lock of one cache. Call ``keep`` every ``INTERVAL_SECONDS``."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._files: tuple[int, int] | None = None
        self._lock: SharedLock | None = None
        self._cache_fd = -1

    def keep(self, cache: OpenCache) -> None:
        """Take the lock, keep it, or let it go, as things are.

        Held by another process alone, it is tried again the next time. Raises
        NotPermitted and Refused when there can be no quarantine or no lock.
        """
        wanted_fd, holding_fd = self._opened(cache)
        if not lock_now(wanted_fd, fcntl.LOCK_EX, _WANTED):
            self.let_go()
            return
        if not unlock(wanted_fd):
            # It would look wanted to every prune that asks.
            self.close()
            return
        if self._lock is not None and self._lock.is_current():
            return
        self.let_go()
        if self._files is None:
            return
        lock_soon(holding_fd, fcntl.LOCK_SH, _HOLDING)
        self._cache_fd = os.dup(cache.fd)
        lock = SharedLock(self._cache_fd, cache.identity.path)
        try:
            lock.acquire(0.0)
        except CacheBusy:
            self.let_go()
        except BaseException:
            self.let_go()
            raise
        else:
            self._lock = lock

    def let_go(self) -> None:
        """Give the lock back, and say so."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._cache_fd >= 0:
            os.close(self._cache_fd)
            self._cache_fd = -1
        if self._files is not None and not unlock(self._files[1]):
            self._close_files()

    def close(self) -> None:
        """Give everything back."""
        self.let_go()
        self._close_files()

    def _close_files(self) -> None:
        for fd in self._files or ():
            os.close(fd)
        self._files = None

    def _opened(self, cache: OpenCache) -> tuple[int, int]:
        """Return both files, opened again when they were removed."""
        if self._files is not None:
            if all(os.fstat(fd).st_nlink for fd in self._files):
                return self._files
            self.close()
        with open_quarantine(self._policy, cache) as quarantine:
            self._files = _open(quarantine.fd, _WANTED), _open(quarantine.fd, _HOLDING)
        return self._files


@contextmanager
def guard_stands_aside(policy: Policy, cache: OpenCache) -> Iterator[None]:
    """Have a guard of this cache let go of uv's lock until the end.

    Without a guard that holds it, nothing happens. A quarantine that can't be
    used is for those to complain of who need it.
    """
    with ExitStack() as stack:
        try:
            quarantine = stack.enter_context(existing_quarantine(policy, cache))
        except CacheadminError:
            quarantine = None
        if quarantine is None:
            # A guard that holds on has made one.
            yield
            return
        wanted_fd = _open(quarantine.fd, _WANTED)
        try:
            lock_soon(wanted_fd, fcntl.LOCK_SH, f"{quarantine.path}/{_WANTED}")
            holding_fd = _open(quarantine.fd, _HOLDING)
            try:
                _wait_until_free(holding_fd)
            finally:
                os.close(holding_fd)
            yield
        finally:
            os.close(wanted_fd)


def _wait_until_free(fd: int) -> None:
    """Wait for the guard; one that is stopped is left to the prune's own wait for uv's lock."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if lock_now(fd, fcntl.LOCK_EX, _HOLDING):
            return
        time.sleep(INTERVAL_SECONDS / 10)


def _open(folder_fd: int, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=folder_fd)
