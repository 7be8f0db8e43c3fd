"""Read a cache with what earlier looks saw of it, and remember what this one saw.

All commands share one memory of each cache, whatever their policies say of
environments. Without it the same is read, only slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin import __version__
from cacheadmin.fs.precise_times import Devices
from cacheadmin.inventory.cache_memory import CacheMemory, DamagedMemoryError, about_columns
from cacheadmin.inventory.reader import read_inventory, read_inventory_again
from cacheadmin.state.memory_file import CheckedFile, name_of

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import CacheIdentity, Inventory
    from cacheadmin.readers import Readers


class CacheMemoryFile(CheckedFile):
    """What is remembered of a cache's own folders."""

    def __init__(self, url: str, cache: CacheIdentity) -> None:
        about = ["cache", __version__, about_columns(), [cache.path, cache.device, cache.inode]]
        super().__init__(url, f"{name_of(about[-1])}-cache", about)


def read_inventory_with_memory(
    cache: OpenCache, readers: Readers, url: str, *, now_ns: int, every_ns: int
) -> Inventory:
    """Return what `read_inventory` does.

    ``url`` is the state's; ``every_ns``: how often everything is read, 0: every time.
    """
    identity = cache.identity
    if not every_ns or not Devices().is_precise(identity.device, identity.path):
        return read_inventory(cache, readers)
    file = CacheMemoryFile(url, identity)
    plain = file.read_plain()
    while True:
        try:
            memory = CacheMemory(plain, identity.device, now_ns=now_ns, every_ns=every_ns)
            inventory, kept = read_inventory_again(cache, readers, memory)
        except DamagedMemoryError:
            # With nothing remembered there is nothing that could be damaged.
            plain = None
            continue
        if kept is not None:
            file.write_plain(kept)
        return inventory
