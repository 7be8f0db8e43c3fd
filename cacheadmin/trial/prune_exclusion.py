"""Keep uv's own prunes out while names go from a bucket of archives.

uv's prune lists the archives and then resolves each name: one that goes between the two
ends it with an error. What is put on trial or back is exchanged, so its name never goes;
at the end of a trial, and with a decoy, one does. Prunes since 0.8.19 hold the cache's lock
exclusively; shared, it lets installs go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.uv.cache_lock import SharedLock

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache


@contextmanager
def prunes_kept_out(cache: OpenCache, seconds: float) -> Iterator[bool]:
    """Hold the cache's lock, shared; yield False where a prune has it for longer than that.

    Where there can be no lock, uv has none either.
    """
    lock = SharedLock(cache.fd, cache.identity.path)
    try:
        lock.acquire(seconds)
    except CacheBusy:
        yield False
        return
    except CacheadminError:
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
