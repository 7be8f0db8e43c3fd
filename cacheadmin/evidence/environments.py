"""Scan one environment: how it links, to which archives, who owns it.

``fast`` looks at one file a distribution, and for links that no distribution
explains; where there are any, the environment is walked as by ``deep``, which
looks at every file. Both follow links to folders, and report what could not be
read: an environment seen in part may link to anything. All of it belongs to
another user: nothing here is run, and every file may be a FIFO or a terabyte.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.installed_packages import (
    ScanOptions,
    scan_borrowed_packages,
    scan_packages,
)
from cacheadmin.evidence.redirects import NAMES, redirected
from cacheadmin.evidence.sightings import Sightings
from cacheadmin.evidence.site_packages import find_package_folders
from cacheadmin.evidence.stamps import Stamp, stamp_of, stamped_folders
from cacheadmin.evidence.system_packages import system_packages
from cacheadmin.evidence.targets import CacheLocator, TargetPlace
from cacheadmin.fs.held_folder import below, below_unfollowed, hold_folder, holds_folder
from cacheadmin.fs.linked_tree import MAX_ENTRIES_OF_ONE, Allowance, Identity, LinkedTree
from cacheadmin.fs.precise_times import Devices, LookTime
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.small_files import ReadFailure, failure, read_file
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.uv.environment_config import (
    MAX_BYTES,
    EnvironmentConfig,
    parse_environment_config,
)
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.distributions import ArchiveInodes

__all__ = ["Candidate", "ScanOptions", "Scanned", "scan_and_stamp", "scan_environment"]

# Folders elsewhere that path files of one environment name.
_MAX_BORROWED = 256


#: Why an environment is unreadable whose path has come to lead elsewhere since it was resolved.
REPLACED = "another folder has taken its place while it was looked for"

# Why an environment was not looked at to its end: one reason for all that an account has.
OVER_ALLOWANCE = f"more than {MAX_ENTRIES_OF_ONE} entries are looked at for no account"

# Of one account. The largest site has 10,000 in its registry, of all accounts.
MAX_OF_ONE = 20_000


@frozen
class Candidate:
    """An environment to scan, and how it was found."""

    path: str
    """Its absolute path."""
    kind: EnvironmentKind
    """What sort of environment it is, as far as its source can tell."""
    sources: tuple[str, ...]
    """Ids of the sources that name it."""
    registrant: int | None = None
    """The account that names it: owner of a registry link, a home, a process; None without one."""
    seen_ns: int = 0
    """The newest moment at which it was surely there, in ns since the epoch; 0: unknown."""
    mount_point: str = ""
    """Where what it lay on was mounted then; "" for the root, or where it is not known."""


def scan_environment(
    candidate: Candidate,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    allowance: Allowance | None = None,
) -> Environment:
    """Return what can be seen of one environment; never raises for what is in it.

    ``allowance`` counts what is looked at for each account, link by link.
    """
    scan = _Scan(candidate, locator, inodes, options, allowance)
    return scan.environment


def scan_and_tell(
    candidate: Candidate,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    allowance: Allowance | None = None,
    identity: Identity | None = None,
) -> tuple[Environment, Sightings]:
    """Return what can be seen of one environment, and on what that rests."""
    scan = _Scan(candidate, locator, inodes, options, allowance, identity=identity)
    return scan.environment, scan.found


@frozen
class Scanned:
    """An environment that was scanned."""

    environment: Environment
    """What was seen."""
    stamp: Stamp | None
    """What tells that it is as it was; None: it must be scanned every time."""


def scan_and_stamp(
    candidate: Candidate,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    devices: Devices,
    allowance: Allowance | None = None,
    identity: Identity | None = None,
) -> Scanned:
    """Return what can be seen of one environment, and what tells that it still holds.

    ``identity``: device and inode of the folder that was found at its path; if another one
    is there by now, it is not looked at.
    """
    scan = _Scan(candidate, locator, inodes, options, allowance, devices, identity)
    return Scanned(scan.environment, scan.stamp)


class _Scan:
    """One scan, of a folder that is opened once; see `fs.held_folder`."""

    def __init__(
        self,
        candidate: Candidate,
        locator: CacheLocator,
        inodes: ArchiveInodes,
        options: ScanOptions,
        allowance: Allowance | None,
        devices: Devices | None = None,
        identity: Identity | None = None,
    ) -> None:
        begun = LookTime.now()
        self.stamp: Stamp | None = None
        self.found = found = Sightings(locator, inodes.names, home=candidate.path)
        with ExitStack() as stack:
            try:
                status = _status_of(candidate.path, stack)
            except OSError as error:
                self.environment = _absent(candidate, error, locator)
                return
            if identity is not None and identity != (status.st_dev, status.st_ino):
                self.environment = _replaced(candidate)
                return
            scanned = _scan(candidate, locator, inodes, options, found, allowance, status)
            if found.problems and _is_removed(candidate.path):
                self.environment = _absent(candidate, _removed(), locator)
                return
            self.environment = replace(scanned, identity=(status.st_dev, status.st_ino))
            is_whole = scanned.status is EnvironmentStatus.OK
            if devices is not None and is_whole and not os.path.islink(candidate.path):
                self.stamp = stamp_of(candidate.path, candidate.kind, found, begun, devices)


def _status_of(path: str, stack: ExitStack) -> os.stat_result:
    """Hold the folder that a path leads to; return its status, or that of what is none."""
    try:
        return stack.enter_context(hold_folder(path))
    except NotADirectoryError:
        return os.stat(path)


def _is_removed(path: str) -> bool:
    """Whether the folder that is held was removed, not only moved; where that can't be told: no."""
    try:
        return holds_folder() and os.stat(below(path)).st_nlink == 0
    except OSError:
        return False


