"""Scan one environment: how it links, to which archives, who owns it.

``fast`` looks at one file a distribution, ``deep`` at every file. Both report
what could not be read: an environment seen in part may link to anything. All
of it belongs to somebody else: nothing here is run, no link is followed to
read a file's content, and every file may be a FIFO or a terabyte.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field

from cacheadmin.evidence.distributions import ArchiveInodes, Distribution, probe, probe_link
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    InstalledUv,
    LinkMode,
)
from cacheadmin.evidence.locating import CacheLocator, Place
from cacheadmin.evidence.site_packages import find_package_folders
from cacheadmin.fs.reading import ReadFailure, failure, read_file
from cacheadmin.inventory.entries import ArchiveId, archive_id
from cacheadmin.package_names import normalized
from cacheadmin.uv.environment_config import (
    MAX_BYTES,
    EnvironmentConfig,
    parse_environment_config,
)

_DIST_INFO = ".dist-info"
_OVERLAY = "_uv_ephemeral_overlay.pth"
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """An environment to scan, and how it was found. ``registrant`` owns the registry link.

    ``seen_ns``: the newest moment at which it was surely there; 0 where unknown.
    """

    path: str
    kind: EnvironmentKind
    sources: tuple[str, ...]
    registrant: int | None = None
    seen_ns: int = 0


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan: every file, and whether to tell clones from copies."""

    deep: bool = False
    report_clones: bool = False


@dataclass(slots=True)
class _Findings:
    """What accumulates while one environment is scanned."""

    modes: dict[LinkMode, int] = field(default_factory=dict)
    archives: set[ArchiveId] = field(default_factory=set)
    hardlinked: set[ArchiveId] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)
    links: int = 0
    foreign: int = 0
    broken: int = 0
    broken_packages: set[str] = field(default_factory=set)
    installed_uv: list[InstalledUv] = field(default_factory=list)
    watched: dict[str, int] = field(default_factory=dict)
    changed_ns: int = 0
    problems: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def changed(self, moment_ns: int) -> None:
        self.changed_ns = max(self.changed_ns, moment_ns)


def scan_environment(
    candidate: Candidate,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
) -> Environment:
    """Return what can be seen of one environment; never raises for what is in it."""
    path = candidate.path
    try:
        status = os.stat(path)
    except OSError as error:
        return _absent(candidate, error, locator)
    found = _Findings()
    found.entries.update(_entry_of_link(path, locator))
    if not stat.S_ISDIR(status.st_mode):
        return _result(candidate, EnvironmentConfig(), found, status.st_uid, "it is not a folder")
    config = _read_config(path, found, required=candidate.kind is not EnvironmentKind.TARGET)
    if config.extends_environment:
        _note_entry(config.extends_environment, path, locator, found)
    folders = find_package_folders(path, target=candidate.kind is EnvironmentKind.TARGET)
    found.problems += folders.problems
    found.watched.update(folders.watched)
    for link in folders.links:
        _note_link(link, os.path.dirname(link), locator, found)
    for folder in folders.paths:
        _scan_site_packages(folder, locator, inodes, options, found)
    if options.deep:
        _scan_deep(path, locator, found)
    reason = "; ".join(found.problems)
    return _result(candidate, config, found, status.st_uid, reason)


def _absent(candidate: Candidate, error: OSError, locator: CacheLocator) -> Environment:
    problem = failure(candidate.path, error)
    found = _Findings()
    found.entries.update(_entry_of_link(candidate.path, locator))
    uid = candidate.registrant
    if problem.missing:
        status = EnvironmentStatus.BROKEN if found.entries else EnvironmentStatus.MISSING
        return Environment(
            candidate.path,
            candidate.kind,
            status,
            candidate.sources,
            uid,
            entries=frozenset(found.entries),
            broken_links=1 if found.entries else 0,
            complete=True,
            reason="it is gone" if not found.entries else "it is a link to a missing environment",
        )
    return Environment(
        candidate.path,
        candidate.kind,
        EnvironmentStatus.UNREADABLE,
        candidate.sources,
        uid,
        entries=frozenset(found.entries),
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


def _note_entry(target: str, folder: str, locator: CacheLocator, found: _Findings) -> None:
    located = locator.follow(target, folder)
    if located.entry is not None:
        found.entries.add(located.entry)


def _read_config(path: str, found: _Findings, *, required: bool) -> EnvironmentConfig:
    file = f"{path}/pyvenv.cfg"
    content = read_file(file, MAX_BYTES)
    if isinstance(content, ReadFailure):
        if required and not content.missing:
            found.problems.append(f"pyvenv.cfg can't be read: {content.reason}")
        return EnvironmentConfig()
    try:
        found.changed(os.lstat(file).st_mtime_ns)
    except OSError:
        pass
    return parse_environment_config(content)


def _scan_site_packages(
    folder: str,
    locator: CacheLocator,
    inodes: ArchiveInodes,
    options: ScanOptions,
    found: _Findings,
) -> None:
    try:
        moment = os.stat(folder).st_mtime_ns
        # Before the listing: what changes during it must look changed later.
        found.watched[folder] = moment
        found.changed(moment)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_DIST_INFO):
                    seen = _seen_distribution(entry, folder, locator, inodes)
                    if seen is not None:
                        _note_distribution(seen, folder, inodes, options, found)
                elif entry.name == _OVERLAY:
                    _read_overlay(entry.path, folder, locator, found)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else folder
        found.problems.append(f"{name} can't be read: {failure(folder, error).reason}")


