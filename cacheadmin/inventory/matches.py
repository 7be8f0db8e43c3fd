"""How many archives of a cache the patterns of ``prune.keep`` name now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.reader import ENTRY
from cacheadmin.inventory.root import EntryTask, list_root, readers_for
from cacheadmin.packages.names import parse_pattern
from cacheadmin.uv.layout import parse_bucket_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import Archive


def count_matches(cache: OpenCache, patterns: Sequence[str]) -> dict[str, int]:
    """Return for each pattern how many archives it names, those of other patterns included.

    Archives that can't be read are not counted.
    """
    archives = list(_archives(cache))
    return {pattern: sum(_count(pattern, archives)) for pattern in patterns}


def _count(pattern: str, archives: Iterable[Archive]) -> Iterator[bool]:
    parsed = parse_pattern(pattern)
    for archive in archives:
        yield archive.package is not None and parsed.matches(archive.package, archive.version)


def _archives(cache: OpenCache) -> Iterator[Archive]:
    tasks = [
        EntryTask(cache.fd, name)
        for name in list_root(cache)
        if (found := parse_bucket_name(name)) is not None and found[0] == "archive"
    ]
    with readers_for(cache, None) as readers:
        for reply in readers.replies(ENTRY, tasks):
            for part in reply.parts:
                yield from part.archives
