"""Whom a simulated prune would hit: environments that link, processes that run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import archive_path, lies_in
from cacheadmin.readers import Question, Unreadable, note_step
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER, trial_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, EnvironmentKind, Evidence, Process
    from cacheadmin.evidence.targets import CacheLocator
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.readers import Readers

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
    removals: Iterable[str],
    inventory: Inventory,
    evidence: Evidence,
    locator: Callable[[], CacheLocator],
    readers: Readers,
) -> Breakage:
    """Return what removing entries (relative paths) would break.

    Environments that are removed themselves do not count, but processes that
    run from them do. Readers look at the environments, with a ``locator`` of their own.
    """
    removed = frozenset(removals)
    # An entry on trial goes with what its tripwire leads to.
    removed |= {
        entry
        for entry in inventory.on_trial
        if lies_in(f"{ARCHIVES}/{TRIAL_FOLDER}/{trial_name(entry)}", removed)
    }
    root = inventory.cache.path.rstrip("/") + "/"
    hit = [
        environment
        for environment in evidence.environments
        if not lies_in(environment.path.removeprefix(root), removed)
        and any(lies_in(entry, removed) for entry in environment.led_to)
    ]
    uids = {environment.path: environment.uid for environment in hit}
    question: Question[str, LinksHit] = Question(
        _BreakageLook(locator, removed).look, LinksHit, blame=uids.get
    )
    answers = readers.ask_all(question, [environment.path for environment in hit])
    breaks = [
        Break(
            environment.path,
            environment.kind,
            environment.uid,
            # What no reader could look at loses what the scan saw, at most.
            environment.links if isinstance(links, Unreadable) else links.hit - links.dead,
            tuple(sorted(_packages(environment, inventory, removed))),
        )
        for environment, links in zip(hit, answers, strict=True)
        if isinstance(links, Unreadable) or not links.all_dead
    ]
    processes = [
        process
        for process in evidence.processes
        if any(lies_in(use.entry, removed) for use in process.uses)
    ]
    return Breakage(tuple(sorted(breaks, key=lambda b: b.path)), tuple(processes))


@frozen
class LinksHit:
    """The links of one environment that lead into what would be removed."""

    hit: int
    """How many there are."""
    dead: int
    """How many of them lead nowhere already."""

    @property
    def all_dead(self) -> bool:
        """Whether there are any, and none of them leads anywhere."""
        return self.hit > 0 and self.hit == self.dead


class _BreakageLook:
    """Looks at environments, in a reader."""

    def __init__(self, locator: Callable[[], CacheLocator], removed: frozenset[str]) -> None:
        self._make_locator = locator
        self._removed = removed

    @cached_property
    def _locator(self) -> CacheLocator:
        return self._make_locator()

    def look(self, path: str) -> LinksHit:
        """Return which links of an environment lead into what would be removed."""
        hit = dead = 0
        for link, folder, target in _links(path):
            located = self._locator.locate(target, folder)
            if located.entry is not None and lies_in(located.entry, self._removed):
                hit += 1
                dead += self._locator.is_gone(located, link)
        return LinksHit(hit, dead)


def _packages(
    environment: Environment, inventory: Inventory, removed: frozenset[str]
) -> Iterator[str]:
    """Yield the packages that an environment would lose, each once."""
    found = set()
    for archive in environment.archives:
        path = archive_path(archive)
        stored = inventory.archives.get(archive) or inventory.on_trial.get(path)
        if stored is not None and lies_in(path, removed):
            found.add(f"{stored.package or archive} {stored.version or ''}".strip())
    yield from found


def _links(path: str) -> Iterator[tuple[str, str, str]]:
    """Yield (link, its folder, its text) of every link below a path, and of the path itself."""
    if os.path.islink(path):
        yield path, os.path.dirname(path), os.readlink(path)
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        note_step()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield entry.path, folder, os.readlink(entry.path)
                    elif depth < _MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except OSError:
            continue
