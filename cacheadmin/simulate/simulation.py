"""One simulated prune: the steps in the release's own order, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.errors import WrongUsage
from cacheadmin.simulate.behaviours import behaviour_of
from cacheadmin.simulate.steps import (
    PrunedRelease,
    PruneFails,
    clean_package,
    empty_builds,
    remove_environments,
    remove_superseded_revisions,
    remove_unknown_names,
    remove_unreferenced_archives,
    remove_unzipped_wheels,
    sweep_files,
)
from cacheadmin.simulate.tree import Tree
from cacheadmin.uv.layout import ROOTS_FOLDER, ROOTS_KINDS, parse_bucket_name
from cacheadmin.uv.releases import buckets_of
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity


@frozen
class Simulation:
    """What a release's prune, or its `cache clean PACKAGE`, would do."""

    version: str
    """The release's number."""
    ci: bool
    """Whether it is run with ``--ci``."""
    force: bool
    """Whether it is run with ``--force``."""
    cleaned: tuple[str, ...]
    """Normalised names of the packages that are cleaned; empty for a prune."""
    removals: tuple[str, ...]
    """The top of each removed tree, relative to the cache and sorted."""
    outside: tuple[str, ...]
    """Absolute paths outside the cache that it would delete by following links, sorted."""
    unlinks_lock: bool
    """Whether it would delete ``.lock`` in the cache's root."""
    failure: str = ""
    """Why it would end with an error; empty where it would not.

    At least some of ``removals`` are removed before that error.
    """


def simulate_prune(
    cache: CacheIdentity,
    version: str,
    *,
    ci: bool = False,
    clean: tuple[str, ...] = (),
    force: bool = False,
    buckets: frozenset[str] | None = None,
    without_roots: bool = False,
) -> Simulation:
    """Return what ``uv cache prune`` of a release would delete in a cache.

    With ``clean`` it is ``uv cache clean`` of these packages instead. ``force`` is
    its ``--force``: the same removals, without waiting for any process.
    Nothing is locked or changed. ``buckets`` are the release's bucket names
    when they were learned from its binary; else the release table's.
    ``without_roots``: as if `cacheadmin protect` had planted nothing. For readers;
    raises WrongUsage as `release_for` does.
    """
    release = release_for(version, ci=ci, clean=clean, force=force, buckets=buckets)
    tree = Tree(cache.path)
    planted = _roots_folders(tree) if without_roots else ()
    for folder in planted:
        tree.remove(folder)
    failure = ""
    try:
        if clean:
            for package in clean:
                clean_package(tree, release, package)
        else:
            _prune(tree, release, ci=ci)
    except PruneFails as error:
        failure = str(error)
    for folder in planted:
        # Never there, so it is not this prune that removes it.
        del tree.removed[folder]
    return _outcome(tree, release, ci=ci, force=force, cleaned=clean, failure=failure)


def release_for(
    version: str,
    *,
    ci: bool = False,
    clean: tuple[str, ...] = (),
    force: bool = False,
    buckets: frozenset[str] | None = None,
) -> PrunedRelease:
    """Return what is known of a release's prune.

    Raises WrongUsage for a release that has none of that kind, or one nothing is known of.
    """
    names = buckets if buckets is not None else buckets_of(version)
    behaviour = behaviour_of(version)
    if names is None:
        raise WrongUsage(
            f"nothing is known of the buckets of uv {version}",
            hint="give --uv PATH of its binary, or teach it with `cacheadmin uv learn PATH`",
        )
    if ci and behaviour.ci is None:
        raise WrongUsage(f"uv {version} has no `cache prune --ci`: it came with 0.2.29")
    if force and not behaviour.can_force:
        raise WrongUsage(f"uv {version} has no `--force`: it came with 0.8.20")
    if ci and clean:
        raise WrongUsage("--ci belongs to `uv cache prune`: leave it out with --clean")
    return PrunedRelease(version, behaviour, _by_kind(names))


def has_roots(cache: CacheIdentity) -> bool:
    """Whether `cacheadmin protect` has planted anything in a cache; for readers."""
    return any(_roots_folders(Tree(cache.path)))


def _roots_folders(tree: Tree) -> tuple[str, ...]:
    return tuple(
        inner.path
        for entry in tree.entries(tree.root) or ()
        if (found := parse_bucket_name(entry.name)) is not None and found[0] in ROOTS_KINDS
        for inner in (tree.entries(entry.path) or () if entry.is_folder else ())
        if inner.name == ROOTS_FOLDER and inner.is_folder
    )


def _prune(tree: Tree, release: PrunedRelease, *, ci: bool) -> None:
    remove_superseded_revisions(tree, release)
    remove_unknown_names(tree, release)
    late = release.behaviour.environments_after_archives
    if not late:
        remove_environments(tree, release)
    if ci:
        remove_unzipped_wheels(tree, release)
    empty_builds(tree, release)
    remove_unreferenced_archives(tree, release)
    if late:
        remove_environments(tree, release)
    sweep_files(tree, release)


def _outcome(
    tree: Tree,
    release: PrunedRelease,
    *,
    ci: bool,
    force: bool,
    cleaned: tuple[str, ...],
    failure: str,
) -> Simulation:
    inside, outside = [], []
    prefix = tree.root.rstrip("/") + "/"
    for path in tree.tops():
        if path.startswith(prefix):
            inside.append(path.removeprefix(prefix))
        else:
            outside.append(path)
    return Simulation(
        version=release.version,
        ci=ci,
        force=force,
        cleaned=cleaned,
        removals=tuple(sorted(inside)),
        outside=tuple(sorted(outside)),
        unlinks_lock=".lock" in inside,
        failure=failure,
    )


def _by_kind(names: frozenset[str]) -> dict[str, str]:
    parsed = ((parse_bucket_name(name), name) for name in sorted(names))
    return {found[0]: name for found, name in parsed if found is not None}
