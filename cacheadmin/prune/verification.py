"""The look after the moves: does every link that led somewhere still lead there?

Every symlink of every known environment is looked at, not one a distribution,
and nothing is imported: a package whose files are gone still imports as an
empty namespace. A link that leads nowhere now counts as broken by us exactly
when it leads to something that lies in quarantine.

Links to folders are followed: ``lib`` or ``site-packages`` may lie on another
disk. Each folder is known by device and inode and looked at once, however many
environments lead there.

Half a million links must cost seconds. So a link whose text names an archive
of a wheel that was not moved is not resolved: that archive lies where it lay,
and whether the link worked before is not our doing. The cache is known by
device and inode, not by name: environments reach it through bind mounts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import field

from cacheadmin.evidence.environments import OVER_ALLOWANCE
from cacheadmin.evidence.facts import Environment, EnvironmentStatus
from cacheadmin.evidence.targets import lies_in_another_root
from cacheadmin.fs.held_folder import hold_folder
from cacheadmin.fs.linked_tree import Allowance, Identity, LinkedTree
from cacheadmin.fs.resolution import resolve
from cacheadmin.inventory.entries import CacheIdentity, lies_in, with_folders_above
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER, entry_on_trial
from cacheadmin.values import frozen

_ON_TRIAL = f"{ARCHIVES}/{TRIAL_FOLDER}/"

# The last mention: a cache may itself lie below an odd name.
_ARCHIVE = re.compile(r".*/(archive-v\d+)/([^/]+)/", re.DOTALL)


@frozen
class BrokenLink:
    """A link that our moves broke."""

    environment: str
    """Absolute path of the environment that it was found in."""

    link: str
    """Absolute path of the link."""

    entry: str
    """The removed entry it led to, relative to the cache: put back, it makes the link whole."""


@frozen
class Verified:
    """What was checked."""

    environments: int
    """How many environments were looked at."""

    links: int
    """How many links; each once, also where several environments lead to it."""

    broken: tuple[BrokenLink, ...]
    """Links that our moves broke; empty when all is well."""

    used: Mapping[str, str] = field(default_factory=dict)
    """Entries that were removed and that a link leads to, each with such a link."""

    unread: tuple[str, ...] = ()
    """Environments that could be read before and that no reader could look at now, with why.

    One for each account.
    """

    @property
    def broken_entries(self) -> tuple[str, ...]:
        """The removed entries that broken links led to, each once."""
        return tuple(dict.fromkeys(one.entry for one in self.broken))


@frozen
class ToCheck:
    """An environment to check."""

    path: str
    """Its absolute path."""
    identity: tuple[int, int] | None
    """Device and inode of the folder that was scanned; None where none could be opened."""
    uid: int | None
    """Its owner, for whom so many folders are looked at and no more; None where unknown."""


@frozen
class SeenEnvironment:
    """What a reader saw of one environment."""

    own_links: int
    """1 where the environment's own folder is a link, else 0."""
    folders: tuple[tuple[int, int, int], ...]
    """(device, inode, links in it) of each folder that was looked at."""
    dead: tuple[tuple[str, str, str], ...]
    """(link, its real path, path below the cache) of dead links into removed entries."""
    used: tuple[tuple[str, str], ...]
    """(entry on trial, a link that leads to it)."""
    problem: str = ""
    """Why it was not looked at to its end, or is no longer the folder that was scanned."""


def verify(
    environments: Iterable[Environment],
    cache: CacheIdentity,
    removed: Iterable[str],
    in_quarantine: Callable[[str], bool],
    readers: Readers,
) -> Verified:
    """Check every link of environments that are not themselves removed.

    ``removed`` are the entries that were moved, ``in_quarantine`` tells
    whether a path below the cache now lies there. Readers look at each
    environment; one that they can't look at was looked at before the moves, and
    is named.
    """
    # The innermost first: what lies in an environment within another is its own.
    known = sorted(environments, key=lambda one: len(one.path), reverse=True)
    gone = frozenset(removed)
    left = [
        environment
        for environment in known
        if environment.status is not EnvironmentStatus.MISSING
        and not _is_removed(environment, cache, gone)
    ]
    checker = _Checker(cache, gone, _with_links(known, cache))
    question: Question[ToCheck, SeenEnvironment] = Question(
        checker.check,
        SeenEnvironment,
        blame=lambda one: one.uid,
        together=4,
        closed=lambda one, _parts: (one.path, f"{one.path}/lib"),
        merged=_both_seen,
    )
    folders = [ToCheck(one.path, one.identity, one.uid) for one in left]
    answers = readers.ask_all(question, folders)
    found = _Gathered(in_quarantine, gone)
    for environment, folder, answer in zip(left, folders, answers, strict=True):
        # Not for what is there, but for want of processes: unchecked moves don't stay.
        here = isinstance(answer, Unreadable) and answer.no_reader
        found.add(environment, checker.check(folder) if here else answer)
    return found.verified


def _both_seen(
    before: Sequence[SeenEnvironment], after: Sequence[SeenEnvironment]
) -> Sequence[SeenEnvironment]:
    one, other = before[0], after[0]
    return (
        SeenEnvironment(
            max(one.own_links, other.own_links),
            tuple(dict.fromkeys((*one.folders, *other.folders))),
            tuple(dict.fromkeys((*one.dead, *other.dead))),
            tuple(dict.fromkeys((*one.used, *other.used))),
            other.problem,
        ),
    )


