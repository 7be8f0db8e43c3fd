"""Search trees for environments, within bounds, and say where a search ended.

An environment is told by what its folder lists: ``pyvenv.cfg``,
``uv-receipt.toml``, a ``*.dist-info`` folder. A ``.venv`` may also be a link (uv's
centralised environments) or a file that names the environment. Links to other
folders are not followed, but for those that the site itself has made at the top of a
tree (``/home/ana -> /data/home/ana``). Every folder that was listed is noted with its
time, so that a later look asks only whether one has changed; what was not
searched is a gap, never silence.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import cache

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import INTO_A_CACHE, kind_of
from cacheadmin.evidence.path_files import names_paths
from cacheadmin.evidence.redirects import NAMES, redirected
from cacheadmin.evidence.searched_folders import Recall, SeenFolders
from cacheadmin.evidence.site_links import where_it_leads
from cacheadmin.evidence.site_packages import PACKAGES, prefix_of
from cacheadmin.fs.encryption import LockedFolders
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.precise_times import Devices
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.small_files import ReadFailure, failure
from cacheadmin.uv.layout import ROOT_NAMES, parse_bucket_name
from cacheadmin.uv.releases import known_kinds
from cacheadmin.values import frozen

_WITH_LIB = (EnvironmentKind.VENV, EnvironmentKind.TOOL)

# Folders of an environment's own, where no user keeps another one.
_OWN = frozenset({"bin", "include", "lib", "lib64", "share"})

# Where uv puts tools, from a home folder down, part by part.
_TOOL_FOLDERS = (".local", "share", "uv", "tools")

# What the kernel makes up: no user keeps an environment there, and it never ends. Not autofs:
# what an automounter serves is people's, and it mounts what is opened.
_MADE_UP = frozenset(
    {
        *("proc", "sysfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs"),
        *("bpf", "pstore", "configfs", "fusectl", "mqueue", "hugetlbfs", "efivarfs", "nsfs"),
        *("binfmt_misc", "selinuxfs", "rpc_pipefs", "nfsd"),
    }
)

# What uv calls a folder that it has not finished, exactly.
_UNFINISHED = re.compile(r"\.tmp[A-Za-z0-9]{6}", re.ASCII)

# Of one account in one tree: where a folder has us look for so long, something is wrong with it.
_MOST_FOLDERS = 2_000_000
_MOST_SECONDS = 300.0

# So many folders of one account are looked at again before entries are moved; more would
# take too long.
_MOST_WATCHED = 250_000

# What is found is told in parts, so that a search that hangs or dies has told most of it.
_PART_FOLDERS = 2_000
_PART_SECONDS = 1.0


@dataclass(slots=True)
class Bounds:
    """How much the search of one account's folders in one tree may cost."""

    folders: int = _MOST_FOLDERS
    """Folders that may still be listed."""
    ends_at: float = field(default_factory=lambda: time.monotonic() + _MOST_SECONDS)
    """The moment (monotonic clock, s) after which nothing more is listed."""

    def spent(self) -> bool:
        """Whether nothing more may be listed; counts one folder."""
        self.folders -= 1
        return self.folders < 0 or time.monotonic() > self.ends_at


@frozen
class SearchTask:
    """Folders to search, of one account if possible."""

    bases: tuple[str, ...]
    """Absolute paths of the folders."""
    source: str
    """The source that searches."""
    depth: int | None = None
    """How many folders deep; None: all the way."""
    exclude: tuple[str, ...] = ()
    """Globs of names or paths that are left out."""
    registrant: int | None = None
    """The account that counts as naming what is found there; None: no account does."""
    uid: int | None = None
    """The owner of the folders; None where that is not known."""
    only_list: bool = False
    """Whether only these folders are listed; what is below is told (``SearchPart.below``)."""
    trial_suffices: bool = False
    """Whether no policy or record names these places.

    What can't be listed there is then a gap, like a place that was never searched.
    """
    made_up: frozenset[str] = frozenset()
    """Mount points of filesystems that the kernel makes up, such as ``/proc``."""
    is_top: bool = False
    """Whether the policy, or a record, names them: what can't be listed there is told."""
    is_again: bool = False
    """Whether they were searched before, and have changed since."""
    before: SeenFolders | None = None
    """What earlier searches saw there; None: nothing is remembered, neither of this search."""


