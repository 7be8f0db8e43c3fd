"""Superseded source revisions: folders beside a revision file that it does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.simulate.steps.prune import PruneFails
from cacheadmin.uv.pointers import MAX_BYTES, revision_fields, revision_named_by

if TYPE_CHECKING:
    from cacheadmin.simulate.behaviours import Behaviour
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree
    from cacheadmin.uv.pointers import PointerKind

_FILES: tuple[tuple[str, PointerKind], ...] = (("revision.http", "http"), ("revision.rev", "rev"))


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
        current = None if content is None else _read(content, kind, release.behaviour)
        if current is None and release.behaviour.bad_revision_file_fails:
            raise PruneFails(f"{path} can't be read as a revision pointer")
        if current is not None:
            for sibling in tree.entries(folder) or ():
                if sibling.is_folder and sibling.name != current:
                    tree.remove(sibling.path)
        if release.behaviour.revision_files == 1:
            return


def _read(content: bytes, kind: PointerKind, behaviour: Behaviour) -> str | None:
    """Return the revision that a release takes for the current one; None where it can't read it.

    0.11.9 and 0.11.10 read ids of 16 characters only; releases before 0.12.0 no
    third field, which 0.12.0 and 0.12.1 wrote into the bucket they share (run 0.6.8
    to 0.12.24, each on what each wrote).
    """
    current = revision_named_by(content, kind)
    length = behaviour.revision_id_length
    if current is None or (length is not None and len(current) != length):
        return None
    return current if revision_fields(content, kind) <= behaviour.revision_fields else None
