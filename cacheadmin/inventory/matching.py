"""How many archives of a cache the patterns of ``prune.keep`` name now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.fs.reading import open_directory
from cacheadmin.inventory.archives import read_archives
from cacheadmin.inventory.entries import Archive
from cacheadmin.package_names import parse_pattern
from cacheadmin.uv.layout import parse_bucket_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cacheadmin.inventory.opening import OpenCache


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
    for name in os.listdir(cache.fd):
        found = parse_bucket_name(name)
        if found is None or found[0] != "archive":
            continue
        try:
            fd = open_directory(name, cache.fd)
        except OSError:
            continue
        try:
            yield from (one for one in read_archives(fd, name) if isinstance(one, Archive))
        finally:
            os.close(fd)
