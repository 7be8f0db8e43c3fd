"""Build folders: all of them go since 0.12.24, in use or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree


def empty_builds(tree: Tree, release: PrunedRelease) -> None:
    """Source: binaries of 0.12.23 and 0.12.24 (run): before the archives, which may fail."""
    bucket = release.path(tree, "builds")
    if bucket is None or not release.behaviour.empties_builds:
        return
    for entry in tree.entries(bucket) or ():
        tree.remove(entry.path)
