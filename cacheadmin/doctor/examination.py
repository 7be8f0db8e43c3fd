"""Look at every file of one environment: what is lost, what is absent, of which package.

The scan that every command starts with probes one file a distribution: that
tells how it is linked, but not that half of it is gone. Here each link is
resolved and each line of each RECORD compared with what is there. Nothing is
imported (a dead package imports as an empty namespace) and nothing is run.

Everything looked at belongs to other users. Links are resolved to learn
whether they lead anywhere; their content is never read.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.doctor.damage import Damaged, Examination
from cacheadmin.doctor.limits import Work, WorkDone
from cacheadmin.doctor.records import RecordReader
from cacheadmin.evidence.facts import EnvironmentKind, LinkMode
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.evidence.redirects import redirected
from cacheadmin.evidence.site_packages import find_package_folders
from cacheadmin.evidence.targets import TargetPlace
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import (
    ReadFailure,
    failure,
    open_directory,
    read_file,
    read_file_and_status,
)
from cacheadmin.packages.names import normalized
from cacheadmin.readers import note_step
from cacheadmin.uv.environment_config import MAX_BYTES, config_values

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.evidence.targets import CacheLocator

_MAX_DEPTH = 64

# The largest environments have 300,000.
_MAX_ENTRIES = 500_000

# Real environments link into one cache, rarely two.
_MAX_CACHES = 8

_DIST_INFO = ".dist-info"
_BUCKET = re.compile(r"/(?:archive|environments|builds)-v[0-9]{1,6}(?=/)")
_PYTHON_FOLDER = re.compile(r"(python|pypy|graalpy)(\d+\.\d+)t?")
_PYTHON_TAG = re.compile(r"\.(?:cpython-|cp)(\d)(\d+)")


@dataclass(slots=True)
class _EnvironmentWalk:
    """Every file below an environment, whose resolved path is ``environment``.

    ``lost`` maps links to (entry, whether that is there); the entry is empty
    for links into another cache. ``others`` counts those by that cache,
    ``names`` links that call this cache by a name that leads nowhere here.
    """

    environment: str
    present: set[str] = field(default_factory=set)
    lost: dict[str, tuple[str, bool]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)


def examine(
    environment: Environment, locator: CacheLocator, limits: WorkDone | None = None
) -> Examination | None:
    """Return what is wrong with an environment; None for one that is not there, or closed.

    ``limits`` counts what is looked at of each account in one run.
    """
    try:
        status = os.stat(environment.path)
    except OSError as error:
        return _dangling(environment, locator, error)
    if _is_none(environment):
        # Any user may register `/`. The audit says that it is no environment.
        return None
    if stat.S_ISREG(status.st_mode) and environment.entries:
        return _named_by_file(environment, locator)
    limits = limits or WorkDone()
    path = resolve(environment.path)
    folders = find_package_folders(path, target=environment.kind is EnvironmentKind.TARGET)
    system = environment.kind is EnvironmentKind.PYTHON
    # A system's Python has all of `/usr` for its environment: what matters is in few places.
    tops = [resolve(one) for one in (*folders.paths, f"{path}/bin")] if system else [path]
    walk = _walk(path, tops, locator, status.st_uid, limits)
    walk.problems += folders.problems
    config = _config(path)
    installed: dict[str, str] = {}
    records = RecordReader(status.st_uid, limits)
    damaged = list(_damaged(path, folders.paths, walk, installed, records, locator, system=system))
    return Examination(
        environment=environment,
        path=path,
        uid=status.st_uid,
        damaged=tuple(sorted(damaged, key=lambda one: (one.site, one.name, one.version))),
        mode=_mode(environment, damaged),
        installed=installed,
        python=_python_version(folders.paths, walk),
        interpreter_missing=bool(config) and _interpreter_is_missing(path),
        partly=frozenset(entry for entry, there in walk.lost.values() if there),
        config=config,
        problems=tuple(walk.problems),
        sites=tuple(folders.paths),
        other_caches=dict(walk.others),
        other_names=dict(walk.names),
    )


def _dangling(
    environment: Environment, locator: CacheLocator, error: OSError
) -> Examination | None:
    """Return the examination of a link into the cache that leads nowhere.

    uv's centralised project environments: ``.venv`` is a link to a folder in
    ``environments-v2``, which any ``uv cache prune`` deletes (facts section 7).
    """
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return None
    try:
        target = os.readlink(environment.path)
        uid = os.lstat(environment.path).st_uid
    except OSError:
        return None
    folder = resolve(os.path.dirname(environment.path))
    located = locator.follow(target, folder)
    if located.entry is None:
        return None
    path = os.path.join(folder, os.path.basename(environment.path))
    return Examination(environment, path, uid, (), LinkMode.SYMLINK, dangling_target=located.entry)


def _named_by_file(environment: Environment, locator: CacheLocator) -> Examination | None:
    """Return the examination of a ``.venv`` file that names a cached environment.

    None where that is there: it is examined itself.
    """
    named = redirected(environment.path)
    if not isinstance(named, str):
        return None
    located = locator.follow(named, os.path.dirname(environment.path))
    entry = located.entry
    if entry is None or may_be_folder(f"{locator.identity.path}/{entry}"):
        return None
    uid = os.stat(environment.path).st_uid
    path = resolve(environment.path)
    return Examination(environment, path, uid, (), LinkMode.SYMLINK, dangling_target=entry)


def _is_none(environment: Environment) -> bool:
    """Whether only a registry link says that a folder is an environment, and nothing in it."""
    uses = environment.archives or environment.entries or environment.links
    return environment.sources == ("registry",) and not uses and kind_of(environment.path) is None


def _walk(
    path: str, tops: list[str], locator: CacheLocator, uid: int, limits: WorkDone
) -> _EnvironmentWalk:
    """Look at every name below folders, each on its own filesystem, within the owner's limits."""
    walk = _EnvironmentWalk(path)
    waiting = [(top, 0) for top in dict.fromkeys(tops)]
    devices: set[int] = set()
    left = most = min(_MAX_ENTRIES, limits.left(uid, Work.ENTRIES))
    while waiting:
        folder, depth = waiting.pop()
        note_step()
        try:
            fd = open_directory(folder)
            try:
                device = os.fstat(fd).st_dev
                if not depth:
                    devices.add(device)
                elif device not in devices:
                    walk.problems.append(f"{folder} is another filesystem, not looked into")
                    continue
                with os.scandir(fd) as entries:
                    listed = list(islice(entries, left + 1))
                    left -= len(listed)
                    for entry in listed:
                        _note_entry(entry, folder, depth, locator, walk, waiting)
            finally:
                os.close(fd)
        except FileNotFoundError:
            # A process is at work there, or an overlay of `uv run` has ended.
            continue
        except OSError as error:
            walk.problems.append(f"{folder} can't be read: {failure(folder, error).reason}")
        if left < 0:
            walk.problems.append(f"only its first {most} names were looked at")
            break
    limits.spend(uid, Work.ENTRIES, most - max(left, 0))
    return walk


