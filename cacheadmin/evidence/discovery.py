"""Find environments: registry, patterns, trees, the cache's own entries, processes.

No single source is complete (facts section 6: uv keeps no list), so all of
them are joined; one environment found in several ways is scanned once, and
says how it was found. What could hide environments is said.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, RememberedEnvironment, Unseen
from cacheadmin.evidence.kinds import is_closed, kind_of
from cacheadmin.evidence.locating import Place
from cacheadmin.evidence.patterns import expand
from cacheadmin.evidence.registry import registered
from cacheadmin.fs.reading import failure

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Process
    from cacheadmin.evidence.locating import CacheLocator
    from cacheadmin.policy.model import DiscoverRoot, Policy

_MAX_MATCHES = 100_000

_WITH_LIB = (EnvironmentKind.VENV, EnvironmentKind.TOOL)

# Folders of an environment's own, where nobody keeps another one.
_OWN = frozenset({"bin", "include", "lib", "lib64", "share"})


class Found:
    """Candidates without repeats: one for each folder, with all its sources."""

    def __init__(self) -> None:
        self.unseen: list[Unseen] = []
        self._by_identity: dict[object, Candidate] = {}

    def add(self, candidate: Candidate) -> None:
        """Add a candidate, or its source to one that is the same folder."""
        identity = _identity(candidate.path)
        known = self._by_identity.get(identity)
        if known is None:
            self._by_identity[identity] = candidate
            return
        sources = tuple(dict.fromkeys((*known.sources, *candidate.sources)))
        registrant = known.registrant if known.registrant is not None else candidate.registrant
        self._by_identity[identity] = Candidate(known.path, known.kind, sources, registrant)

    def knows(self, path: str) -> bool:
        """Whether this folder was found before, by any of its names."""
        return _identity(path) in self._by_identity

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what was found, by path."""
        return tuple(sorted(self._by_identity.values(), key=lambda found: found.path))


def find_environments(
    policy: Policy,
    prefixes: Iterable[tuple[str, str, int]],
    remembered: Iterable[RememberedEnvironment],
    processes: Iterable[Process],
    inside: Iterable[str],
    locator: CacheLocator,
) -> Found:
    """Return every environment to scan.

    ``prefixes`` come from the cache's interpreter buckets; ``inside`` are the
    paths of the environments in the cache. Anything else in the cache is none,
    however it was found.
    """
    found = Found()
    for path in inside:
        found.add(Candidate(path, EnvironmentKind.CACHED, ("cache",)))
    sources: tuple[Iterable[Candidate | Unseen], ...] = (
        registered(policy.venvs.registry) if policy.venvs.registry else (),
        _included(policy.venvs.include),
        _discovered(policy.venvs.discover),
        _from_cache(prefixes) if policy.venvs.from_cache else (),
        _from_processes(processes),
        (Candidate(memory.path, memory.kind, ("remembered",)) for memory in remembered),
    )
    for source in sources:
        for candidate in source:
            if isinstance(candidate, Unseen):
                found.unseen.append(candidate)
            elif found.knows(candidate.path) or not _below(candidate.path, locator):
                found.add(candidate)
    return found


def _included(patterns: Iterable[str]) -> Iterator[Candidate | Unseen]:
    for pattern in patterns:
        unseen: list[Unseen] = []
        matches = list(islice(_matches(pattern, "include", unseen), _MAX_MATCHES + 1))
        yield from unseen
        if len(matches) > _MAX_MATCHES:
            reason = f"more than {_MAX_MATCHES} matches"
            yield Unseen("include", pattern, reason, hides_archives=True)
        for path in matches[:_MAX_MATCHES]:
            kind = kind_of(path)
            if kind is not None:
                yield Candidate(path, kind, ("include",))
            elif os.path.islink(path) or is_closed(path):
                # A link that leads nowhere, or a folder we may not look into.
                yield Candidate(path, EnvironmentKind.VENV, ("include",))
        if not matches and not glob.has_magic(pattern):
            # Named in full by the policy and gone, or out of our reach.
            yield Candidate(pattern.rstrip("/"), EnvironmentKind.VENV, ("include",))


def _matches(pattern: str, what: str, unseen: list[Unseen]) -> Iterator[str]:
    def closed(folder: str, error: OSError) -> None:
        reason = failure(folder, error).reason
        unseen.append(Unseen(what, folder, reason, hides_archives=True))

    return expand(pattern, closed)


def _discovered(roots: Iterable[DiscoverRoot]) -> Iterator[Candidate | Unseen]:
    for root in roots:
        unseen: list[Unseen] = []
        bases = list(_matches(root.root, "discover", unseen))
        yield from unseen
        for base in bases or ([] if unseen else [root.root]):
            yield from _walk(base, root.depth, tuple(root.exclude))


def _walk(base: str, depth: int, exclude: tuple[str, ...]) -> Iterator[Candidate | Unseen]:
    waiting = [(base, depth)]
    while waiting:
        folder, left = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as error:
            problem = failure(folder, error)
            if not problem.missing or folder == base:
                yield Unseen("discover", folder, problem.reason, hides_archives=True)
            continue
        kind = _kind_by_listing({entry.name for entry in listed if not _is_folder(entry)}, listed)
        if kind is not None:
            yield Candidate(folder, kind, ("discover",))
        for entry in listed:
            # An environment may lie beside a decoy, never in another's `lib`.
            if _excluded(entry, exclude) or (kind in _WITH_LIB and entry.name in _OWN):
                continue
            if entry.is_symlink() and entry.name in (".venv", "venv"):
                # Centralised environments: `.venv` is a link (facts section 7).
                yield Candidate(entry.path, EnvironmentKind.VENV, ("discover",))
            elif left > 0 and _is_folder(entry):
                waiting.append((entry.path, left - 1))


def _kind_by_listing(files: set[str], listed: Iterable[os.DirEntry[str]]) -> EnvironmentKind | None:
    """As ``kind_of``, from a listing that is there already."""
    if "uv-receipt.toml" in files:
        return EnvironmentKind.TOOL
    if "pyvenv.cfg" in files:
        return EnvironmentKind.VENV
    if any(entry.name.endswith(".dist-info") for entry in listed):
        return EnvironmentKind.TARGET
    return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _excluded(entry: os.DirEntry[str], exclude: tuple[str, ...]) -> bool:
    return any(fnmatch(entry.name, part) or fnmatch(entry.path, part) for part in exclude)


def _from_cache(prefixes: Iterable[tuple[str, str, int]]) -> Iterator[Candidate]:
    for prefix, _, _ in prefixes:
        # One that is gone, or behind a closed door, is scanned too: to say so.
        yield Candidate(prefix, kind_of(prefix) or EnvironmentKind.VENV, ("cache",))


def _from_processes(processes: Iterable[Process]) -> Iterator[Candidate]:
    for process in processes:
        for path in process.environments:
            yield Candidate(path, EnvironmentKind.VENV, ("process",), process.uid)


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


def _below(path: str, locator: CacheLocator) -> bool:
    root = locator.identity.path.rstrip("/")
    return (f"{path}/").startswith(f"{root}/") or locator.locate(path, "/").place is Place.INSIDE