def _removed() -> OSError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _replaced(candidate: Candidate) -> Environment:
    return Environment(
        candidate.path,
        candidate.kind,
        EnvironmentStatus.UNREADABLE,
        candidate.sources,
        candidate.registrant,
        complete=False,
        reason=REPLACED,
    )


def _scan(
    candidate: Candidate,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    found: Sightings,
    allowance: Allowance | None,
    status: os.stat_result,
) -> Environment:
    path = candidate.path
    found.entries.update(_entry_of_link(path, locator))
    is_redirect = stat.S_ISREG(status.st_mode) and os.path.basename(path) in NAMES
    named = redirected(path) if is_redirect else None
    if isinstance(named, str) and _note_cached_environment(named, path, found):
        return _result(candidate, EnvironmentConfig(), found, status.st_uid, "")
    if named is not None:
        # One that could be read in time was followed.
        found.problems.append("it is a file that may name any environment, and could not be read")
    if not stat.S_ISDIR(status.st_mode):
        return _result(candidate, EnvironmentConfig(), found, status.st_uid, "it is not a folder")
    if candidate.kind is EnvironmentKind.FOLDER:
        _scan_folder(path, inodes, options, found)
        reason = "; ".join(found.problems)
        return _result(candidate, EnvironmentConfig(), found, status.st_uid, reason)
    target = candidate.kind is EnvironmentKind.TARGET
    config = _read_config(path, found, required=not target)
    if config.extends_environment:
        # Where that leads may change without this environment.
        found.unsettled = True
        found.note_path(config.extends_environment, path)
    folders = find_package_folders(path, locator, target=target)
    found.stamped += stamped_folders(path, candidate.kind, folders.libraries)
    found.unsettled |= bool(folders.links)
    found.problems += folders.problems
    found.watched.update(folders.watched)
    if folders.vanished:
        found.note_gone()
    for link in folders.links:
        found.note_link(link, os.path.dirname(link))
    borrowed: list[str] = []
    for folder in folders.paths:
        borrowed += scan_packages(folder, inodes, options, found)
    borrowed += system_packages(config, path, found)
    if not options.deep:
        _look_at_programs(path, found)
    roots = [path] if options.deep or found.look_further else []
    if roots:
        # Counted again, link by link.
        found.links = found.broken = found.foreign = 0
    roots += _scan_borrowed(borrowed, inodes, found)
    uid = status.st_uid if candidate.registrant is None else candidate.registrant
    _look_at_every_link(roots, found, allowance, uid)
    reason = "; ".join(found.problems)
    return _result(candidate, config, found, status.st_uid, reason)


def _absent(candidate: Candidate, error: OSError, locator: CacheLocator) -> Environment:
    problem = failure(candidate.path, error)
    entries = frozenset(_entry_of_link(candidate.path, locator))
    uid = candidate.registrant
    if problem.missing:
        status = EnvironmentStatus.BROKEN if entries else EnvironmentStatus.MISSING
        return Environment(
            candidate.path,
            candidate.kind,
            status,
            candidate.sources,
            uid,
            entries=entries,
            broken_links=1 if entries else 0,
            complete=True,
            reason="it is gone" if not entries else "it is a link to a missing environment",
        )
    return Environment(
        candidate.path,
        candidate.kind,
        EnvironmentStatus.UNREADABLE,
        candidate.sources,
        uid,
        entries=entries,
        complete=False,
        reason=problem.reason,
    )


def _entry_of_link(path: str, locator: CacheLocator) -> set[str]:
    """Return the cache entry that an environment's own folder is a link to.

    uv's centralised project environments: `.venv` is a link to a folder in
    ``environments-v2`` (facts section 7).
    """
    try:
        target = os.readlink(path)
    except OSError:
        return set()
    located = locator.follow(target, os.path.dirname(path))
    return {located.entry} if located.entry is not None else set()


def _note_cached_environment(named: str, file: str, found: Sightings) -> bool:
    """Note the cached environment that a ``.venv`` file names; False where that is another one."""
    located = found.locator.follow(named, os.path.dirname(file))
    if located.entry is None:
        return False
    found.entries.add(located.entry)
    found.links += 1
    # By the name that the cache has on another host, or in a container, nothing is there.
    by_other_name = f"{found.locator.identity.path}/{located.path}"
    if not (may_be_folder(named) or may_be_folder(by_other_name)):
        found.broken += 1
    return True