def _note_entry(
    entry: os.DirEntry[str],
    folder: str,
    depth: int,
    locator: CacheLocator,
    walk: _EnvironmentWalk,
    waiting: list[tuple[str, int]],
) -> None:
    path = f"{folder}/{entry.name}"
    walk.present.add(path)
    if entry.is_symlink():
        _note_link(path, folder, locator, walk)
    elif entry.is_dir(follow_symlinks=False):
        if depth < _MAX_DEPTH:
            waiting.append((path, depth + 1))
        else:
            walk.problems.append(f"{path} lies too deep to be looked into")


def _note_link(path: str, folder: str, locator: CacheLocator, walk: _EnvironmentWalk) -> None:
    problem = _why_not_there(path)
    if problem is None:
        return
    if not problem.missing:
        walk.problems.append(f"{path} can't be followed: {problem.reason}")
        return
    try:
        target = os.readlink(path)
        located = locator.follow(target, folder)
    except OSError:
        return
    if located.place is TargetPlace.FOREIGN:
        walk.lost[path] = ("", False)
        _count(walk.others, _cache_of(target, folder))
    if located.place is not TargetPlace.INSIDE or located.entry is None:
        return
    cache = locator.identity.path
    if f"{cache}/{located.entry}" == walk.environment or not locator.is_gone(located, path):
        # A cached environment's links to itself say nothing of the cache: its Python is gone.
        return
    if os.path.lexists(f"{cache}/{located.path}"):
        _count(walk.names, _cache_of(target, folder))
    else:
        walk.lost[path] = (located.entry, os.path.isdir(f"{cache}/{located.entry}"))


def _count(counts: Counter[str], cache: str) -> None:
    """Count a link; links are their owner's to write, and could name any number of caches."""
    if cache in counts or len(counts) < _MAX_CACHES:
        counts[cache] += 1


def _cache_of(target: str, folder: str) -> str:
    """Return the cache that a link's text names."""
    path = os.path.normpath(os.path.join(folder, target))
    mentions = list(_BUCKET.finditer(path))
    return path[: mentions[-1].start()] if mentions else path


def _why_not_there(path: str) -> ReadFailure | None:
    """Return why a path leads nowhere, every link followed; None for one that does."""
    try:
        os.stat(path)
    except OSError as error:
        return failure(path, error)
    return None


