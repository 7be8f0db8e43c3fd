"""What the archives of wheels put into a package folder, by name, each listed once a run.

An environment's files have the names they have in the archive they come from.
So a name in a package folder that no archive known to be linked explains may
be a link into another one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import ArchiveId

# uv installs these parts of a wheel into the package folder, too.
_INSTALLED_WITH_PACKAGES = (".data/purelib", ".data/platlib")

_NOTHING: frozenset[str] = frozenset()

# Answers kept: an archive has a few package folders. Then all are read again.
_MAX_REMEMBERED = 50_000


class ArchiveNames:
    """Names in the folders of archives; ``archives`` maps ids to paths below the cache."""

    def __init__(self, cache_path: str, archives: Mapping[ArchiveId, str]) -> None:
        self._cache_path = cache_path
        self._archives = archives
        self._roots: dict[ArchiveId, tuple[str, ...]] = {}
        self._names: dict[tuple[ArchiveId, str], frozenset[str]] = {}

    def names(self, archive: ArchiveId, folder: str = "") -> frozenset[str]:
        """Return the names an archive puts into a folder below site-packages.

        ``folder`` is relative, "" for site-packages itself. Empty where the
        archive has no such folder, or can't be read.
        """
        known = self._names.get((archive, folder))
        if known is None:
            below = f"/{folder}" if folder else ""
            listed = [_listing(f"{root}{below}") for root in self._roots_of(archive)]
            known = frozenset().union(*listed)
            if len(self._names) >= _MAX_REMEMBERED:
                self._names.clear()
            self._names[archive, folder] = known
        return known

    def _roots_of(self, archive: ArchiveId) -> tuple[str, ...]:
        known = self._roots.get(archive)
        if known is None:
            path = self._archives.get(archive)
            known = ()
            if path is not None:
                root = f"{self._cache_path}/{path}"
                data = (name for name in _listing(root) if name.endswith(".data"))
                parts = [
                    f"{root}/{name.removesuffix('.data')}{part}"
                    for name in data
                    for part in _INSTALLED_WITH_PACKAGES
                ]
                known = (root, *parts)
            self._roots[archive] = known
        return known


def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return _NOTHING
