"""Folders of a cache that look like buckets, and that no known release has."""

from __future__ import annotations

import os
from collections.abc import Iterable

from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.uv.releases import is_known_bucket


def unknown_folders(caches: Iterable[str]) -> frozenset[str]:
    """Return the names of such folders in caches; one that can't be listed has none."""
    found = set()
    for cache in caches:
        try:
            names = os.listdir(cache)
        except OSError:
            continue
        found |= {name for name in names if parse_bucket_name(name) and not is_known_bucket(name)}
    return frozenset(found)