def _damaged(
    root: str,
    sites: list[str],
    walk: _EnvironmentWalk,
    installed: dict[str, str],
    records: RecordReader,
    locator: CacheLocator,
    *,
    system: bool,
) -> Iterator[Damaged]:
    """Yield each distribution that lacks files; lost links of no distribution come last."""
    unclaimed = dict(walk.lost)
    by_entry: dict[str, tuple[str, str, str]] = {}
    for site in sites:
        for folder in _dist_infos(site, walk):
            note_step()
            name, _, version = os.path.basename(folder).removesuffix(_DIST_INFO).partition("-")
            installed[normalized(name)] = version
            files = records.files(folder, root)
            if isinstance(files, ReadFailure):
                if not files.missing:
                    walk.problems.append(f"{folder}/RECORD can't be read: {files.reason}")
                files = ()
            for file in files:
                if system and file not in walk.present and os.path.islink(file):
                    _note_link(file, os.path.dirname(file), locator, walk)
            own = (path for path in walk.lost if path.startswith(f"{folder}/"))
            lost = sorted({path for path in files if path in walk.lost} | set(own))
            absent = tuple(path for path in files if not _is_there(path, walk))
            if absent and not _is_of_uv(folder, system=system):
                absent = ()
            absent = records.keep_absent(absent)
            for path in lost:
                unclaimed.pop(path, None)
                if walk.lost[path][0]:
                    by_entry[walk.lost[path][0]] = (name, version, site)
            if lost or absent:
                entries = tuple(sorted({walk.lost[path][0] for path in lost}))
                origin, uids = _origin(folder)
                yield Damaged(name, version, site, tuple(lost), absent, entries, origin, uids)
    strangers = [path for path, (entry, _) in unclaimed.items() if entry not in by_entry]
    if strangers:
        entries = tuple(sorted({unclaimed[path][0] for path in strangers}))
        yield Damaged("", "", root, tuple(sorted(strangers)), (), entries)


def _dist_infos(site: str, walk: _EnvironmentWalk) -> list[str]:
    try:
        names = os.listdir(site)
    except FileNotFoundError:
        return []
    except OSError as error:
        walk.problems.append(f"{site} can't be read: {failure(site, error).reason}")
        return []
    return [f"{site}/{name}" for name in sorted(names) if name.endswith(_DIST_INFO)]


def _is_of_uv(dist_info: str, *, system: bool) -> bool:
    """Whether uv has installed a distribution, as ``INSTALLER`` says.

    What others install, they also trim (Debian, conda, images): no file of it
    is missed, and uv must not take its place. uv may be told to write no
    INSTALLER; in a system's Python it is Debian that leaves it out.
    """
    read = read_file(f"{dist_info}/INSTALLER", MAX_BYTES)
    if isinstance(read, ReadFailure):
        return read.missing and not system
    return read.strip() == b"uv"


def _is_there(path: str, walk: _EnvironmentWalk) -> bool:
    # What lies behind a linked folder was not walked.
    return path in walk.present or os.path.lexists(path)


def _origin(dist_info: str) -> tuple[Mapping[str, object] | None, frozenset[int]]:
    """Return ``direct_url.json`` and who owns it and its folder.

    uv writes it as a regular file in every link mode (facts section 5).
    """
    try:
        uids = frozenset({os.lstat(dist_info).st_uid})
    except OSError:
        return {}, frozenset({-1})
    read = read_file_and_status(f"{dist_info}/direct_url.json", MAX_BYTES)
    if isinstance(read, ReadFailure):
        # One that is there, and can't be read, hides where the package came from.
        return (None if read.missing else {}), uids
    try:
        found = json.loads(read[0])
    except (ValueError, RecursionError):
        found = {}
    return (found if isinstance(found, dict) else {}), uids | {read[1].st_uid}


def _config(path: str) -> dict[str, str]:
    content = read_file(f"{path}/pyvenv.cfg", MAX_BYTES)
    return {} if isinstance(content, ReadFailure) else config_values(content)


def _interpreter_is_missing(path: str) -> bool:
    """Whether none of the names a venv has for its Python leads anywhere.

    One that can't be followed for want of rights may well be there.
    """
    for name in ("python", "python3"):
        problem = _why_not_there(f"{path}/bin/{name}")
        if problem is None or not problem.missing:
            return False
    return True


def _python_version(sites: list[str], walk: _EnvironmentWalk) -> str:
    for site in sites:
        found = _PYTHON_FOLDER.fullmatch(os.path.basename(os.path.dirname(site)))
        if found is not None:
            return found[2] if found[1] == "python" else f"{found[1]}{found[2]}"
    # A --target folder: compiled files name the Python they are for.
    for path in walk.present:
        tag = _PYTHON_TAG.search(os.path.basename(path))
        if tag is not None:
            return f"{tag[1]}.{tag[2]}"
    return ""


def _mode(environment: Environment, damaged: list[Damaged]) -> LinkMode:
    if any(one.lost for one in damaged):
        return LinkMode.SYMLINK
    modes = environment.link_modes
    return max(modes, key=lambda mode: modes[mode]) if modes else LinkMode.COPY