def _seen_distribution(
    entry: os.DirEntry[str], folder: str, locator: CacheLocator, inodes: ArchiveInodes
) -> Distribution | None:
    if entry.is_symlink():
        name = entry.name.removesuffix(_DIST_INFO)
        return probe_link(name, entry.path, os.readlink(entry.path), folder, locator)
    return probe(entry.name, folder, locator, inodes)


def _note_distribution(
    seen: Distribution,
    folder: str,
    inodes: ArchiveInodes,
    options: ScanOptions,
    found: _Findings,
) -> None:
    mode = seen.mode
    if mode is LinkMode.COPY and options.report_clones:
        from cacheadmin.evidence.clones import shares_extents

        metadata = f"{folder}/{seen.name}{_DIST_INFO}/METADATA"
        mode = LinkMode.CLONE if shares_extents(metadata) else LinkMode.COPY
    found.modes[mode] = found.modes.get(mode, 0) + 1
    found.names.append(f"{seen.name}\0{seen.target}\0{seen.changed_ns}")
    package, _, version = seen.name.partition("-")
    if normalized(package) == "uv" and version:
        found.installed_uv.append(_installed_uv(version, f"{folder}/{seen.name}{_DIST_INFO}"))
    if mode is LinkMode.SYMLINK:
        found.links += 1
        found.foreign += seen.foreign
        if seen.archive is not None:
            found.archives.add(seen.archive)
        if seen.broken:
            found.broken += 1
            found.broken_packages.add(normalized(package))
    elif seen.archive is not None:
        found.hardlinked.add(seen.archive)
    else:
        found.copied.add(f"{normalized(package)}=={version}")


def _installed_uv(version: str, dist_info: str) -> InstalledUv:
    try:
        status = os.lstat(dist_info)
    except OSError:
        return InstalledUv(version, dist_info, -1, 0)
    return InstalledUv(version, dist_info, status.st_uid, status.st_mtime_ns)


def _read_overlay(path: str, folder: str, locator: CacheLocator, found: _Findings) -> None:
    """Read the paths that a `uv run --with` overlay adds (literal lines, facts section 7)."""
    content = read_file(path, MAX_BYTES)
    if isinstance(content, ReadFailure):
        found.problems.append(f"{_OVERLAY} can't be read: {content.reason}")
        return
    for line in os.fsdecode(content).splitlines():
        for part in line.replace('"', "'").split("'"):
            if "/" in part:
                _note_entry(part.strip(), folder, locator, found)


def _scan_deep(path: str, locator: CacheLocator, found: _Findings) -> None:
    """Look at every file: each symlink is located, and checked to resolve."""
    found.links = 0
    found.broken = 0
    found.foreign = 0
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        _note_link(entry.path, folder, locator, found)
                    elif entry.is_dir(follow_symlinks=False):
                        if depth < _MAX_DEPTH:
                            waiting.append((entry.path, depth + 1))
                        else:
                            where = f"{entry.path} is deeper than {_MAX_DEPTH} folders"
                            found.problems.append(f"{where} and was not looked into")
        except OSError as error:
            found.problems.append(f"{folder} can't be read: {failure(folder, error).reason}")


def _note_link(path: str, folder: str, locator: CacheLocator, found: _Findings) -> None:
    try:
        target = os.readlink(path)
    except OSError:
        return
    located = locator.follow(target, folder)
    if located.place is Place.FOREIGN:
        found.links += 1
        found.foreign += 1
    if located.entry is None:
        return
    found.links += 1
    if located.entry.startswith("archive-v"):
        found.archives.add(archive_id(located.entry))
    else:
        found.entries.add(located.entry)
    if locator.is_gone(located, path):
        found.broken += 1


def _result(
    candidate: Candidate,
    config: EnvironmentConfig,
    found: _Findings,
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
        reason = f"{found.broken} links into the cache lead nowhere"
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
        entries=frozenset(found.entries),
        links=found.links,
        broken_links=found.broken,
        broken_packages=tuple(sorted(found.broken_packages)),
        installed_uv=tuple(found.installed_uv),
        changed_ns=found.changed_ns or None,
        watched=found.watched,
        fingerprint=_fingerprint(found),
        complete=not found.problems,
        reason=reason,
    )


def _fingerprint(found: _Findings) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(found.names):
        digest.update(os.fsencode(name) + b"\n")
    return digest.hexdigest()