class _Gathered:
    """Puts together what was seen of all environments."""

    def __init__(self, in_quarantine: Callable[[str], bool], gone: frozenset[str]) -> None:
        self._in_quarantine = in_quarantine
        self._gone = gone
        self._environments = 0
        self._own_links = 0
        self._links: dict[Identity, int] = {}
        self._broken: list[BrokenLink] = []
        self._used: dict[str, str] = {}
        self._unread: dict[tuple[int | None, str], tuple[str, int]] = {}

    def add(self, environment: Environment, answer: SeenEnvironment | Unreadable) -> None:
        """Add what was seen of an environment."""
        path = environment.path
        if isinstance(answer, Unreadable):
            if environment.complete:
                self._note_unread(environment, answer.reason)
            return
        if answer.problem and environment.complete:
            self._note_unread(environment, answer.problem)
        self._environments += 1
        self._own_links += answer.own_links
        self._links |= {(device, inode): links for device, inode, links in answer.folders}
        for link, place, inside in answer.dead:
            if self._in_quarantine(inside):
                entry = next(one for one in with_folders_above(inside) if one in self._gone)
                self._broken.append(BrokenLink(path, link, entry))
                self._used.setdefault(entry, place)
        for entry, place in answer.used:
            self._used.setdefault(entry, place)

    def _note_unread(self, environment: Environment, reason: str) -> None:
        key = (environment.uid, environment.path if environment.uid is None else "")
        first, number = self._unread.get(key, (f"{environment.path}: {reason}", 0))
        self._unread[key] = first, number + 1

    def _unread_words(self) -> Iterator[str]:
        """Yield one sentence for each account, however many environments it has."""
        for (uid, _), (first, number) in self._unread.items():
            more = ""
            if number > 1:
                others = format_count(number - 1, "environment")
                more = f"; and {others} more of {account_name(uid)}" if uid is not None else ""
            yield f"{first}{more}"

    @property
    def verified(self) -> Verified:
        """What was checked, in all."""
        links = self._own_links + sum(self._links.values())
        broken, unread = tuple(self._broken), tuple(self._unread_words())
        return Verified(self._environments, links, broken, self._used, unread)


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
    ) -> None:
        self.cache = cache
        self.gone = gone
        self.with_links = with_links
        self.dead: list[tuple[str, str, str]] = []
        self.used: dict[str, str] = {}
        self._seen: set[Identity] = set()
        # Each reader has its own: for an account twice as much is looked at, at most.
        self._allowance = Allowance()
        self._untouched: dict[str, bool] = {}
        self._roots: dict[str, str | None] = {}

    def check(self, one: ToCheck) -> SeenEnvironment:
        """Check one environment, its own folder too when that is a link; runs in a reader."""
        self.dead, self.used = [], {}
        folders: list[tuple[int, int, int]] = []
        is_link = os.path.islink(one.path)
        if is_link:
            self._resolve(one.path)
        problem = ""
        with ExitStack() as stack:
            try:
                status = stack.enter_context(hold_folder(one.path))
            except OSError:
                # It is gone, or no folder: nothing in it can be broken.
                return SeenEnvironment(int(is_link), (), tuple(self.dead), tuple(self.used.items()))
            if one.identity not in (None, (status.st_dev, status.st_ino)):
                problem = "another folder has taken its place since it was scanned"
            problem = self._check_folders(one, folders) or problem
        dead, used = tuple(self.dead), tuple(self.used.items())
        return SeenEnvironment(int(is_link), tuple(folders), dead, used, problem)

    def _check_folders(self, one: ToCheck, folders: list[tuple[int, int, int]]) -> str:
        """Check every link below an environment that is held; return why not, or ""."""
        # What can't be read was unreadable before: the plan knew, and kept.
        tree = LinkedTree(one.path, self._seen, self._allowance, one.uid)
        for folder, fd, names in tree.folders():
            status = os.fstat(fd)
            folders.append((status.st_dev, status.st_ino, len(names)))
            for name in names:
                try:
                    text = os.readlink(name, dir_fd=fd)
                except OSError:
                    continue
                if self._leads_to_what_stayed(text):
                    continue
                link = f"{folder}/{name}"
                # By the open folder: its path may lead elsewhere by now.
                behind = self._resolve(link, fd)
                if behind is not None:
                    tree.follow(behind)
        return OVER_ALLOWANCE if tree.is_too_much else ""

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

    def _resolve(self, link: str, fd: int | None = None) -> str | None:
        """Note a link that our moves may have broken; return the folder elsewhere that it leads to.

        ``fd`` is the open folder that the link lies in; None for its path's.
        """
        place = link if fd is None else f"{_path_of(fd, link)}/{os.path.basename(link)}"
        try:
            status = os.stat(link if fd is None else os.path.basename(link), dir_fd=fd)
        except OSError:
            inside = self._below_cache(resolve(place))
            if inside is not None and lies_in(inside, self.gone):
                self.dead.append((link, place, inside))
            return None
        except ValueError:
            return None
        resolved = resolve(place)
        inside = self._below_cache(resolved)
        if inside is not None and inside.startswith(_ON_TRIAL):
            self._note_use(inside.removeprefix(_ON_TRIAL), place)
        if not stat.S_ISDIR(status.st_mode):
            return None
        return resolved if inside is None else None

    def _note_use(self, path: str, link: str) -> None:
        """Remember that a link leads to something on trial; ``path`` is below our folder."""
        entry = entry_on_trial(path.partition("/")[0])
        if entry is not None:
            self.used.setdefault(entry, link)

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


def _path_of(fd: int, link: str) -> str:
    """Return where an open folder lies now, whatever its path says; else the link's folder."""
    folder = os.path.dirname(link)
    # In another root's mounts the kernel has another name for it.
    if lies_in_another_root(f"{folder}/"):
        return folder
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return folder