@frozen
class Below:
    """A folder in one that was only listed."""

    path: str
    """Its absolute path."""
    uid: int
    """Its owner."""


@frozen
class SearchPart:
    """What was found since the last part."""

    candidates: tuple[Candidate, ...] = ()
    """Folders that look like environments."""
    unseen: tuple[Unseen, ...] = ()
    """Folders that could not be listed."""
    watched: tuple[tuple[str, int], ...] = ()
    """Folders that were listed, each with its modification time in ns."""
    too_many: bool = False
    """Whether there are more folders than can be watched."""
    below: tuple[Below, ...] = ()
    """Folders that are to be searched, where it was only listed."""
    too_deep: tuple[str, ...] = ()
    """The first folder that is deeper than the search goes."""
    deeper: int = 0
    """How many there are."""
    cut_at: str | None = None
    """The folder at which the search ended because of its bounds."""
    left: int = 0
    """How many folders were not searched then."""
    locked: tuple[str, ...] = ()
    """Folders that are encrypted without their key: no name in them can be told."""
    seen: SeenFolders = SeenFolders()
    """Folders that were listed and may be remembered."""


def search(task: SearchTask) -> Iterator[SearchPart]:
    """Search folders, and yield what is found, part by part. For readers to be asked.

    The buckets of a uv cache that lies below are no place for any user's environments, and are
    left out. What else lies in that folder is searched: any folder can be a cache's as well.
    """
    yield from _Tree(task).walk()


@frozen
class ToolFolder:
    """A folder in which ``uv tool install`` keeps its environments."""

    path: str
    """Absolute path."""
    source: str
    """The source that looks for it."""
    uid: int | None = None
    """The owner of the home that it is in; None for a folder outside of homes."""


def tool_folder_of(home: str, source: str, uid: int | None) -> ToolFolder:
    """Return where uv puts tools in a home folder."""
    return ToolFolder("/".join((home.rstrip("/"), *_TOOL_FOLDERS)), source, uid)


def search_tools(folder: ToolFolder) -> SearchPart:
    """Return the environments in a folder of uv's tools, and nothing else."""
    found = _Findings()
    _tools_in(folder.path, folder.source, found, folder.uid)
    return found.part()


@dataclass(slots=True)
class _Findings:
    """What was found, and not told yet."""

    candidates: list[Candidate] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    watched: list[tuple[str, int]] = field(default_factory=list)
    below: list[Below] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    in_all: int = 0

    def watch(self, folder: str, mtime_ns: int) -> None:
        self.in_all += 1
        if self.in_all <= _MOST_WATCHED:
            self.watched.append((folder, mtime_ns))

    def part(self) -> SearchPart:
        """Return what was not told yet."""
        part = SearchPart(
            tuple(self.candidates),
            tuple(self.unseen),
            tuple(self.watched),
            self.in_all > _MOST_WATCHED,
            tuple(self.below),
            locked=tuple(self.locked),
        )
        for told in (self.candidates, self.unseen, self.watched, self.below, self.locked):
            told.clear()
        return part


def _tools_in(
    folder: str, source: str, into: _Findings, uid: int | None, *, trial_suffices: bool = False
) -> None:
    """Note the tools in a folder of uv's."""
    try:
        mtime_ns = os.stat(folder).st_mtime_ns
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        problem = failure(folder, error)
        if not problem.missing:
            into.unseen.append(
                Unseen("discover", folder, problem.reason, True, uid, trial_suffices)
            )
        return
    into.watch(folder, mtime_ns)
    for name in names:
        if may_be_folder(path := f"{folder}/{name}"):
            into.candidates.append(Candidate(path, EnvironmentKind.TOOL, (source,), uid))


