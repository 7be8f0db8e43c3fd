"""Search trees for environments, within bounds, and say where a search ended.

An environment is told by what its folder lists: ``pyvenv.cfg``,
``uv-receipt.toml``, a ``*.dist-info`` folder. A ``.venv`` may also be a link (uv's
centralised environments) or a file that names the environment. Links to other
folders are not followed. Every folder that was listed is noted with its
time, so that a later look asks only whether one has changed; what was not
searched is a gap, never silence.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import islice

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Gap, GapKind, Unseen
from cacheadmin.evidence.kinds import INTO_A_CACHE, kind_of
from cacheadmin.evidence.redirects import redirected
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.reading import failure
from cacheadmin.uv.layout import parse_bucket_name

_WITH_LIB = (EnvironmentKind.VENV, EnvironmentKind.TOOL)

# Folders of an environment's own, where nobody keeps another one.
_OWN = frozenset({"bin", "include", "lib", "lib64", "share"})

# Where an installation keeps its packages: PREFIX/lib/pythonX.Y/site-packages.
_PACKAGES = frozenset({"site-packages", "dist-packages"})

# Where uv puts tools, from a home folder down, part by part.
_TOOL_FOLDERS = (".local", "share", "uv", "tools")

# Names under which a project's environment may be a link or a file.
_PROJECT_ENVIRONMENTS = frozenset({".venv", "venv"})

# uv links all files of a package alike; by hand somebody may have made one among others.
_LINKS_LOOKED_AT = 20

# What the kernel makes up: nobody keeps an environment there, and it never ends.
_MADE_UP = frozenset(
    {
        *("proc", "sysfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs"),
        *("bpf", "pstore", "configfs", "fusectl", "mqueue", "hugetlbfs", "efivarfs", "nsfs"),
        *("binfmt_misc", "selinuxfs", "rpc_pipefs", "nfsd", "autofs"),
    }
)

# Where a folder has `cacheadmin scan` look for so long, something is wrong with it.
_MOST_FOLDERS = 5_000_000
_MOST_SECONDS = 600.0

# So many folders are looked at again before entries are moved; more would take too long.
_MOST_WATCHED = 300_000


@dataclass(slots=True)
class Bounds:
    """How much all searches of one look may cost together."""

    folders: int = _MOST_FOLDERS
    """Folders that may still be listed."""
    ends_at: float = field(default_factory=lambda: time.monotonic() + _MOST_SECONDS)
    """The moment (monotonic clock, s) after which nothing more is listed."""

    def spent(self) -> bool:
        """Whether nothing more may be listed; counts one folder."""
        self.folders -= 1
        return self.folders < 0 or time.monotonic() > self.ends_at


@dataclass(slots=True)
class Search:
    """What searches found, and where they ended."""

    candidates: list[Candidate] = field(default_factory=list)
    """Folders that look like environments."""
    unseen: list[Unseen] = field(default_factory=list)
    """Folders that could not be listed."""
    gaps: list[Gap] = field(default_factory=list)
    """Where a search ended at its depth or at a bound."""
    watched: dict[str, int] = field(default_factory=dict)
    """Every folder that was listed, with its modification time in ns."""
    trial_suffices: bool = False
    """Whether nobody named these places: what can't be listed is a gap like one never searched."""
    too_many: bool = False
    """Whether there are more folders than can be watched; then ``watched`` is empty."""

    def watch(self, folder: str, mtime_ns: int) -> None:
        """Note a folder that was listed."""
        if self.too_many:
            return
        self.watched[folder] = mtime_ns
        if len(self.watched) > _MOST_WATCHED:
            self.too_many = True
            self.watched.clear()


def search(
    base: str,
    source: str,
    into: Search,
    bounds: Bounds,
    *,
    depth: int | None = None,
    exclude: tuple[str, ...] = (),
    registrant: int | None = None,
) -> None:
    """Search ``base`` and what lies below it, ``depth`` folders deep (None: all the way).

    ``exclude`` are globs of names or paths. ``registrant``: whose environments
    those are that turn out to be unreadable. A uv cache that lies below is no
    place for anybody's environments, and is left out.
    """
    _Tree(base, source, into, bounds, depth, exclude, registrant).walk()


