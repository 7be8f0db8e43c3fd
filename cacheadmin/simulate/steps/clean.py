"""``uv cache clean PACKAGE``: what the release stores under a name, and archives left alone by it.

An archive goes when the last link that the release counts as a reference to it
went with the package. As in a prune, what environments link to is not asked.

Source: crates/uv-cache/src/lib.rs `CacheBucket::remove` and `Cache::remove` at every
tag from 0.1.24 to 0.12.5; later releases run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cacheadmin.packages.names import normalized
from cacheadmin.simulate.behaviours import CleanedArchives
from cacheadmin.simulate.steps.archives import references
from cacheadmin.simulate.steps.files import sweep_files
from cacheadmin.simulate.steps.prune import PruneFails
from cacheadmin.uv.untrusted_msgpack import first_object

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree

# The metadata of a package with a thousand requirements is far below.
_MAX_METADATA = 1024 * 1024


def clean_package(tree: Tree, release: PrunedRelease, package: str) -> None:
    """Remove one package, by its normalized name."""
    rule = release.behaviour.cleaned_archives
    before: dict[str, list[str]] = {}
    if rule is not CleanedArchives.NONE:
        for link, archive in references(tree, release):
            before.setdefault(archive, []).append(link)
    for path in tuple(_entries(tree, release, package)):
        if _exists(tree, path):
            tree.remove(path)
    if rule is CleanedArchives.LISTED:
        _remove_listed(tree, release, frozenset(before))
    elif rule is not CleanedArchives.NONE:
        _remove_unlinked(tree, release, before)
    sweep_files(tree, release)


def _entries(tree: Tree, release: PrunedRelease, package: str) -> Iterator[str]:
    """Yield the paths that a package has in the release's buckets; some may not exist."""
    wheels = release.path(tree, "wheels")
    if wheels is not None:
        yield f"{wheels}/pypi/{package}"
        for kind in ("index", "url"):
            yield from (f"{folder}/{package}" for folder in _folders(tree, f"{wheels}/{kind}"))
    sources = release.sources(tree)
    if sources is not None:
        yield from _sources(tree, sources, package)
    simple = release.path(tree, "simple")
    if simple is not None:
        yield f"{simple}/pypi/{package}.rkyv"
        kind = release.behaviour.simple_index_folder
        yield from (f"{folder}/{package}.rkyv" for folder in _folders(tree, f"{simple}/{kind}"))
    flat_index = release.path(tree, "flat-index")
    if flat_index is not None:
        yield flat_index


def _sources(tree: Tree, bucket: str, package: str) -> Iterator[str]:
    """Yield what a source bucket has; of what has no name in its path, by its metadata.

    Editable installs lie in a folder of their own, which no release cleans.
    """
    yield f"{bucket}/pypi/{package}"
    yield from (f"{folder}/{package}" for folder in _folders(tree, f"{bucket}/index"))
    for kind in ("url", "path"):
        for source in _folders(tree, f"{bucket}/{kind}"):
            if any(_names(tree, one, package) for one in _folders(tree, source)):
                yield source
    for repository in _folders(tree, f"{bucket}/git"):
        yield from (one for one in _folders(tree, repository) if _names(tree, one, package))


def _folders(tree: Tree, path: str) -> list[str]:
    return [entry.path for entry in tree.entries(path) or () if entry.is_folder]


def _names(tree: Tree, folder: str, package: str) -> bool:
    """Whether the metadata of a built wheel names a package."""
    content = tree.read(f"{folder}/metadata.msgpack", _MAX_METADATA)
    found: Any = None if content is None else first_object(content, _MAX_METADATA)
    name = found.get("name") if isinstance(found, dict) else None
    if isinstance(found, list) and found:
        name = found[0]
    return isinstance(name, str) and normalized(name) == package


def _exists(tree: Tree, path: str) -> bool:
    return os.path.lexists(path) and not tree.is_gone(path)


def _remove_listed(tree: Tree, release: PrunedRelease, before: frozenset[str]) -> None:
    """0.4.2 to 0.7.8: each entry of the archive bucket that was referenced and is no more."""
    bucket = release.path(tree, "archive")
    after = {archive for _, archive in references(tree, release)}
    if bucket is None or before == after:
        return
    for entry in tree.entries(bucket) or ():
        real = tree.canonicalize(entry.path)
        if real is None:
            raise PruneFails(f"{entry.path} leads nowhere")
        if real in before and real not in after:
            tree.remove(real)


def _remove_unlinked(tree: Tree, release: PrunedRelease, before: dict[str, list[str]]) -> None:
    """0.7.9 and later: each target of references that are all gone, until 0.11.20 anywhere."""
    inside = f"{tree.root}/{release.buckets.get('archive', '')}"
    anywhere = release.behaviour.cleaned_archives is CleanedArchives.UNLINKED_ANYWHERE
    for archive, links in before.items():
        if not anywhere and archive != inside and not archive.startswith(f"{inside}/"):
            continue
        if all(tree.canonicalize(link) is None for link in links):
            tree.remove(archive)