@dataclass(slots=True)
class _Listing:
    """What one folder lists, sorted once: a search asks for each of it many times."""

    names: dict[str, os.DirEntry[str]] = field(default_factory=dict)
    """Every entry by its name."""
    folders: list[os.DirEntry[str]] = field(default_factory=list)
    """The folders among them, links to folders not."""
    links: list[os.DirEntry[str]] = field(default_factory=list)
    """The symbolic links among them."""

    def named_as_environments(self) -> list[os.DirEntry[str]]:
        """Return the links and files that are called as a project's environment is."""
        named = [self.names[name] for name in NAMES & self.names.keys()]
        return [one for one in named if not one.is_dir(follow_symlinks=False)]


class _Tree:
    """Folders that are searched."""

    def __init__(self, task: SearchTask) -> None:
        self.task = task
        self.into = _Findings()
        self.bounds = Bounds()
        self.waiting: list[tuple[str, int]] = [(base, 0) for base in reversed(task.bases)]
        self.first_too_deep: str | None = None
        self.deeper = 0
        self.locks = LockedFolders()
        before = None if task.only_list else task.before
        self.recall = None if before is None else Recall(before, _devices())

    def walk(self) -> Iterator[SearchPart]:
        """Search, and tell what was found and where that ended."""
        told_at = time.monotonic()
        while self.waiting:
            folder, level = self.waiting.pop()
            if self.bounds.spent():
                yield replace(self._part(), cut_at=folder, left=len(self.waiting))
                break
            self._look_at(folder, level)
            recent = len(self.into.watched) < _PART_FOLDERS
            if not recent or time.monotonic() - told_at > _PART_SECONDS:
                yield self._part()
                told_at = time.monotonic()
        too_deep = () if self.first_too_deep is None else (self.first_too_deep,)
        yield replace(self._part(), too_deep=too_deep, deeper=self.deeper)

    def _part(self) -> SearchPart:
        part = self.into.part()
        return part if self.recall is None else replace(part, seen=self.recall.noted())

    def _look_at(self, folder: str, level: int) -> None:
        try:
            # Before the listing: what changes during it must look changed later.
            status = os.stat(folder)
        except OSError as error:
            self._not_listed(folder, level, error)
            return
        if self.locks.holds(folder, status.st_dev):
            self.into.locked.append(folder)
            return
        names = None if self.recall is None else self.recall.folders_in(folder, status)
        if names is None:
            self._look_into(folder, level, status)
            return
        self.into.watch(folder, status.st_mtime_ns)
        for name in names:
            self._go_on(name, _in_folder(folder, name), level)

    def _look_into(self, folder: str, level: int, status: os.stat_result) -> None:
        """List a folder, and tell what it is and holds."""
        listed = self._list(folder, level)
        if listed is None:
            return
        self.into.watch(folder, status.st_mtime_ns)
        projects = listed.named_as_environments()
        kind = _kind_by_names(listed.names)
        is_top = self.task.is_top and level == 0
        if os.path.basename(folder) in PACKAGES and (
            kind is EnvironmentKind.TARGET or (kind is None and any(map(names_paths, listed.names)))
        ):
            # Python reads path files there, as in the folder of a user's own packages.
            self._add_installation(folder)
        elif kind is not None:
            self._add(folder, kind)
        elif _links_into_a_cache(listed.links):
            # A folder that lost what marks it, or links that were made by hand.
            self._add(folder, EnvironmentKind.FOLDER)
        elif (not is_top or self.task.is_again) and _is_a_uv_cache(listed.names):
            # Who made it one (`--cache-dir .`) may keep projects in it, and so may others: a tag
            # and a folder's name must hide nobody's environments.
            listed.folders = [one for one in listed.folders if not _belongs_to_a_cache(one.name)]
        elif self.recall is not None and not projects:
            self.recall.note(folder, status, [one.name for one in listed.folders])
        for entry in projects:
            if not _excluded(entry.name, entry.path, self.task.exclude):
                self._project_environment(entry)
        if self.task.only_list and not self.task.is_again:
            self._follow_site_links(listed.links, level, status.st_uid)
        for entry in listed.folders:
            # An environment may lie beside a decoy, never in another's `lib`.
            if not (kind in _WITH_LIB and entry.name in _OWN):
                self._go_on(entry.name, entry.path, level)

    def _list(self, folder: str, level: int) -> _Listing | None:
        """Return what a folder lists; None where that can't be had, which is told."""
        listed = _Listing()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    listed.names[entry.name] = entry
                    if entry.is_dir(follow_symlinks=False):
                        listed.folders.append(entry)
                    elif entry.is_symlink():
                        listed.links.append(entry)
        except OSError as error:
            self._not_listed(folder, level, error)
            return None
        return listed

    def _not_listed(self, folder: str, level: int, error: OSError) -> None:
        problem = failure(folder, error)
        if not problem.missing:
            self._unseen(problem)
        elif self.task.is_top and level == 0:
            self._unseen(problem, fix="mount it, or correct the place in the policy")
        elif os.path.lexists(folder):
            # The kernel says so of what an automounter has a name for, and can't mount.
            reason = "an automounter did not mount it"
            fix = (
                "see that its server answers; leave it out by exclude only if no environment "
                "lies there"
            )
            self._unseen(ReadFailure(folder, reason), fix=fix)

    def _unseen(self, problem: ReadFailure, what: str = "", fix: str = "") -> None:
        self.into.unseen.append(
            Unseen(
                "discover",
                problem.path,
                f"{what}{problem.reason}",
                True,
                self.task.registrant,
                self.task.trial_suffices,
                fix,
            )
        )

    def _go_on(self, name: str, path: str, level: int) -> None:
        """Search a folder in one at that level, unless the task leaves it out."""
        depth = self.task.depth
        if _excluded(name, path, self.task.exclude) or path in self.task.made_up:
            return
        if depth is not None and level >= depth:
            self._note_depth(path)
        elif self.task.only_list:
            self._note_below(path)
        else:
            self.waiting.append((path, level + 1))

    def _note_below(self, path: str) -> None:
        try:
            uid = os.lstat(path).st_uid
        except OSError:
            # It went meanwhile, or is closed: the search will tell.
            uid = 0
        self.into.below.append(Below(path, uid))

    def _follow_site_links(self, links: list[os.DirEntry[str]], level: int, owner: int) -> None:
        """Note what links of the site's lead to; ``owner`` is that of the folder they lie in."""
        if self.task.depth is not None and level >= self.task.depth:
            return
        for entry in links:
            if entry.name in NAMES or _excluded(entry.name, entry.path, self.task.exclude):
                continue
            found = where_it_leads(entry, owner, self.task.made_up)
            if isinstance(found, Unseen):
                self.into.unseen.append(found)
            elif found is not None:
                self.into.below.append(Below(entry.path, found))

    def _project_environment(self, entry: os.DirEntry[str]) -> None:
        # uv's centralised environments: `.venv` is a link (facts section 7).
        # Where a link leads, to a file too, is asked with its place (``candidates``).
        path = entry.path if entry.is_symlink() else redirected(entry.path)
        if isinstance(path, ReadFailure):
            self._unseen(path, "it may name an environment, and can't be read: ")
        elif path is not None:
            # One in a cache is a cached environment: the file is what shows that it is used.
            in_cache = INTO_A_CACHE.search(path) is not None
            self._add(entry.path if in_cache else path, EnvironmentKind.VENV)

    def _note_depth(self, folder: str) -> None:
        """Note a folder below the depth; where uv puts tools is looked at anyway."""
        self.first_too_deep = self.first_too_deep or folder
        self.deeper += 1
        for tools in _tool_folders_from(folder):
            _tools_in(
                tools,
                self.task.source,
                self.into,
                self.task.registrant,
                trial_suffices=self.task.trial_suffices,
            )

    def _add_installation(self, packages: str) -> None:
        """Add the Python, or the ``--prefix`` folder, that a folder of packages belongs to."""
        prefix = prefix_of(packages)
        kind = None if prefix is None else kind_of(prefix)
        if prefix is not None and kind in (EnvironmentKind.PYTHON, EnvironmentKind.PREFIX):
            self._add(prefix, kind)
        else:
            self._add(packages, EnvironmentKind.TARGET)

    def _add(self, path: str, kind: EnvironmentKind) -> None:
        self.into.candidates.append(
            Candidate(path, kind, (self.task.source,), self.task.registrant)
        )


