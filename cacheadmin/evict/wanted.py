"""The packages to evict, as named on the command line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.errors import WrongUsage
from cacheadmin.packages.names import normalized
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class Wanted:
    """One package, and which version of it."""

    name: str
    """Normalized name."""
    version: str | None
    """The version, as it was written; None: every version."""

    @property
    def text(self) -> str:
        """As it can be given to pip and uv."""
        return self.name if self.version is None else f"{self.name}=={self.version}"

    def names(self, package: str | None, version: str | None) -> bool:
        """Whether a package is meant; one whose version can't be told is not, if one is asked."""
        from packaging.version import InvalidVersion, Version

        if package is None or normalized(package) != self.name:
            return False
        if self.version is None:
            return True
        if version is None:
            return False
        try:
            return Version(version) == Version(self.version)
        except InvalidVersion:
            return version == self.version


def parse_wanted(texts: Iterable[str]) -> tuple[Wanted, ...]:
    """Return what ``NAME`` and ``NAME==VERSION`` mean. Raises WrongUsage for anything else."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in texts:
        hint = "write a package, or one version of it: six, or six==1.16.0"
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise WrongUsage(f"{text!r} names no package", hint=hint) from None
        specifiers = list(requirement.specifier)
        exact = all(one.operator == "==" and "*" not in one.version for one in specifiers)
        plain = not (requirement.url or requirement.marker or requirement.extras)
        if len(specifiers) > 1 or not exact or not plain:
            raise WrongUsage(f"{text!r} is more than a package and one version", hint=hint)
        version = specifiers[0].version if specifiers else None
        found.append(Wanted(normalized(requirement.name), version))
    return tuple(dict.fromkeys(found))


def is_wanted(wanted: Iterable[Wanted], package: str | None, version: str | None) -> bool:
    """Whether any of them means a package."""
    return any(one.names(package, version) for one in wanted)
