"""How a host sees the cache itself: its token, its clock, its tripwires.

Over NFS the server's mount decides whether a lookup moves a link's access time, and
each client's memory when it is seen. So each host tries it with a link of its own, and
tells; where its lookups move none, silence of trials proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.observations import Observation, Sight
from cacheadmin.hosts.token import token_of
from cacheadmin.text.timestamps import now_ns
from cacheadmin.trial.folder import existing_trial_folder
from cacheadmin.trial.trials import existing_trials
from cacheadmin.trial.tripwires import TripwireStanding, access_is_seen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.trial.folder import TrialFolder


def sight_of(cache: OpenCache) -> Sight:
    """Return how this host sees a cache; tries it in our folder, where there is one."""
    token: str | None = None
    sprung: tuple[str, ...] = ()
    clock_ahead_ns = access_seen = None
    writable = os.access(cache.identity.path, os.W_OK | os.X_OK, effective_ids=True)
    try:
        token = token_of(cache)
        sprung = _sprung(cache)
        with existing_trial_folder(cache) as folder:
            if folder is not None and writable:
                clock_ahead_ns = _clock_ahead(folder)
                access_seen = access_is_seen(folder)
    except (CacheadminError, OSError):
        # A folder that is not ours, a full disk, or a mount for reading alone: not known.
        pass
    return Sight(token, cache.identity.inode, writable, clock_ahead_ns, access_seen, sprung)


def blind_hosts(hosts: Iterable[Observation]) -> str:
    """Return which hosts' lookups move no access times, in words; empty where none is known."""
    names = [one.host for one in hosts if one.sight is not None and one.sight.access_seen is False]
    if not names:
        return ""
    return f"lookups of host {', '.join(sorted(set(names)))} move no access times in the cache"


def _sprung(cache: OpenCache) -> tuple[str, ...]:
    with existing_trials(cache) as trials:
        if trials is None:
            return ()
        return tuple(
            seen.entry
            for seen in trials.look()
            if seen.standing is TripwireStanding.SPRUNG and seen.entry not in trials.ledger.decoys
        )


def _clock_ahead(folder: TrialFolder) -> int:
    """Return by how much this host's clock is ahead of the filesystem's, in ns."""
    name = f".clock-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=folder.fd)
    try:
        os.write(fd, b"\n")
        os.fsync(fd)
        return now_ns() - os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
        os.unlink(name, dir_fd=folder.fd)