def _tool_folders_from(folder: str) -> Iterator[str]:
    """Yield where uv's tool folder may lie, for a folder on the way to it or a home above."""
    name = os.path.basename(folder)
    yield "/".join((folder, *_TOOL_FOLDERS))
    for number, part in enumerate(_TOOL_FOLDERS):
        if name == part:
            yield "/".join((folder, *_TOOL_FOLDERS[number + 1 :]))


def _kind_by_names(names: Mapping[str, object]) -> EnvironmentKind | None:
    """As ``kinds.kind_of``, from a listing that is there already."""
    if "uv-receipt.toml" in names:
        return EnvironmentKind.TOOL
    if "pyvenv.cfg" in names:
        return EnvironmentKind.VENV
    for name in names:
        if name.endswith(".dist-info"):
            return EnvironmentKind.TARGET
    return None


def _links_into_a_cache(links: Iterable[os.DirEntry[str]]) -> bool:
    """Whether a link in a folder names an archive, or an environment, of some uv cache.

    uv links all files of a package alike; by hand a user may have made one among others.
    """
    for entry in links:
        try:
            if INTO_A_CACHE.search(os.readlink(entry.path)):
                return True
        except OSError as error:
            if not failure(entry.path, error).missing:
                # It may: then the scan says that it can't be read.
                return True
    return False


