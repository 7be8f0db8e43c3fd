"""What something in a cache belongs to. Pure.

An archive belongs to the package and version it holds, and to the user who owns
its folder. Around archives lie pointers and sources, which belong to a package
too; metadata of indexes and interpreters, cached environments and builds,
which belong to none; and the roots that protection plants: those are ours,
whatever the grouping, and never counted as any user's package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from cacheadmin.inventory.entries import Archive, ArchiveContent, Inventory, bucket_of
from cacheadmin.planner.git_packages import git_packages, one_package
from cacheadmin.usage.groupings import By
from cacheadmin.uv.layout import (
    ARCHIVES,
    OTHER_SUFFIXES,
    POINTER_SUFFIXES,
    ROOTS_FOLDER,
    ROOTS_KINDS,
    TRIAL_FOLDER,
    is_temporary,
    parse_bucket_name,
)
from cacheadmin.values import frozen


class Sort(StrEnum):
    """What a group is (public, ``kind`` in JSON)."""

    BUCKET = "bucket"
    PACKAGE = "package"
    OWNER = "owner"
    TEAM = "team"
    ENVIRONMENT = "environment"
    BUILD = "build"
    CONTENT = "content"
    METADATA = "metadata"
    PROTECTION = "protection"
    TRIAL = "trial"
    OTHER = "other"


@frozen
class Group:
    """One line of the report."""

    sort: Sort
    """What the group is."""
    name: str | None = None
    """Bucket, package, account or team; None for what has none, and for sorts without names."""
    version: str | None = None
    """The package's version where the report is by version; else None."""


@frozen
class Thing:
    """What is known of a file or archive."""

    bucket: str | None
    """Name of the bucket that it lies in; None for what lies in none."""
    sort: Sort
    """What it is: ``package`` where it has one, or ``environment`` for a cached one."""
    package: str | None
    """Its package, or that of a cached tool; None where there is none."""
    version: str | None
    """The version of that package; None where unknown, or where it has several."""
    uid: int
    """Its owner."""


PackageVersion = tuple[str, str | None]

_SORT_OF_KIND = {
    "archive": Sort.OTHER,
    "environments": Sort.ENVIRONMENT,
    "builds": Sort.BUILD,
    "files": Sort.CONTENT,
}


@frozen
class Grouping:
    """How things are grouped."""

    by: By
    """What the groups are."""
    user: Callable[[int], str]
    """Returns an account's name, by uid."""
    team: Callable[[str | None, int], str | None]
    """Returns the team of a bucket's name (None: the root) and a uid; None for no team."""

    def group_of(self, thing: Thing) -> Group:
        """Return the group that a thing belongs to."""
        if thing.sort is Sort.PROTECTION:
            return Group(Sort.PROTECTION)
        if self.by is By.BUCKET:
            return Group(Sort.OTHER if thing.bucket is None else Sort.BUCKET, thing.bucket)
        if self.by is By.OWNER:
            return Group(Sort.OWNER, self.user(thing.uid))
        if self.by is By.TEAM:
            return Group(Sort.TEAM, self.team(thing.bucket, thing.uid))
        if thing.sort is Sort.PACKAGE or (thing.sort is Sort.ENVIRONMENT and thing.package):
            version = thing.version if self.by is By.VERSION else None
            return Group(thing.sort, thing.package, version)
        return Group(thing.sort)


def thing_of_archive(archive: Archive, names: Mapping[str, PackageVersion] | None = None) -> Thing:
    """Return what an archive is; ``names`` are those of cached environments, by entry."""
    bucket = bucket_of(archive.path)
    sort = Sort.PACKAGE if archive.package is not None else Sort.OTHER
    if archive.content is ArchiveContent.ENVIRONMENT:
        name, version = (names or {}).get(archive.path, (None, None))
        return Thing(bucket, Sort.ENVIRONMENT, name, version, archive.uid)
    return Thing(bucket, sort, archive.package, archive.version, archive.uid)


def packages_of_paths(inventory: Inventory) -> Mapping[str, PackageVersion]:
    """Return the package of each pointer, and of each folder of a package's own.

    A pointer's files have its path and a suffix: one text for each would be six for a pointer.
    """
    found: dict[str, PackageVersion] = {}
    for pointer in inventory.wheel_pointers:
        found[pointer.path.rpartition("/")[0]] = (pointer.package, None)
        found[pointer.path] = (pointer.package, pointer.version)
    for revision in inventory.revisions:
        if revision.package is not None:
            package = (revision.package, revision.version)
            found[revision.path] = package
            found.setdefault(revision.path.rpartition("/")[0], package)
    packages = git_packages(inventory)
    for source in inventory.git_sources:
        name, version = one_package(packages.get(source.path, ()))
        if name is not None:
            for path in (source.path, *source.files):
                found[path] = (name, version)
    return found


class Classifier:
    """Tells what the files of a cache are, but for archives; folders are asked for first."""

    def __init__(self, packages: Mapping[str, PackageVersion], *, ours: bool = False) -> None:
        """With ``ours`` for a bucket that holds nothing but planted roots."""
        self._packages = packages
        self._ours = ours
        self._inherited: dict[str, PackageVersion] = {}

    def thing_at(self, path: str, uid: int, *, is_folder: bool) -> Thing:
        """Return what lies at a path, relative to the cache's root."""
        bucket, _, rest = path.partition("/")
        parsed = parse_bucket_name(bucket)
        if parsed is None:
            sort = Sort.BUILD if is_temporary(bucket) else Sort.OTHER
            return Thing(None, sort, None, None, uid)
        kind = parsed[0]
        own = kind in ROOTS_KINDS and rest.partition("/")[0] == ROOTS_FOLDER
        if own or self._ours:
            return Thing(bucket, Sort.PROTECTION, None, None, uid)
        if bucket == ARCHIVES and rest.partition("/")[0] == TRIAL_FOLDER:
            return Thing(bucket, Sort.TRIAL, None, None, uid)
        package = self._packages.get(path)
        if package is None and kind == "wheels" and not is_folder:
            package = self._of_pointer_file(path)
        if package is None:
            package = self._inherited.get(path.rpartition("/")[0])
        if package is None:
            return Thing(bucket, _SORT_OF_KIND.get(kind, Sort.METADATA), None, None, uid)
        if is_folder:
            self._inherited[path] = package
        sort = Sort.ENVIRONMENT if kind == "environments" else Sort.PACKAGE
        return Thing(bucket, sort, *package, uid)

    def _of_pointer_file(self, path: str) -> PackageVersion | None:
        for suffix in (*POINTER_SUFFIXES, *OTHER_SUFFIXES):
            if path.endswith(suffix):
                return self._packages.get(path.removesuffix(suffix))
        return None
