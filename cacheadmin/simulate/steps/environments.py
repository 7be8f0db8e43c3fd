"""Cached environments: all of them go, in use or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.simulate.steps.prune import PruneFails

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree


def remove_environments(tree: Tree, release: PrunedRelease) -> None:
    """Source: crates/uv-cache/src/lib.rs `prune`, since 0.2.22.

    Until 0.11.20 a link there was followed, and what it led to was deleted.
    """
    bucket = release.path(tree, "environments")
    if bucket is None or not release.behaviour.removes_environments:
        return
    for entry in tree.entries(bucket) or ():
        if not release.behaviour.follows_links_out:
            tree.remove(entry.path)
            continue
        real = tree.canonicalize(entry.path)
        if real is None:
            raise PruneFails(f"{entry.path} leads nowhere")
        tree.remove(real)