def search_tools(home: str, source: str, into: Search, uid: int | None) -> None:
    """Note the environments of ``uv tool install`` in a home folder, and nothing else."""
    _tools_in("/".join((home.rstrip("/"), *_TOOL_FOLDERS)), source, into, uid)


def search_tools_at(folder: str, source: str, into: Search) -> None:
    """Note the environments in one folder that somebody pointed ``UV_TOOL_DIR`` to."""
    _tools_in(folder, source, into, None)


def _tools_in(folder: str, source: str, into: Search, uid: int | None) -> bool:
    """Note the tools in a folder of uv's; return whether there is such a folder."""
    try:
        mtime_ns = os.stat(folder).st_mtime_ns
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        problem = failure(folder, error)
        if not problem.missing:
            into.unseen.append(
                Unseen("discover", folder, problem.reason, True, uid, into.trial_suffices)
            )
        return not problem.missing
    into.watch(folder, mtime_ns)
    for name in names:
        if os.path.isdir(f"{folder}/{name}"):
            path = f"{folder}/{name}"
            into.candidates.append(Candidate(path, EnvironmentKind.TOOL, (source,), uid))
    return True


@dataclass(slots=True)
class _Listing:
    """What one folder lists, sorted once: a search asks for each of it many times."""

    names: dict[str, os.DirEntry[str]] = field(default_factory=dict)
    """Every entry by its name."""
    folders: list[os.DirEntry[str]] = field(default_factory=list)
    """The folders among them, links to folders not."""
    links: list[os.DirEntry[str]] = field(default_factory=list)
    """The symbolic links among them."""


