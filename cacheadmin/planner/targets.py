"""What a person means by a target: entries of the cache, by path or by package. Pure.

A target is an archive id, a path in the cache (relative, or absolute under any
name of the cache), a package, or ``name==version``. A path stands for the entry
at it, for the entry it lies in, and for every entry below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, bucket_of
from cacheadmin.packages.names import normalized
from cacheadmin.planner.git_packages import git_packages, one_package
from cacheadmin.uv.layout import WHEEL_SUFFIXES
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.inventory.entries import ArchiveId, Inventory, OnTrial

_NEAR = 3


@frozen
class CacheEntry:
    """One entry of the cache, of whatever kind."""

    kind: EntryKind
    """What sort of entry it is."""
    path: str
    """Relative to the cache; of a wheel pointer without the suffix of its files."""
    package: str | None = None
    """The package's name; None where the entry has none, or it is unknown."""
    version: str | None = None
    """The package's version; None where unknown."""
    archives: frozenset[ArchiveId] = frozenset()
    """Archives that it points to; empty for an archive itself."""


@frozen
class Target:
    """What was meant by a text."""

    path: str | None
    """The path that was meant, relative to the cache; None where a package was."""
    package: str | None
    """The normalised name of the package that was meant; None where a path was."""
    version: str | None
    """The version that was meant; None for all of the package, or where a path was."""
    entries: tuple[CacheEntry, ...]
    """The entries that it names now; empty when there is none."""


def all_entries(inventory: Inventory) -> Iterator[CacheEntry]:
    """Yield every entry that a plan decides about, buckets first."""
    for bucket in inventory.buckets:
        yield CacheEntry(EntryKind.BUCKET, bucket.name)
    for pointer in inventory.wheel_pointers:
        archives = pointer.archives
        yield CacheEntry(EntryKind.WHEEL, pointer.path, pointer.package, pointer.version, archives)
    for environment in inventory.environments:
        one = environment.archive
        archives = frozenset() if one is None else frozenset({one})
        yield CacheEntry(EntryKind.ENVIRONMENT, environment.path, archives=archives)
    for revision in inventory.revisions:
        archives = revision.archives
        yield CacheEntry(
            EntryKind.REVISION, revision.path, revision.package, revision.version, archives
        )
    packages = git_packages(inventory)
    for source in inventory.git_sources:
        yield CacheEntry(EntryKind.SOURCE, source.path, *one_package(packages.get(source.path, ())))
    for archive in inventory.archives.values():
        yield CacheEntry(EntryKind.ARCHIVE, archive.path, archive.package, archive.version)
    for build in inventory.builds:
        yield CacheEntry(EntryKind.BUILD, build.path)
    for stray in inventory.strays:
        yield CacheEntry(EntryKind.STRAY, stray.path)
    for file in inventory.loose_files:
        yield CacheEntry(EntryKind.FILE, file.path)


def resolve_target(text: str, inventory: Inventory, aliases: Iterable[str] = ()) -> Target:
    """Return what a text names.

    An archive id comes before a package of the same name; anything with a
    slash, and any entry of the cache's root, is a path.
    """
    path = _path_in_cache(text, inventory, aliases)
    if path is not None:
        return Target(path, None, None, entries_at(inventory, path))
    name, separator, version = (part.strip() for part in text.partition("=="))
    package = normalized(name)
    wanted = version if separator else None
    return Target(None, package, wanted, entries_of_package(inventory, package, wanted))


def entries_at(inventory: Inventory, path: str) -> tuple[CacheEntry, ...]:
    """Return the entry at a path, those below it, and the ones it lies in.

    Where a path lies in an entry that lies in a bucket, the inner one is meant.
    """
    below = [e for e in all_entries(inventory) if covers(path, e)]
    if below:
        return tuple(below)
    around = [entry for entry in all_entries(inventory) if path.startswith(entry.path + "/")]
    return (max(around, key=lambda entry: len(entry.path)),) if around else ()


def covers(path: str, entry: CacheEntry) -> bool:
    """Whether a path names an entry: as itself, as a file of a pointer, or from above."""
    if entry.path == path or entry.path.startswith(path + "/"):
        return True
    return entry.kind is EntryKind.WHEEL and any(
        path == entry.path + suffix for suffix in WHEEL_SUFFIXES
    )


def entries_of_package(
    inventory: Inventory, package: str, version: str | None
) -> tuple[CacheEntry, ...]:
    """Return archives, pointers and source revisions of a package (of one version)."""
    return tuple(
        entry
        for entry in all_entries(inventory)
        if entry.package is not None
        and normalized(entry.package) == package
        and (version is None or entry.version == version)
    )


def on_trial_of(target: Target, inventory: Inventory) -> tuple[OnTrial, ...]:
    """Return what a target names of what is on trial."""
    return tuple(
        one
        for one in inventory.on_trial.values()
        if one.entry == target.path
        or (target.path is not None and one.entry.startswith(f"{target.path}/"))
        or (
            target.package is not None
            and one.package is not None
            and normalized(one.package) == target.package
            and target.version in (None, one.version)
        )
    )


def near_names(text: str, inventory: Inventory, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what a text may stand for: packages, versions, archives, paths and ``others``."""
    entries = list(all_entries(inventory))
    packages = {normalized(entry.package) for entry in entries if entry.package is not None}
    name, separator, _ = text.partition("==")
    if separator and normalized(name) in packages:
        found = entries_of_package(inventory, normalized(name), None)
        versions = sorted({e.version for e in found if e.version})
        return tuple(f"{normalized(name)}=={version}" for version in versions)
    if "/" in text:
        candidates = [*(entry.path for entry in entries), *others]
    else:
        candidates = [*packages, *inventory.archives, *(b.name for b in inventory.buckets)]
    import difflib

    close = difflib.get_close_matches(text, sorted(candidates), n=_NEAR, cutoff=0.6)
    begun = [one for one in sorted(candidates) if text and one.startswith(text)]
    return tuple(dict.fromkeys([*begun[:_NEAR], *close]))


def _path_in_cache(text: str, inventory: Inventory, aliases: Iterable[str]) -> str | None:
    """Return a text as a path relative to the cache; None when it is no path."""
    for root in (inventory.cache.path, *aliases):
        if text.startswith(root.rstrip("/") + "/"):
            return text.removeprefix(root.rstrip("/") + "/").strip("/")
    archive = next((a for a in inventory.archives.values() if a.id == text), None)
    if archive is not None:
        return archive.path
    on_trial = next((e for e in inventory.on_trial if e.rpartition("/")[2] == text), None)
    if on_trial is not None:
        return on_trial
    if "/" in text:
        return text.rstrip("/")
    roots = {bucket_of(entry.path) for entry in all_entries(inventory)}
    return text if text in roots else None
