"""One run of cacheadmin at a time on a cache: a lock in the quarantine folder, and a turn.

The folder is one that only root and the cache's owner can write to, so no user
else can hold the lock against us; the kernel frees it when its holder dies.
Where other hosts reach the cache a turn among them is taken as well
(``hosts.turns``): locks may end at this host.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.observations import host_name
from cacheadmin.fs.flock import lock_from_clients, lock_now, unlock
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.mounts import mount_of
from cacheadmin.hosts.turns import busy, turn_among_hosts
from cacheadmin.prune.quarantine import no_room

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.quarantine import QuarantineFolder

_NAME = "run.lock"
_MOST_BYTES = 300


@contextmanager
def run_lock(
    policy: Policy, cache: OpenCache, quarantine: QuarantineFolder, timeout_seconds: float
) -> Iterator[QuarantineFolder]:
    """Hold the run lock, and the turn among hosts; yield the quarantine with its fence.

    Raises CacheBusy when another run has it so long, on whichever host, Refused
    without locks, and StateUnusable where a database should tell whose turn it is.
    """
    deadline = time.monotonic() + timeout_seconds
    with (
        run_lock_of_host(quarantine, timeout_seconds),
        turn_among_hosts(policy, cache, quarantine.fd, quarantine.path, deadline) as turn,
    ):
        yield quarantine if turn is None else replace(quarantine, fence=turn)


@contextmanager
def run_lock_of_host(quarantine: QuarantineFolder, timeout_seconds: float) -> Iterator[None]:
    """Hold the run lock alone: enough for what only adds to a cache. Raises CacheBusy, Refused."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(_NAME, flags, 0o600, dir_fd=quarantine.fd)
    except OSError as error:
        if is_full(error):
            raise no_room(f"{quarantine.path}/{_NAME} can't be made", error) from None
        raise
    try:
        deadline = time.monotonic() + timeout_seconds
        # On a client of NFS a flock is such a lock already, and would meet itself.
        from_clients = not mount_of(quarantine.path).is_network
        while not _locked(fd, quarantine, from_clients=from_clients):
            if time.monotonic() >= deadline:
                raise busy(_signed(fd))
            time.sleep(0.05)
        _sign(fd)
        yield
    finally:
        os.close(fd)


def _locked(fd: int, quarantine: QuarantineFolder, *, from_clients: bool) -> bool:
    if not lock_now(fd, fcntl.LOCK_EX, f"{quarantine.path}/{_NAME}"):
        return False
    if from_clients and not lock_from_clients(fd, exclusive=True):
        if not unlock(fd):
            raise busy(_signed(fd))
        return False
    return True


def _sign(fd: int) -> None:
    """Write down who holds the lock; it holds without, too, on a full disk."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()} on host {host_name()}\n".encode(), 0)
        # A client of NFS would keep it to itself for half a minute.
        os.fsync(fd)
    except OSError as error:
        if not is_full(error):
            raise


def _signed(fd: int) -> str:
    words = os.pread(fd, _MOST_BYTES, 0).decode("ascii", "replace").strip()
    return f"process {words}" if words.isdigit() else words
