"""The look after the moves: does every link that led somewhere still lead there?

Every symlink of every known environment is looked at, not one a distribution,
and nothing is imported: a package whose files are gone still imports as an
empty namespace. A link that leads nowhere now counts as broken by us exactly
when it leads to something that lies in quarantine.

Half a million links must cost seconds. So a link whose text names an archive
of a wheel that was not moved is not resolved: that archive lies where it lay,
and whether the link worked before is not our doing. The cache is known by
device and inode, not by name: environments reach it through bind mounts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cacheadmin.evidence.facts import Environment, EnvironmentStatus
from cacheadmin.fs.reading import open_directory
from cacheadmin.fs.resolving import resolve
from cacheadmin.inventory.entries import CacheIdentity, lies_in

_MAX_DEPTH = 64

# The last mention: a cache may itself lie below an odd name.
_ARCHIVE = re.compile(r".*/(archive-v\d+)/([^/]+)/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. ``broken`` names links that our moves broke."""

    environments: int
    links: int
    broken: tuple[str, ...]


def verify(
    environments: Iterable[Environment],
    cache: CacheIdentity,
    removed: Iterable[str],
    in_quarantine: Callable[[str], bool],
) -> Verified:
    """Check every link of environments that are not themselves removed.

    ``removed`` are the entries that were moved, ``in_quarantine`` tells
    whether a path below the cache now lies there.
    """
    known = tuple(environments)
    gone = frozenset(removed)
    checker = _Checker(cache, gone, _with_links(known, cache), in_quarantine)
    count = 0
    for environment in known:
        if environment.status is EnvironmentStatus.MISSING or _is_removed(environment, cache, gone):
            continue
        count += 1
        checker.check(environment.path)
    return Verified(count, checker.links, tuple(checker.broken))


def _with_links(environments: Iterable[Environment], cache: CacheIdentity) -> frozenset[str]:
    """Return the archives that hold links themselves: whole environments."""
    paths = (environment.entry_in(cache) for environment in environments)
    return frozenset(path for path in paths if path is not None)


def _is_removed(environment: Environment, cache: CacheIdentity, gone: frozenset[str]) -> bool:
    path = environment.entry_in(cache)
    return path is not None and lies_in(path, gone)


class _Checker:
    def __init__(
        self,
        cache: CacheIdentity,
        gone: frozenset[str],
        with_links: frozenset[str],
        in_quarantine: Callable[[str], bool],
    ) -> None:
        self.cache = cache
        self.gone = gone
        self.with_links = with_links
        self.in_quarantine = in_quarantine
        self.links = 0
        self.broken: list[str] = []
        self._untouched: dict[str, bool] = {}
        self._roots: dict[str, str | None] = {}

    def check(self, environment: str) -> None:
        """Check one environment, its own folder too when that is a link."""
        if os.path.islink(environment):
            self.links += 1
            self._resolve(environment)
        for folder, fd, names in _links_below(environment):
            self.links += len(names)
            for name in names:
                try:
                    text = os.readlink(name, dir_fd=fd)
                except OSError:
                    continue
                if not self._leads_to_what_stayed(text):
                    self._resolve(f"{folder}/{name}")

    def _leads_to_what_stayed(self, text: str) -> bool:
        found = _ARCHIVE.match(text)
        if found is None or ".." in text:
            return False
        prefix = text[: found.end()]
        stayed = self._untouched.get(prefix)
        if stayed is None:
            entry = f"{found[1]}/{found[2]}"
            touched = entry in self.gone or found[1] in self.gone or entry in self.with_links
            # It must be there, too: an unknown link may be what stands at the name.
            stayed = not touched and os.path.isdir(prefix) and not os.path.islink(prefix[:-1])
            self._untouched[prefix] = stayed
        return stayed

    def _resolve(self, link: str) -> None:
        try:
            os.stat(link)
        except OSError:
            inside = self._below_cache(resolve(link))
            if inside is not None and lies_in(inside, self.gone) and self.in_quarantine(inside):
                self.broken.append(link)

    def _below_cache(self, path: str) -> str | None:
        """Return a resolved path relative to the cache, by whatever mount it goes there."""
        passed: list[str] = []
        folder = path
        while folder not in self._roots:
            passed.append(folder)
            if self._is_cache(folder):
                self._roots[folder] = folder
            elif folder == "/":
                self._roots[folder] = None
            else:
                folder = os.path.dirname(folder)
        root = self._roots[folder]
        self._roots.update(dict.fromkeys(passed, root))
        return None if root is None else path.removeprefix(root).lstrip("/")

    def _is_cache(self, folder: str) -> bool:
        try:
            status = os.stat(folder)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.cache.device, self.cache.inode)


def _links_below(folder: str) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (folder, its descriptor, names of links in it) for each folder of a tree."""
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        try:
            fd = open_directory(current, follow=depth == 0)
        except OSError:
            # What can't be read was unreadable before: the plan knew, and kept.
            continue
        try:
            names = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        names.append(entry.name)
                    elif depth < _MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                        waiting.append((f"{current}/{entry.name}", depth + 1))
            if names:
                yield current, fd, names
        except OSError:
            continue
        finally:
            os.close(fd)
