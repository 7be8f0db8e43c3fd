"""Whom a simulated prune would hit: environments that link, processes that run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import archive_path, lies_in
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER, trial_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, EnvironmentKind, Evidence, Process
    from cacheadmin.evidence.locating import CacheLocator
    from cacheadmin.inventory.entries import Inventory

_MAX_DEPTH = 64


@frozen
class Break:
    """An environment that would lose files."""

    path: str
    """The environment's absolute path."""
    kind: EnvironmentKind
    """What sort of environment it is."""
    uid: int | None
    """Its owner; None where unknown."""
    links: int
    """How many of its links would dangle that do not dangle now.

    0: it uses the cache by other ways than links.
    """
    packages: tuple[str, ...]
    """``name version`` of the archives it would lose; the id where a name is unknown."""


@frozen
class Breakage:
    """Everything a prune would break."""

    environments: tuple[Break, ...]
    """Environments that would lose files, by path."""
    processes: tuple[Process, ...]
    """Processes that use an entry it would remove."""


def breakage(
    removals: Iterable[str], inventory: Inventory, evidence: Evidence, locator: CacheLocator
) -> Breakage:
    """Return what removing entries (relative paths) would break.

    Environments that are removed themselves do not count, but processes that
    run from them do.
    """
    removed = frozenset(removals)
    # An entry on trial goes with what its tripwire leads to.
    removed |= {
        entry
        for entry in inventory.on_trial
        if lies_in(f"{ARCHIVES}/{TRIAL_FOLDER}/{trial_name(entry)}", removed)
    }
    root = inventory.cache.path.rstrip("/") + "/"
    breaks = [
        broken
        for environment in evidence.environments
        if not lies_in(environment.path.removeprefix(root), removed)
        and any(lies_in(entry, removed) for entry in environment.led_to)
        and (broken := _break(environment, inventory, removed, locator)) is not None
    ]
    processes = [
        process
        for process in evidence.processes
        if any(lies_in(use.entry, removed) for use in process.uses)
    ]
    return Breakage(tuple(sorted(breaks, key=lambda b: b.path)), tuple(processes))


def _break(
    environment: Environment, inventory: Inventory, removed: frozenset[str], locator: CacheLocator
) -> Break | None:
    """Return what an environment would lose; None where all its links dangle already."""
    hit = broken_before = 0
    for link, folder, target in _links(environment.path):
        located = locator.locate(target, folder)
        if located.entry is not None and lies_in(located.entry, removed):
            hit += 1
            broken_before += locator.is_gone(located, link)
    if hit and hit == broken_before:
        return None
    packages = set()
    for archive in environment.archives:
        path = archive_path(archive)
        stored = inventory.archives.get(archive) or inventory.on_trial.get(path)
        if stored is not None and lies_in(path, removed):
            packages.add(f"{stored.package or archive} {stored.version or ''}".strip())
    return Break(
        environment.path,
        environment.kind,
        environment.uid,
        hit - broken_before,
        tuple(sorted(packages)),
    )


def _links(path: str) -> Iterator[tuple[str, str, str]]:
    """Yield (link, its folder, its text) of every link below a path, and of the path itself."""
    if os.path.islink(path):
        yield path, os.path.dirname(path), os.readlink(path)
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield entry.path, folder, os.readlink(entry.path)
                    elif depth < _MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except OSError:
            continue
