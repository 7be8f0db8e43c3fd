"""Gather all evidence about one cache. Reads much, changes nothing, runs nothing.

Order matters little, with one exception: processes first, because what runs
from an environment that nobody registered makes it known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.discovery import find_environments
from cacheadmin.evidence.distributions import ArchiveInodes
from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_environment
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    Evidence,
    RememberedEnvironment,
    Unseen,
)
from cacheadmin.evidence.filesystem import describe_filesystem
from cacheadmin.evidence.locating import CacheLocator
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.processes import read_processes
from cacheadmin.evidence.releases import collect_releases
from cacheadmin.evidence.tools import tools_of
from cacheadmin.inventory.entries import ArchiveContent, Inventory
from cacheadmin.inventory.reading import InterpreterEntries, interpreter_prefixes

if TYPE_CHECKING:
    from cacheadmin.inventory.reading import OpenCache
    from cacheadmin.policy.model import Policy

Progress = Callable[[str, int, int], None]


def locator_for(policy: Policy, inventory: Inventory) -> CacheLocator:
    """Return what tells whether a path leads into this cache."""
    return CacheLocator(
        inventory.cache,
        (bucket.name for bucket in inventory.buckets),
        aliases=policy.aliases,
        archives=inventory.archives,
    )


def inodes_for(inventory: Inventory) -> ArchiveInodes:
    """Return what tells which archive a hardlinked file belongs to."""
    paths = {archive.id: archive.path for archive in inventory.archives.values()}
    return ArchiveInodes(inventory.cache.path, paths)


def collect_evidence(
    policy: Policy,
    cache: OpenCache,
    inventory: Inventory,
    remembered: tuple[RememberedEnvironment, ...],
    *,
    now_ns: int,
    deep: bool = False,
    report_clones: bool = False,
    progress: Progress | None = None,
) -> Evidence:
    """Return everything that tells who uses the cache.

    ``remembered`` comes from the state. ``deep`` looks at every file of every
    environment; ``report_clones`` tells clones from copies.
    """
    locator = locator_for(policy, inventory)
    processes, unseen_processes = read_processes(locator)
    named = interpreter_prefixes(cache)
    found = find_environments(
        policy, named.prefixes, remembered, processes, _inside(inventory), locator
    )
    options = ScanOptions(deep=deep, report_clones=report_clones)
    scanned = _scan_all(found.candidates(), locator, inodes_for(inventory), options, progress)
    environments = tuple(_worth_telling(scanned))
    return Evidence(
        collected_at_ns=now_ns,
        filesystem=describe_filesystem(inventory.cache.path),
        environments=environments,
        remembered=remembered,
        processes=tuple(p for p in processes if p.uses or p.is_uv),
        releases=collect_releases(inventory, environments, processes, now_ns),
        lock_holders=lock_holders(inventory.cache.path),
        unseen=(
            *unseen_processes,
            *found.unseen,
            *_unread(environments),
            *_damaged(named),
        ),
    )


def _inside(inventory: Inventory) -> Iterator[str]:
    """Yield where environments lie inside the cache: archives, scripts', projects', overlays."""
    root = inventory.cache.path
    paths = [
        *(a.path for a in inventory.archives.values() if a.content is ArchiveContent.ENVIRONMENT),
        *(e.path for e in inventory.environments if e.archive is None),
        *(build.path for build in inventory.builds),
    ]
    for path in paths:
        yield f"{root}/{path}"


def _scan_all(
    candidates: Iterable[Candidate],
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    progress: Progress | None,
) -> Iterator[Environment]:
    listed = tuple(candidates)
    for number, candidate in enumerate(listed):
        if progress is not None:
            progress("environments scanned", number, len(listed))
        environment = scan_environment(candidate, locator, inodes, options)
        if candidate.kind is EnvironmentKind.CACHED:
            environment = replace(environment, tools=tools_of(candidate.path))
        yield environment


def _worth_telling(environments: Iterable[Environment]) -> Iterator[Environment]:
    """Leave out what has nothing to do with the cache, although it was come across.

    Every interpreter uv ever asked is in its buckets, and every Python program
    that runs has an environment; one that links into the cache is of ours.
    """
    for environment in environments:
        by_chance = (
            environment.kind is EnvironmentKind.PYTHON and environment.sources == ("cache",)
        ) or environment.sources == ("process",)
        links = environment.archives or environment.hardlinked_archives or environment.entries
        if by_chance and environment.complete and not links:
            continue
        yield environment


def _unread(environments: Iterable[Environment]) -> Iterator[Unseen]:
    for environment in environments:
        if not environment.complete:
            what = "environment"
            reason = environment.reason or "it could not be read"
            yield Unseen(what, environment.path, reason, hides_archives=True, uid=environment.uid)
        elif environment.status is EnvironmentStatus.UNREADABLE:
            yield Unseen("environment", environment.path, environment.reason, True, environment.uid)


def _damaged(entries: InterpreterEntries) -> Iterator[Unseen]:
    for unseen in entries.unseen:
        reason = f"{unseen.reason}; it may name environments that nothing else names"
        yield Unseen("interpreter-entry", unseen.path, reason, hides_archives=True)
    if entries.damaged:
        first = entries.damaged[0]
        reason = f"{len(entries.damaged)} damaged or unknown entries were skipped ({first.reason})"
        yield Unseen("interpreter-entry", first.path, reason, hides_archives=False)
