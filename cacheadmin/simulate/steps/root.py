"""The cache's root: whatever is none of the release's own buckets goes.

That is every bucket of every other release, older and newer, every temporary
folder, and every stray name; links are unlinked, not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree

_SPARED = frozenset({"CACHEDIR.TAG", ".gitignore", ".git"})


def remove_unknown_names(tree: Tree, release: PrunedRelease) -> None:
    """Source: crates/uv-cache/src/lib.rs `prune`, since 0.1.24."""
    own = set(release.buckets.values())
    if release.behaviour.python_is_strange:
        # `CacheBucket::iter` forgot it until 0.11.21.
        own.discard(release.buckets.get("python", ""))
    for entry in tree.entries(tree.root) or ():
        if entry.name in _SPARED or (entry.name == ".lock" and release.behaviour.spares_lock):
            continue
        if not entry.is_folder or entry.name not in own:
            tree.remove(entry.path)
