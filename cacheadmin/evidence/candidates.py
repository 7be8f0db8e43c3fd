"""Environments to scan, each once, with all sources that name it."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.locating import Place, lies_in_another_root
from cacheadmin.fs.resolving import resolve
from cacheadmin.uv.layout import parse_bucket_name

if TYPE_CHECKING:
    from cacheadmin.evidence.environments import Candidate
    from cacheadmin.evidence.locating import CacheLocator


class Found:
    """Candidates without repeats: one for each folder, with all its sources.

    What lies in a bucket of the cache is an environment only as
    ``cached_environments`` names it, however else it was found.

    A path is one way to a folder, and its owner may lead it elsewhere the next
    moment: through a link in a home, to somebody else's environment and back.
    So links on the way are resolved here, once, and what is looked at from now
    on is the folder's own place. Else a stranger's way could take the place of
    an owner's, and the environment would be judged by what the stranger shows.
    """

    def __init__(self, locator: CacheLocator) -> None:
        self._locator = locator
        self._by_identity: dict[object, Candidate] = {}

    def add(self, candidate: Candidate) -> None:
        """Add a candidate, or its source to one that is the same folder."""
        candidate = replace(candidate, path=_own_place(candidate.path))
        identity = _identity(candidate.path)
        known = self._by_identity.get(identity)
        if known is None:
            cached = candidate.kind is EnvironmentKind.CACHED
            if cached or not self._lies_in_a_bucket(candidate.path):
                self._by_identity[identity] = candidate
            return
        sources = tuple(dict.fromkeys((*known.sources, *candidate.sources)))
        registrant = known.registrant if known.registrant is not None else candidate.registrant
        seen_ns = max(known.seen_ns, candidate.seen_ns)
        self._by_identity[identity] = replace(
            known, sources=sources, registrant=registrant, seen_ns=seen_ns
        )

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what was found, by path."""
        return tuple(sorted(self._by_identity.values(), key=lambda found: found.path))

    def _lies_in_a_bucket(self, path: str) -> bool:
        root = self._locator.identity.path.rstrip("/") + "/"
        if path.startswith(root):
            first = path.removeprefix(root).partition("/")[0]
            return parse_bucket_name(first) is not None
        return self._locator.locate(path, "/").place is Place.INSIDE


def _own_place(path: str) -> str:
    """Return a path without links on the way; a link at its end stays one.

    As it is where links mean another root, and where there is nothing to resolve.
    """
    if lies_in_another_root(path):
        return path
    folder, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", ".."):
        return path
    try:
        return os.path.join(resolve(folder or "/"), name)
    except (OSError, ValueError):
        return path


def _identity(path: str) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return path
    # A link to an environment is a use of its own: it may be a project's
    # `.venv` that leads into the cache.
    if stat.S_ISLNK(os.lstat(path).st_mode):
        return path
    return status.st_dev, status.st_ino
