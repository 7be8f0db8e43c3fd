"""Superseded source revisions: folders beside a revision file that it does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.simulate.steps.pruning import PruneFails
from cacheadmin.uv.pointers import MAX_BYTES, revision_named_by

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.pruning import PrunedRelease
    from cacheadmin.simulate.tree import Tree

_FILES: tuple[tuple[str, str], ...] = (("revision.http", "http"), ("revision.rev", "rev"))


def remove_superseded_revisions(tree: Tree, release: PrunedRelease) -> None:
    """Source: crates/uv-distribution/src/source/mod.rs `prune`, since 0.4.7."""
    bucket = release.sources(tree)
    if release.behaviour.revision_files == 0 or bucket is None or not tree.is_folder(bucket):
        return
    for entry in tree.walk(bucket):
        if entry.is_folder:
            _prune_folder(tree, release, entry.path)


def _prune_folder(tree: Tree, release: PrunedRelease, folder: str) -> None:
    for name, kind in _FILES:
        path = f"{folder}/{name}"
        if not tree.is_file(path):
            continue
        content = tree.read(path, MAX_BYTES)
        current = None if content is None else revision_named_by(content, kind)  # type: ignore[arg-type]
        if current is None and release.behaviour.bad_revision_file_fails:
            raise PruneFails(f"{path} can't be read as a revision pointer")
        if current is not None:
            for sibling in tree.entries(folder) or ():
                if sibling.is_folder and sibling.name != current:
                    tree.remove(sibling.path)
        if release.behaviour.revision_files == 1:
            return
