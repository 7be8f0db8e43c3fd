"""Package names as people and files spell them, and the patterns of ``prune.keep``.

A pattern is a requirement as pip and uv take it (``six``, ``six>=1.16,<2``,
``torch[cuda]==2.4.*``), or a glob of names with or without versions (``torch*``,
``flash-attn*>=2``). Extras, markers and addresses narrow nothing: they choose
when and from where a package is installed, and the archive is the same. What
could match no archive is no pattern: the policy that holds it is refused.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_SEPARATORS = re.compile(r"[-_.]+")
_GLOB = re.compile(r"\s*([A-Za-z0-9._*?\[\]!-]+?)\s*((?:[<>=!~].*)?)", re.ASCII)
_VERSION_GLOB = re.compile(r"==\s*([0-9A-Za-z.+_!*?\[\]-]+)\s*", re.ASCII)
_WILD = frozenset("*?[")


def normalized(package: str) -> str:
    """Return a package name as PEP 503 compares names."""
    return _SEPARATORS.sub("-", package).lower()


@frozen
class PackagePattern:
    """A parsed pattern: globs of normalized names, and which of their versions."""

    text: str
    """As it was written."""
    names: tuple[str, ...]
    """Globs; a package that matches one of them is named."""
    specifiers: SpecifierSet
    """Versions as PEP 440 compares them; empty: every version."""
    version_glob: str | None = None
    """A glob of the version's text, where ``==`` has one that PEP 440 does not know."""

    def matches(self, package: str, version: str | None) -> bool:
        """Whether a package is named; one whose version can't be told is."""
        from packaging.version import InvalidVersion, Version

        name = normalized(package)
        if not any(fnmatchcase(name, glob) for glob in self.names):
            return False
        if version is None:
            return True
        if self.version_glob is not None:
            return fnmatchcase(version, self.version_glob)
        try:
            return self.specifiers.contains(Version(version), prereleases=True)
        except InvalidVersion:
            return True


@cache
def parse_pattern(text: str) -> PackagePattern:
    """Return a pattern. Raises ValueError for what could match no package."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return _parse_glob(text)
    names = [normalized(requirement.name)]
    if requirement.extras and not requirement.specifier and not requirement.url:
        # `six[12]` may be meant as a glob: then it names more.
        names.append(normalized(text.strip()))
    _refuse_contradiction(text, requirement.specifier)
    return PackagePattern(text, tuple(names), requirement.specifier)


def _parse_glob(text: str) -> PackagePattern:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    found = _GLOB.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} names no package: write a requirement such as six>=1.16, "
            "or a glob such as six*"
        )
    names = (normalized(found[1]),)
    try:
        specifiers = SpecifierSet(found[2])
    except InvalidSpecifier:
        glob = _VERSION_GLOB.fullmatch(found[2])
        if glob is None or not _WILD & set(glob[1]):
            raise ValueError(
                f"{text!r} names no version: write two equal signs, as in six==1.16.0, "
                "or another requirement such as six>=1.16"
            ) from None
        return PackagePattern(text, names, SpecifierSet(), glob[1])
    if not _WILD & set(names[0]):
        raise ValueError(f"{text!r} names no package: {found[1]!r} is no name of one")
    _refuse_contradiction(text, specifiers)
    return PackagePattern(text, names, specifiers)


def _refuse_contradiction(text: str, specifiers: SpecifierSet) -> None:
    """Raise ValueError for versions that exclude each other, such as ``>2,<1``."""
    if len(specifiers) < 2:
        return
    candidates = {version for one in specifiers for version in _around(one.version)}
    if not any(specifiers.contains(version, prereleases=True) for version in candidates):
        raise ValueError(f"{text!r} can match no version: its conditions exclude each other")


def _around(text: str) -> Iterator[Version]:
    """Yield a version and neighbours on both sides: one of them fits if any version does."""
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(text.removesuffix(".*"))
    except InvalidVersion:
        return
    base = version.base_version
    yield version
    endings = [".0.0.1", ".0.0.1.dev1", "rc999", ".dev0", ".dev999", ".post999", ".999"]
    if version.pre is not None:
        endings += [f"{version.pre[0]}{version.pre[1] + step}" for step in (1, 2)]
    if version.dev is not None:
        endings += [f".dev{version.dev + step}" for step in (1, 2)]
    for ending in endings:
        yield Version(f"{base}{ending}")
    yield Version("0.dev0")
    yield Version(f"{version.epoch}!999999")


def matches(patterns: Sequence[str], package: str | None, version: str | None) -> str | None:
    """Return the first pattern that names the package, or None.

    A pattern that can't be understood (policies are checked for these when they
    are loaded) names every package: more is kept.
    """
    if package is None:
        return None
    for text in patterns:
        try:
            if parse_pattern(text).matches(package, version):
                return text
        except ValueError:
            return text
    return None
