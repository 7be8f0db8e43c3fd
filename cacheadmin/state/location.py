"""How a cache and a path are spelled in the state; where that is kept (``policy.state_place``)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.policy.state_place import default_url, sqlite_path
from cacheadmin.text.percent import percent_encoded

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity

__all__ = ["cache_key", "default_url", "sqlite_path", "storable"]


def cache_key(cache: CacheIdentity) -> str:
    """Return how the state names a cache.

    Without the device number: network filesystems, btrfs and loop mounts get
    another one at each mount, and what missing environments link must not be
    forgotten by a restart.
    """
    return f"{cache.inode}:{storable(cache.path)}"


def storable(path: str) -> str:
    """Return a path as text any database takes: bytes that are no UTF-8 as ``%XX``."""
    return percent_encoded(os.fsencode(path), safe=b"/ !\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~")