class _Tree:
    """One tree that is searched."""

    def __init__(
        self,
        base: str,
        source: str,
        into: Search,
        bounds: Bounds,
        depth: int | None,
        exclude: tuple[str, ...],
        registrant: int | None,
    ) -> None:
        self.base = base
        self.source = source
        self.into = into
        self.bounds = bounds
        self.depth = depth
        self.exclude = exclude
        self.registrant = registrant
        self.made_up = _made_up_below(base)
        self.waiting: list[tuple[str, int]] = [(base, 0)]
        self.too_deep: list[str] = []

    def walk(self) -> None:
        """Search the tree, and say where that ended."""
        while self.waiting:
            folder, level = self.waiting.pop()
            if self.bounds.spent():
                self.into.gaps.append(_cut(self.base, folder, len(self.waiting)))
                return
            listed = self._list(folder)
            kind = _kind_by_names(listed.names)
            if kind is EnvironmentKind.TARGET and os.path.basename(folder) in _PACKAGES:
                self._add_installation(folder)
            elif kind is not None:
                self._add(folder, kind)
            elif _links_into_a_cache(listed.links):
                # A folder that lost what marks it, or links that were made by hand.
                self._add(folder, EnvironmentKind.FOLDER)
            elif folder != self.base and _is_a_uv_cache(listed.names):
                continue
            self._visit(listed, kind, level)
        if self.too_deep:
            self._note_depth()

    def _list(self, folder: str) -> _Listing:
        listed = _Listing()
        try:
            # Before the listing: what changes during it must look changed later.
            mtime_ns = os.stat(folder).st_mtime_ns
            with os.scandir(folder) as entries:
                for entry in entries:
                    listed.names[entry.name] = entry
                    if entry.is_dir(follow_symlinks=False):
                        listed.folders.append(entry)
                    elif entry.is_symlink():
                        listed.links.append(entry)
        except OSError as error:
            problem = failure(folder, error)
            if not problem.missing or folder == self.base:
                self.into.unseen.append(
                    Unseen(
                        "discover",
                        folder,
                        problem.reason,
                        True,
                        self.registrant,
                        self.into.trial_suffices,
                    )
                )
            return _Listing()
        self.into.watch(folder, mtime_ns)
        return listed

    def _visit(self, listed: _Listing, kind: EnvironmentKind | None, level: int) -> None:
        for name in _PROJECT_ENVIRONMENTS & listed.names.keys():
            entry = listed.names[name]
            if not entry.is_dir(follow_symlinks=False) and not _excluded(entry, self.exclude):
                self._project_environment(entry)
        for entry in listed.folders:
            if _excluded(entry, self.exclude) or (kind in _WITH_LIB and entry.name in _OWN):
                # An environment may lie beside a decoy, never in another's `lib`.
                continue
            if entry.path in self.made_up:
                continue
            if self.depth is None or level < self.depth:
                self.waiting.append((entry.path, level + 1))
            else:
                self.too_deep.append(entry.path)

    def _project_environment(self, entry: os.DirEntry[str]) -> None:
        # uv's centralised environments: `.venv` is a link (facts section 7).
        path = entry.path if entry.is_symlink() else redirected(entry.path)
        if path is not None:
            self._add(path, EnvironmentKind.VENV)

    def _note_depth(self) -> None:
        """Note the gap of folders below the depth; where uv puts tools is looked at anyway."""
        for folder in self.too_deep:
            for tools in _tool_folders_from(folder):
                _tools_in(tools, self.source, self.into, self.registrant)
        others = f" and {len(self.too_deep) - 1} more" if len(self.too_deep) > 1 else ""
        self.into.gaps.append(
            Gap(
                "search.depth",
                GapKind.SEARCH,
                self.base,
                f"the search of {self.base} ended {self.depth} folders deep, before "
                f"{self.too_deep[0]}{others}",
                "leave out depth in venvs.discover, or raise it; or give your word: "
                "venvs.complete: true",
            )
        )

    def _add_installation(self, packages: str) -> None:
        """Add the Python, or the ``--prefix`` folder, that a folder of packages belongs to."""
        prefix = packages
        for _ in range(3):
            prefix = os.path.dirname(prefix)
        kind = kind_of(prefix)
        if kind in (EnvironmentKind.PYTHON, EnvironmentKind.PREFIX):
            self._add(prefix, kind)
        else:
            self._add(packages, EnvironmentKind.TARGET)

    def _add(self, path: str, kind: EnvironmentKind) -> None:
        self.into.candidates.append(Candidate(path, kind, (self.source,), self.registrant))


def _tool_folders_from(folder: str) -> Iterator[str]:
    """Yield where uv's tool folder may lie, for a folder on the way to it or a home above."""
    name = os.path.basename(folder)
    yield "/".join((folder, *_TOOL_FOLDERS))
    for number, part in enumerate(_TOOL_FOLDERS):
        if name == part:
            yield "/".join((folder, *_TOOL_FOLDERS[number + 1 :]))


def _cut(base: str, folder: str, left: int) -> Gap:
    # No word closes it: who fills a tree with folders must not hide the others' environments.
    return Gap(
        "search.limit",
        GapKind.RIGHTS,
        base,
        f"the search of {base} took too long and ended at {folder}, with {left} folders and all "
        "below them not searched",
        "name the trees where environments lie in venvs.discover, or leave large ones out by "
        "exclude",
    )


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
    """Whether one of the first links in a folder names an archive of some uv cache."""
    for entry in islice(links, _LINKS_LOOKED_AT):
        try:
            if INTO_A_CACHE.search(os.readlink(entry.path)):
                return True
        except OSError:
            continue
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


def _excluded(entry: os.DirEntry[str], exclude: tuple[str, ...]) -> bool:
    return bool(exclude) and any(
        fnmatch(entry.name, part) or fnmatch(entry.path, part) for part in exclude
    )


def _made_up_below(base: str) -> frozenset[str]:
    prefix = base.rstrip("/") + "/"
    try:
        mounts = read_mounts()
    except (OSError, ValueError, IndexError):
        return frozenset()
    return frozenset(
        mount.mount_point
        for mount in mounts
        if mount.kind in _MADE_UP and mount.mount_point.startswith(prefix)
    )
