"""The root of an open cache: its names, and the readers that read what they lead to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import NotPermitted
from cacheadmin.readers import Readers
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache

# Metadata lies this many folders below its bucket.
METADATA_DEPTH = 3

# So many archives, or folders of pointers, of a bucket are read in one answer: what is left is
# read by any other reader. Fewer would cost more than they share out.
AT_ONCE = 128


@frozen
class EntryTask:
    """A name in the root of an open cache, to be read with all below; or a part of a bucket."""

    cache_fd: int
    """The open cache; the readers must have been told to keep it."""
    name: str
    """The name."""
    part: tuple[str, ...] = ()
    """Paths of archives, or of folders with pointers, in that bucket: these alone.

    Empty: all, but what is beyond ``AT_ONCE``.
    """
    spent: frozenset[int] = frozenset()
    """Accounts whose pointers took another reader too much time: none of theirs is read."""


@contextmanager
def readers_for(cache: OpenCache, readers: Readers | None) -> Iterator[Readers]:
    """Have these readers, which keep the cache's descriptor, or without any a pool of their own."""
    if readers is not None:
        yield readers
        return
    with Readers(keep=(cache.fd,)) as own:
        yield own


def list_root(cache: OpenCache) -> list[str]:
    """Return the names in the root. Raises NotPermitted where it can't be listed."""
    try:
        return os.listdir(cache.fd)
    except PermissionError:
        raise NotPermitted(f"the cache {cache.identity.path} can't be listed") from None
