"""Which packages were built from a git database or checkout. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.package_names import normalized

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import Inventory

PackageVersion = tuple[str, str | None]


def git_packages(inventory: Inventory) -> dict[str, tuple[PackageVersion, ...]]:
    """Return the packages that were built from each git source, as far as can be told, by path.

    A checkout is told by the revision of its commit.
    """
    built: list[tuple[str, PackageVersion]] = []
    for revision in inventory.revisions:
        if "/git/" in revision.path and revision.package is not None:
            package = (normalized(revision.package), revision.version)
            built.append((revision.path.rpartition("/")[2], package))
    found: dict[str, dict[PackageVersion, None]] = {}
    for checkout in inventory.git_sources:
        if checkout.commit is None:
            continue
        for commit, package in built:
            if commit.startswith(checkout.commit):
                found.setdefault(checkout.path, {})[package] = None
                if checkout.database is not None:
                    found.setdefault(checkout.database, {})[package] = None
    return {path: tuple(packages) for path, packages in found.items()}


def one_package(packages: tuple[PackageVersion, ...]) -> tuple[str | None, str | None]:
    """Return the package that a git source is of; its version where that is only one."""
    names = {name for name, _ in packages}
    versions = {version for _, version in packages}
    if len(names) != 1:
        return None, None
    return names.pop(), versions.pop() if len(versions) == 1 else None
