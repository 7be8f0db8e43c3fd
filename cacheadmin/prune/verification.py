"""The look after the moves: does every link that led somewhere still lead there?

Every symlink of every known environment is resolved, not one a distribution,
and nothing is imported: a package whose files are gone still imports as an
empty namespace. A link that leads nowhere now counts as broken by us exactly
when it leads to something that lies in quarantine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus

_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. ``broken`` names links that our moves broke."""

    environments: int
    links: int
    broken: tuple[str, ...]


def verify(
    environments: Iterable[Environment],
    cache_path: str,
    removed: Iterable[str],
    in_quarantine: Callable[[str], bool],
) -> Verified:
    """Resolve every link of environments that are not themselves removed.

    ``removed`` are the entries that were moved, ``in_quarantine`` tells
    whether a path below the cache now lies there.
    """
    gone = frozenset(removed)
    root = os.path.realpath(cache_path).rstrip("/") + "/"
    checker = _Checker(root, gone, in_quarantine)
    count = 0
    for environment in environments:
        if environment.status is EnvironmentStatus.MISSING or _is_removed(environment, root, gone):
            continue
        count += 1
        checker.check(environment.path)
    return Verified(count, checker.links, tuple(checker.broken))


def _is_removed(environment: Environment, root: str, gone: frozenset[str]) -> bool:
    if environment.kind is not EnvironmentKind.CACHED or not environment.path.startswith(root):
        return False
    path = environment.path.removeprefix(root)
    while path:
        if path in gone:
            return True
        path = path.rpartition("/")[0]
    return False


class _Checker:
    def __init__(
        self, root: str, gone: frozenset[str], in_quarantine: Callable[[str], bool]
    ) -> None:
        self.root = root
        self.gone = gone
        self.in_quarantine = in_quarantine
        self.links = 0
        self.broken: list[str] = []

    def check(self, environment: str) -> None:
        """Check one environment, its own folder too when that is a link."""
        if os.path.islink(environment):
            self._check_link(environment)
        for link in _links_below(environment):
            self._check_link(link)

    def _check_link(self, link: str) -> None:
        self.links += 1
        try:
            os.stat(link)
        except OSError:
            target = os.path.realpath(link)
            if target.startswith(self.root):
                inside = target.removeprefix(self.root)
                if self._was_removed(inside) and self.in_quarantine(inside):
                    self.broken.append(link)

    def _was_removed(self, path: str) -> bool:
        while path:
            if path in self.gone:
                return True
            path = path.rpartition("/")[0]
        return False


def _links_below(folder: str) -> Iterator[str]:
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield entry.path
                    elif depth < _MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except OSError:
            # What can't be read was unreadable before: the plan knew, and kept.
            continue
