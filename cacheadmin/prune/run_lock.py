"""One run of cacheadmin at a time on a cache: a lock in the quarantine folder.

It lies where only root and the cache's owner can write, so nobody else can
hold it against us; the kernel frees it when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheBusy
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.locking import lock_now
from cacheadmin.prune.quarantine import no_room

if TYPE_CHECKING:
    from cacheadmin.prune.quarantine import Quarantine

_NAME = "run.lock"


@contextmanager
def run_lock(quarantine: Quarantine, timeout_seconds: float) -> Iterator[None]:
    """Hold the run lock. Raises CacheBusy when another has it so long, Refused without locks."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(_NAME, flags, 0o600, dir_fd=quarantine.fd)
    except OSError as error:
        if is_full(error):
            raise no_room(f"{quarantine.path}/{_NAME} can't be made", error) from None
        raise
    try:
        deadline = time.monotonic() + timeout_seconds
        while True:
            if lock_now(fd, fcntl.LOCK_EX, f"{quarantine.path}/{_NAME}"):
                break
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                raise CacheBusy(
                    "another cacheadmin run works on this cache"
                    + (f": process {holder}" if holder else ""),
                    hint="wait for it to end, or raise lock.timeout",
                )
            time.sleep(0.05)
        _sign(fd)
        yield
    finally:
        os.close(fd)


def _sign(fd: int) -> None:
    """Write down who holds the lock; it holds without, too, on a full disk."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if not is_full(error):
            raise
