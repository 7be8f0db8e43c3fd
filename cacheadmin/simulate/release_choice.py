"""Which release to simulate: a number, a learned one, or a binary given by its path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.errors import Refused, WrongUsage
from cacheadmin.uv.binaries import read_binary
from cacheadmin.uv.prune_words import prune_changed
from cacheadmin.uv.releases import buckets_of, newest_known, parse_release
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@frozen
class ChosenRelease:
    """A release to simulate."""

    version: str
    """Its number, such as ``0.8.5``."""
    buckets: frozenset[str] | None
    """Its bucket names as learned or read from a binary; None: as in the release table."""
    note: str = ""
    """Why the simulation may be wrong for it, or empty."""


def choose_release(
    named: str,
    learned: Mapping[str, frozenset[str]],
    prunes: Mapping[str, frozenset[str]] | None = None,
) -> ChosenRelease:
    """Return the release that ``--uv`` names; ``prunes`` are the words of learned ones.

    Raises WrongUsage for one that nothing is known of, or a binary that could
    not be understood, Refused for one whose prune has changed.
    """
    if os.sep in named:
        return _from_binary(named)
    if parse_release(named) is None:
        raise WrongUsage(
            f"--uv {named!r} is neither a release such as 0.8.5 nor the path of a uv binary"
        )
    if buckets_of(named) is not None:
        return ChosenRelease(named, None)
    if named in learned:
        if named in (prunes or {}):
            _refuse_changed(named, (prunes or {})[named])
        return ChosenRelease(named, learned[named], _newer_note(named))
    raise WrongUsage(
        f"uv {named} is newer than the release table, which ends at {newest_known()}"
        if (parse_release(named) or ()) > (parse_release(newest_known()) or ())
        else f"uv {named} is older than the first release with a cache of buckets",
        hint="give --uv PATH of its binary, or teach it with `cacheadmin uv learn PATH`",
    )


def package_names(packages: Iterable[str]) -> tuple[str, ...]:
    """Return names of packages as uv stores them. Raises WrongUsage for what is none."""
    from packaging.utils import InvalidName, canonicalize_name

    try:
        names = [canonicalize_name(package, validate=True) for package in packages]
    except InvalidName as error:
        raise WrongUsage(f"--clean: {error}") from None
    return tuple(dict.fromkeys(names))


def _from_binary(path: str) -> ChosenRelease:
    binary = read_binary(path)
    if binary.problem or binary.version is None:
        raise WrongUsage(f"{path} could not be understood as a uv binary: {binary.problem}")
    known = buckets_of(binary.version)
    if known is None:
        _refuse_changed(binary.version, binary.prune)
    return ChosenRelease(
        binary.version, binary.buckets, "" if known is not None else _newer_note(binary.version)
    )


def _refuse_changed(version: str, words: frozenset[str]) -> None:
    changed = prune_changed(words)
    if changed:
        raise Refused(
            f"what a prune of uv {version} deletes can't be told: {changed}",
            details=("it is newer than what was compared with real binaries",),
            hint="a newer cacheadmin may know it; until then its prune may delete anything",
        )


def _newer_note(version: str) -> str:
    return (
        f"uv {version} is newer than what was compared with real binaries: its buckets are "
        f"known, and its prune is taken to behave as that of {newest_known()}"
    )
