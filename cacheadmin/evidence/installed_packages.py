"""Scan one package folder: its distributions, path files, and what neither explains."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.clones import shares_extents
from cacheadmin.evidence.direct_urls import commit_of
from cacheadmin.evidence.distributions import ArchiveInodes, Distribution, probe, probe_link
from cacheadmin.evidence.facts import InstalledUv, LinkMode
from cacheadmin.evidence.path_files import named_paths, names_paths
from cacheadmin.evidence.targets import TargetPlace
from cacheadmin.evidence.unexplained import Listing, UnexplainedLinks, list_folder
from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.fs.small_files import ReadFailure, failure
from cacheadmin.packages.names import normalized
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.sightings import Sightings

_DIST_INFO = ".dist-info"

# What virtualenv, uv and setuptools put into every environment: code, never edited.
_NAME_NO_PATHS = frozenset({"_virtualenv.pth", "distutils-precedence.pth"})


@frozen
class ScanOptions:
    """How to scan an environment."""

    deep: bool = False
    """Whether to look at every file, not at one for each distribution."""
    report_clones: bool = False
    """Whether to tell clones from copies: one file of each copied distribution is opened for it."""


def scan_packages(
    folder: str, inodes: ArchiveInodes, options: ScanOptions, sightings: Sightings
) -> list[str]:
    """Scan a package folder of an environment's own.

    Returns folders elsewhere that its path files name: more packages.
    """
    try:
        moment = os.stat(below(folder)).st_mtime_ns
        # Before the listing: what changes during it must look changed later.
        sightings.watched[folder] = moment
        sightings.changed(moment)
        listed = list_folder(folder)
    except OSError as error:
        _note_unread(folder, error, sightings)
        return []
    distributions = _distributions(listed, inodes, sightings)
    sightings.stamped.append(folder)
    for seen in distributions:
        # What was found ready-made has no `direct_url.json` that names a commit.
        may_name_commit = options.deep or seen.archive not in inodes.from_index
        _note_distribution(seen, folder, options, sightings, may_name_commit=may_name_commit)
    if not options.deep:
        _look_at_packages(listed, distributions, sightings)
    return _read_path_files(listed, sightings)


def scan_borrowed_packages(folder: str, inodes: ArchiveInodes, sightings: Sightings) -> list[str]:
    """Scan a package folder that a path file names: only for links into the cache.

    What is installed there is no distribution of the environment's own. Returns folders
    elsewhere that path files in it name: Python reads these, too, where that folder is
    added by `site.addsitedir`.
    """
    try:
        sightings.watched[folder] = os.stat(below(folder)).st_mtime_ns
        listed = list_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _note_unread(folder, error, sightings)
        return []
    distributions = _distributions(listed, inodes, sightings)
    sightings.stamped.append(folder)
    for seen in distributions:
        if seen.archive is not None and seen.mode is LinkMode.SYMLINK:
            sightings.archives.add(seen.archive)
            sightings.links += 1
    _look_at_packages(listed, distributions, sightings, borrowed=True)
    return _read_path_files(listed, sightings)


def named_in_path_files(folder: str, sightings: Sightings) -> list[str]:
    """Return the folders elsewhere that path files in a package folder name.

    A folder that is no environment's own: what it may not be listed for is told as it is scanned.
    """
    try:
        listed = list_folder(folder)
    except OSError:
        return []
    return _read_path_files(listed, sightings)


def _look_at_packages(
    listed: Listing,
    distributions: list[Distribution],
    sightings: Sightings,
    *,
    borrowed: bool = False,
) -> None:
    """Look for links that the distributions of a package folder do not explain."""
    archives = {one.archive: one.mode for one in distributions if one.archive is not None}
    linked = [archive for archive, mode in archives.items() if mode is LinkMode.SYMLINK]
    sightings.explained.update(linked)
    whole = bool(linked) and not borrowed
    look = UnexplainedLinks(sightings, archives, whole=whole, borrowed=borrowed)
    packages = _packages(listed)
    look.look_at(packages, packages.folders)


def _packages(listed: Listing) -> Listing:
    """Return a package folder's entries without distributions' metadata."""
    return Listing(
        listed.path,
        tuple(name for name in listed.links if not name.endswith(_DIST_INFO)),
        tuple(name for name in listed.folders if not name.endswith(_DIST_INFO)),
        listed.files,
    )


def _distributions(
    listed: Listing, inodes: ArchiveInodes, sightings: Sightings
) -> list[Distribution]:
    """Return what a probe of each ``*.dist-info`` saw; what can't be read is noted."""
    found = []
    seen: Distribution | None
    linked = frozenset(listed.links)
    for name in (*listed.folders, *listed.links):
        if not name.endswith(_DIST_INFO):
            continue
        path = f"{listed.path}/{name}"
        try:
            if name in linked:
                package = name.removesuffix(_DIST_INFO)
                target = os.readlink(below_unfollowed(path))
                seen = probe_link(package, path, target, listed.path, sightings.locator)
                if seen.archive is None and not seen.foreign:
                    # It was moved to somewhere else.
                    seen = probe(name, listed.path, sightings.locator, inodes)
            else:
                seen = probe(name, listed.path, sightings.locator, inodes)
        except OSError as error:
            _note_unread(path, error, sightings)
            continue
        if seen is not None:
            _note_way(seen, sightings)
            found.append(seen)
    return found


