"""Where the state is kept, and how a cache and a path are spelled in it."""

from __future__ import annotations

import os
from urllib.parse import quote

from cacheadmin.acting import acting_account
from cacheadmin.inventory.entries import CacheIdentity


def default_url() -> str:
    """Return the URL of the default state: SQLite, the system's for root, else the user's.

    That of an account is the same whether it calls, or root that acts as it (``run_as``).
    """
    account = acting_account()
    if account is not None:
        folder = f"{account.home}/.local/state/cacheadmin"
    elif os.geteuid() == 0:
        folder = "/var/lib/cacheadmin"
    else:
        named = os.environ.get("XDG_STATE_HOME", "")
        base = named if named.startswith("/") else os.path.expanduser("~/.local/state")
        folder = f"{base}/cacheadmin"
    return f"sqlite:///{folder}/state.db"


def sqlite_path(url: str) -> str | None:
    """Return the file of a ``sqlite:///...`` URL; None for other databases."""
    prefix = "sqlite:///"
    return url.removeprefix(prefix).partition("?")[0] if url.startswith(prefix) else None


def cache_key(cache: CacheIdentity) -> str:
    """Return how the state names a cache.

    Without the device number: network filesystems, btrfs and loop mounts get
    another one at each mount, and what missing environments link must not be
    forgotten by a restart.
    """
    return f"{cache.inode}:{storable(cache.path)}"


def storable(path: str) -> str:
    """Return a path as text any database takes: bytes that are no UTF-8 as ``%XX``."""
    return quote(os.fsencode(path), safe="/ !\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~")
