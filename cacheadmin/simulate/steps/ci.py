"""``--ci``: every unzipped wheel goes; wheels built from source stay as archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.simulate.behaviours import CiSources
from cacheadmin.simulate.steps.prune import PruneFails, extension

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree


def remove_unzipped_wheels(tree: Tree, release: PrunedRelease) -> None:
    """Source: crates/uv-cache/src/lib.rs `prune`, since 0.2.29."""
    _wheels(tree, release)
    sources = release.sources(tree)
    if sources is None or not tree.is_folder(sources):
        if release.behaviour.ci_needs_sources:
            raise PruneFails("there is no source-distribution bucket (fails before 0.11.21)")
        return
    _sources(tree, release, sources)


def _wheels(tree: Tree, release: PrunedRelease) -> None:
    bucket = release.path(tree, "wheels")
    for entry in (tree.entries(bucket) if bucket is not None else None) or ():
        path: str | None = entry.path
        if release.behaviour.follows_links_out:
            path = tree.canonicalize(entry.path)
        if path is None:
            raise PruneFails(f"{entry.path} leads nowhere")
        if tree.is_folder(path):
            tree.remove(path)


def _sources(tree: Tree, release: PrunedRelease, bucket: str) -> None:
    kind = release.behaviour.ci
    for entry in tree.walk(bucket):
        if kind is CiSources.LINKS:
            if entry.is_link:
                tree.remove(entry.path)
            continue
        if not entry.is_folder or tree.canonicalize(f"{entry.path}/metadata.msgpack") is None:
            continue
        for inner in tree.entries(entry.path) or ():
            if kind is CiSources.FOLDERS_AND_LINKS:
                goes = inner.is_link or inner.is_folder
            else:
                goes = inner.name != "metadata.msgpack" and extension(inner.name) != "whl"
            if goes:
                tree.remove(inner.path)
