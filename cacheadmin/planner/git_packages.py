"""Which packages were built from a git database or checkout. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.packages.names import normalized

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import GitSource, Inventory

PackageVersion = tuple[str, str | None]


def git_packages(inventory: Inventory) -> dict[str, tuple[PackageVersion, ...]]:
    """Return the packages that were built from each git source, as far as can be told, by path.

    A checkout is told by the revision of its commit.
    """
    lengths = commit_lengths(inventory.git_sources)
    built: dict[str, dict[PackageVersion, None]] = {}
    for revision in inventory.revisions:
        if "/git/" in revision.path and revision.package is not None:
            commit = revision.path.rpartition("/")[2]
            for length in lengths:
                package = (normalized(revision.package), revision.version)
                built.setdefault(commit[:length], {})[package] = None
    found: dict[str, dict[PackageVersion, None]] = {}
    for checkout in inventory.git_sources:
        packages = {} if checkout.commit is None else built.get(checkout.commit, {})
        if packages:
            found.setdefault(checkout.path, {}).update(packages)
            if checkout.database is not None:
                found.setdefault(checkout.database, {}).update(packages)
    return {path: tuple(packages) for path, packages in found.items()}


def commit_lengths(sources: Iterable[GitSource]) -> frozenset[int]:
    """Return with how many digits checkouts name their commits: few, however many there are."""
    return frozenset(len(one.commit) for one in sources if one.commit is not None)


def one_package(packages: tuple[PackageVersion, ...]) -> tuple[str | None, str | None]:
    """Return the package that a git source is of; its version where that is only one."""
    names = {name for name, _ in packages}
    versions = {version for _, version in packages}
    if len(names) != 1:
        return None, None
    return names.pop(), versions.pop() if len(versions) == 1 else None