def _note_way(seen: Distribution, sightings: Sightings) -> None:
    """Note on what a probe's answer rests, beside the environment itself."""
    if seen.spelling:
        sightings.spellings.add(seen.spelling)
        return
    if seen.target:
        sightings.note_outward(seen.target)
    if seen.mode is LinkMode.SYMLINK or seen.is_shared:
        # A link that leads elsewhere first; an archive that is put back has that file, too.
        sightings.unsettled = True


def _note_unread(path: str, error: OSError, sightings: Sightings) -> None:
    problem = failure(path, error)
    if problem.missing and sightings.is_gone_from_it(path):
        sightings.note_gone()
        return
    name = error.filename if isinstance(error.filename, str) else path
    sightings.problems.append(f"{name} can't be read: {problem.reason}")


def _note_distribution(
    seen: Distribution,
    folder: str,
    options: ScanOptions,
    sightings: Sightings,
    *,
    may_name_commit: bool,
) -> None:
    mode = seen.mode
    if mode is LinkMode.COPY and options.report_clones:
        metadata = f"{folder}/{seen.name}{_DIST_INFO}/METADATA"
        mode = LinkMode.CLONE if shares_extents(metadata) else LinkMode.COPY
    sightings.modes[mode] = sightings.modes.get(mode, 0) + 1
    sightings.names.append(f"{seen.name}\0{seen.target}\0{seen.changed_ns}")
    commit = commit_of(f"{folder}/{seen.name}{_DIST_INFO}") if may_name_commit else None
    if commit is not None:
        sightings.commits.add(commit)
    package, _, version = seen.name.partition("-")
    if normalized(package) == "uv" and version:
        uv = _installed_uv(version, f"{folder}/{seen.name}{_DIST_INFO}")
        sightings.installed_uv.append(uv)
    if mode is LinkMode.SYMLINK:
        sightings.links += 1
        sightings.foreign += seen.foreign
        if seen.archive is not None:
            sightings.archives.add(seen.archive)
        if seen.broken:
            sightings.broken += 1
            sightings.broken_packages.add(normalized(package))
    elif seen.archive is not None:
        sightings.hardlinked.add(seen.archive)
    else:
        sightings.copied.add(f"{normalized(package)}=={version}")


def _installed_uv(version: str, dist_info: str) -> InstalledUv:
    try:
        status = os.lstat(below_unfollowed(dist_info))
    except OSError:
        return InstalledUv(version, dist_info, -1, 0)
    return InstalledUv(version, dist_info, status.st_uid, status.st_mtime_ns)


def _read_path_files(listed: Listing, sightings: Sightings) -> list[str]:
    """Note what path files name; return the folders among it that lie outside of the cache."""
    folders = []
    for names, linked in ((listed.files, False), (listed.links, True)):
        for name in names:
            if not names_paths(name):
                continue
            path = f"{listed.path}/{name}"
            if name not in _NAME_NO_PATHS:
                sightings.stamped.append(path)
            paths = named_paths(path, linked=linked)
            if isinstance(paths, ReadFailure):
                if not paths.missing:
                    sightings.problems.append(f"{path} can't be read: {paths.reason}")
                continue
            for text in paths:
                located = sightings.note_path(text, listed.path)
                if located.place is not TargetPlace.INSIDE:
                    folders.append(os.path.join(listed.path, text))
                    sightings.stamped.append(folders[-1])
                    if not text.startswith("/"):
                        sightings.unsettled = True
    return folders