def _is_a_uv_cache(names: Mapping[str, object]) -> bool:
    """Whether a folder is a uv cache: tagged as a cache, with uv's archives in it.

    The tag alone says too little: uv puts one into environments, and tox into
    the folder in which it makes them.
    """
    if "CACHEDIR.TAG" not in names:
        return False
    buckets = {parsed[0] for parsed in map(parse_bucket_name, names) if parsed is not None}
    return "archive" in buckets


def _belongs_to_a_cache(name: str) -> bool:
    """Whether uv, or this program, makes what has this name in the root of a cache."""
    parsed = parse_bucket_name(name)
    is_bucket = parsed is not None and parsed[0] in known_kinds()
    return is_bucket or name in ROOT_NAMES or _UNFINISHED.fullmatch(name) is not None


def _excluded(name: str, path: str, exclude: tuple[str, ...]) -> bool:
    return bool(exclude) and any(fnmatch(name, part) or fnmatch(path, part) for part in exclude)


def _in_folder(folder: str, name: str) -> str:
    return f"{folder}{name}" if folder.endswith("/") else f"{folder}/{name}"


@cache
def _devices() -> Devices:
    """Return what the filesystems are; once a look (`forget_devices`)."""
    return Devices()


def forget_devices() -> None:
    """Read the mounts again at the next search."""
    _devices.cache_clear()


def made_up_places() -> frozenset[str]:
    """Return where filesystems like ``/proc`` are mounted, which hold no user's files.

    Not where anything else is mounted in the same place, above or below.
    """
    try:
        mounts = read_mounts()
    except (OSError, ValueError, IndexError):
        return frozenset()
    others = {mount.mount_point for mount in mounts if mount.kind not in _MADE_UP}
    return frozenset(one.mount_point for one in mounts if one.kind in _MADE_UP) - others