def _read_config(path: str, found: Sightings, *, required: bool) -> EnvironmentConfig:
    file = f"{path}/pyvenv.cfg"
    content = read_file(file, MAX_BYTES)
    if isinstance(content, ReadFailure):
        if required and not content.missing:
            found.problems.append(f"pyvenv.cfg can't be read: {content.reason}")
        return EnvironmentConfig()
    try:
        found.changed(os.lstat(below_unfollowed(file)).st_mtime_ns)
    except OSError:
        pass
    return parse_environment_config(content)


def _scan_folder(path: str, inodes: ArchiveInodes, options: ScanOptions, found: Sightings) -> None:
    """Look at what a pattern of the policy matches and nothing else makes an environment.

    A program may take its path files for its own (``site.addsitedir``).
    """
    named = scan_packages(path, inodes, options, found)
    roots = [path] if found.look_further else []
    roots += _scan_borrowed(named, inodes, found)
    _look_at_every_link(roots, found)
    if not (found.archives or found.entries):
        # Anything may lie closed in a folder that is no user's environment.
        found.problems.clear()


def _look_at_programs(path: str, found: Sightings) -> None:
    """Look at the links in ``bin``: some wheels consist of a program and nothing else."""
    try:
        with os.scandir(below(f"{path}/bin")) as entries:
            links = [f"{path}/bin/{entry.name}" for entry in entries if entry.is_symlink()]
    except OSError:
        # Packages are what matters: without them no program runs.
        return
    for link in links:
        found.note_unexplained(link, f"{path}/bin")


def _scan_borrowed(paths: list[str], inodes: ArchiveInodes, found: Sightings) -> list[str]:
    """Scan package folders elsewhere, each once; return those to look at whole.

    Path files in them name further ones.
    """
    further: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = deque(dict.fromkeys(paths))
    while waiting:
        path = waiting.popleft()
        try:
            status = os.stat(below(path))
        except OSError as error:
            if (problem := failure(path, error)).blocked:
                found.problems.append(f"{path} can't be read: {problem.reason}")
            continue
        except ValueError:
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in seen or not stat.S_ISDIR(status.st_mode):
            continue
        seen.add(identity)
        if len(seen) > _MAX_BORROWED:
            found.problems.append(f"its path files name more than {_MAX_BORROWED} folders")
            break
        found.look_further = False
        waiting += scan_borrowed_packages(path, inodes, found)
        if found.look_further:
            further.append(path)
    return further


def _look_at_every_link(
    roots: list[str],
    found: Sightings,
    allowance: Allowance | None = None,
    uid: int | None = None,
) -> None:
    """Locate every link below some folders, and below the folders that links lead to."""
    seen: set[tuple[int, int]] = set()
    for root in roots:
        tree = LinkedTree(root, seen, allowance, uid)
        for folder, _, names in tree.folders():
            for name in names:
                path = f"{folder}/{name}"
                located = found.note_link(path, folder)
                if located is None or located.place is TargetPlace.INSIDE:
                    continue
                inner = found.locator.folder_behind(path)
                if inner is not None:
                    found.note_folder_behind(inner)
                    tree.follow(inner)
        found.problems += tree.problems
        if tree.vanished:
            found.note_gone()
        if tree.is_too_much:
            found.problems.append(OVER_ALLOWANCE)
            return


def _result(
    candidate: Candidate,
    config: EnvironmentConfig,
    found: Sightings,
    uid: int,
    reason: str,
) -> Environment:
    status = EnvironmentStatus.OK
    if found.problems:
        status = EnvironmentStatus.UNREADABLE
    elif found.broken or reason:
        status = EnvironmentStatus.BROKEN
    elif found.foreign and not found.archives and not found.entries:
        status = EnvironmentStatus.FOREIGN
    if found.broken and not reason:
        reason = (
            f"{format_count(found.broken, 'link')} into the cache "
            f"{verb(found.broken, 'leads', 'lead')} nowhere"
        )
    return Environment(
        path=candidate.path,
        kind=candidate.kind,
        status=status,
        sources=candidate.sources,
        uid=uid,
        uv_version=config.uv_version,
        link_modes=found.modes,
        archives=frozenset(found.archives),
        hardlinked_archives=frozenset(found.hardlinked),
        copied=frozenset(found.copied),
        commits=frozenset(found.commits),
        entries=frozenset(found.entries),
        links=found.links,
        broken_links=found.broken,
        broken_packages=tuple(sorted(found.broken_packages)),
        installed_uv=tuple(found.installed_uv),
        changed_ns=found.changed_ns or None,
        # At no time that it will have again: later looks take it for changed.
        watched={**found.watched, candidate.path: 0} if found.has_changed else found.watched,
        fingerprint=found.fingerprint(),
        complete=not found.problems,
        reason=reason,
        is_too_much=OVER_ALLOWANCE in found.problems,
    )
