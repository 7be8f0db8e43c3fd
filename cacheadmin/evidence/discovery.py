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
from cacheadmin.evidence.registry import registered
from cacheadmin.fs.reading import failure

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Process
    from cacheadmin.policy.model import DiscoverRoot, Policy

_MAX_MATCHES = 100_000


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

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what was found, by path."""
        return tuple(sorted(self._by_identity.values(), key=lambda found: found.path))


def find_environments(
    policy: Policy,
    prefixes: Iterable[tuple[str, str, int]],
    remembered: Iterable[RememberedEnvironment],
    processes: Iterable[Process],
    inside: str,
) -> Found:
    """Return every environment to scan, outside the cache.

    ``prefixes`` come from the cache's interpreter buckets; ``inside`` is the
    cache's path: environments below it are scanned as cached ones.
    """
    found = Found()
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
            elif not _below(candidate.path, inside):
                found.add(candidate)
    return found


def kind_of(path: str) -> EnvironmentKind | None:
    """Return what sort of environment a folder is; None when it is none."""
    if os.path.lexists(f"{path}/uv-receipt.toml"):
        return EnvironmentKind.TOOL
    if os.path.lexists(f"{path}/pyvenv.cfg"):
        return EnvironmentKind.VENV
    try:
        names = os.listdir(path)
    except OSError:
        return None
    if any(name.endswith(".dist-info") for name in names):
        return EnvironmentKind.TARGET
    if glob.glob(f"{glob.escape(path)}/lib/python*/*-packages"):
        return EnvironmentKind.PYTHON
    return None


def _included(patterns: Iterable[str]) -> Iterator[Candidate | Unseen]:
    for pattern in patterns:
        matches = list(islice(glob.iglob(pattern, include_hidden=True), _MAX_MATCHES + 1))
        if len(matches) > _MAX_MATCHES:
            reason = f"more than {_MAX_MATCHES} matches"
            yield Unseen("include", pattern, reason, hides_archives=True)
        for path in matches[:_MAX_MATCHES]:
            kind = kind_of(path)
            if kind is not None:
                yield Candidate(path.rstrip("/"), kind, ("include",))
            elif os.path.islink(path) or _is_closed(path):
                # A link that leads nowhere, or a folder we may not look into.
                yield Candidate(path.rstrip("/"), EnvironmentKind.VENV, ("include",))
        if not matches and not glob.has_magic(pattern):
            # Named in full by the policy and gone, or out of our reach.
            yield Candidate(pattern.rstrip("/"), EnvironmentKind.VENV, ("include",))
        if not matches:
            yield from _closed_parent(pattern)


def _closed_parent(pattern: str) -> Iterator[Unseen]:
    """Say that a pattern matched nothing because a folder on its way can't be read."""
    folder = "/"
    for part in pattern.split("/")[1:-1]:
        if glob.has_magic(part):
            break
        folder = os.path.join(folder, part)
    if os.path.isdir(folder) and _is_closed(folder):
        yield Unseen("include", folder, "Permission denied", hides_archives=True)


def _is_closed(path: str) -> bool:
    try:
        os.listdir(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _discovered(roots: Iterable[DiscoverRoot]) -> Iterator[Candidate | Unseen]:
    for root in roots:
        for base in sorted(glob.glob(root.root)) or [root.root]:
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
        names = {entry.name for entry in listed}
        if "pyvenv.cfg" in names or "uv-receipt.toml" in names:
            tool = "uv-receipt.toml" in names
            kind = EnvironmentKind.TOOL if tool else EnvironmentKind.VENV
            yield Candidate(folder, kind, ("discover",))
            continue
        if any(name.endswith(".dist-info") for name in names):
            yield Candidate(folder, EnvironmentKind.TARGET, ("discover",))
            continue
        for entry in listed:
            if _excluded(entry, exclude):
                continue
            if entry.is_symlink() and entry.name in (".venv", "venv"):
                # Centralised environments: `.venv` is a link (facts section 7).
                yield Candidate(entry.path, EnvironmentKind.VENV, ("discover",))
            elif left > 0 and entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, left - 1))


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


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
