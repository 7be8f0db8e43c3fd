"""One probe a distribution: how an installed package relates to the cache.

uv installs every file of a distribution in the same way, so one file tells
for all: ``METADATA`` of its ``*.dist-info``, else ``WHEEL``, else any file
that is not one uv itself writes into environments (facts section 5). A
symlink that leads into an archive breaks when the archive goes; a hardlink,
a clone and a copy survive. But one file may have been edited since, and is a
copy then: where it is one, a link among the others of the folder tells more.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Container
from itertools import islice

from cacheadmin.evidence.archive_names import ArchiveNames
from cacheadmin.evidence.facts import LinkMode
from cacheadmin.evidence.targets import CacheLocator, TargetPlace
from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.inventory.entries import ArchiveId, archive_in
from cacheadmin.values import frozen

# Files that uv writes into an environment, whatever the link mode.
_UV_WRITES = frozenset(
    {
        "RECORD",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "uv_cache.json",
        "uv_build.json",
    }
)

# Real ones have a dozen; another tool may put more there.
_MAX_FILES = 1000

# (device, inode) of an archive's METADATA and WHEEL -> archive.
InodeIndex = Callable[[int, int], ArchiveId | None]


@frozen
class Distribution:
    """What one probe saw of an installed distribution."""

    name: str
    """Name of its ``*.dist-info`` without that ending: ``six-1.16.0``."""
    mode: LinkMode
    """How the probed file relates to the cache: a clone looks like a copy here."""
    archive: ArchiveId | None = None
    """The archive of this cache that the file leads to or belongs to; None where there is none."""
    broken: bool = False
    """Whether the file is a link into this cache that leads nowhere."""
    foreign: bool = False
    """Whether the file is a link into another cache."""
    target: str = ""
    """The link's text; empty for a file that is no link."""
    changed_ns: int = 0
    """Modification time of the probed file in ns since the epoch; 0 for a link."""
    spelling: str = ""
    """How the link spells the cache's bucket (`Located.spelling`)."""
    is_shared: bool = False
    """Whether the probed file has other names, none of them in an archive known here."""


def probe(
    dist_info: str, site_packages: str, locator: CacheLocator, inodes: InodeIndex
) -> Distribution | None:
    """Probe the ``*.dist-info`` of that name; None when there is nothing to probe.

    Raises OSError when it may not be looked into: it could link to any archive.
    """
    folder = f"{site_packages}/{dist_info}"
    name = dist_info.removesuffix(".dist-info")
    for file in ("METADATA", "WHEEL"):
        found = _probe_file(name, f"{folder}/{file}", folder, locator, inodes)
        if found is not None:
            if found.mode is LinkMode.COPY:
                return _probe_links(name, folder, locator) or found
            return found
    return _probe_any(name, folder, locator, inodes)


def _probe_links(name: str, folder: str, locator: CacheLocator) -> Distribution | None:
    """Return what the first link into this cache tells, or else into another one."""
    foreign = None
    with os.scandir(below(folder)) as entries:
        links = sorted(entry.name for entry in islice(entries, _MAX_FILES) if entry.is_symlink())
    for link in links:
        path = f"{folder}/{link}"
        try:
            found = probe_link(name, path, os.readlink(below_unfollowed(path)), folder, locator)
        except FileNotFoundError:
            continue
        if found.archive is not None:
            return found
        if found.foreign:
            foreign = found
    return foreign


def _probe_any(
    name: str, folder: str, locator: CacheLocator, inodes: InodeIndex
) -> Distribution | None:
    try:
        with os.scandir(below(folder)) as entries:
            listed = sorted(entry.name for entry in islice(entries, _MAX_FILES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    for entry in listed:
        if entry not in _UV_WRITES:
            found = _probe_file(name, f"{folder}/{entry}", folder, locator, inodes)
            if found is not None:
                return found
    return None


def _probe_file(
    name: str, path: str, folder: str, locator: CacheLocator, inodes: InodeIndex
) -> Distribution | None:
    try:
        target = os.readlink(below_unfollowed(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        # A file that is no link.
        if error.errno != errno.EINVAL:
            raise
        return _regular(name, path, inodes)
    return probe_link(name, path, target, folder, locator)


def probe_link(
    name: str, path: str, target: str, folder: str, locator: CacheLocator
) -> Distribution:
    """Return what a link in a distribution's place tells: ``path`` in ``folder``, its text."""
    located = locator.follow(target, folder)
    archive = None if located.entry is None else archive_in(located.entry)
    return Distribution(
        name,
        LinkMode.SYMLINK,
        archive=archive,
        broken=located.place is TargetPlace.INSIDE and locator.is_gone(located, path, target),
        foreign=located.place is TargetPlace.FOREIGN,
        target=target,
        spelling=located.spelling,
    )


def _regular(name: str, path: str, inodes: InodeIndex) -> Distribution | None:
    try:
        status = os.lstat(below_unfollowed(path))
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    archive = inodes(status.st_dev, status.st_ino) if status.st_nlink > 1 else None
    mode = LinkMode.COPY if archive is None else LinkMode.HARDLINK
    return Distribution(
        name,
        mode,
        archive=archive,
        changed_ns=status.st_mtime_ns,
        is_shared=archive is None and status.st_nlink > 1,
    )


class ArchiveInodes:
    """Finds the archive that a hardlinked file belongs to; built on first use.

    One stat for each archive's METADATA and WHEEL: only sites that hardlink
    pay for it. ``names`` tells what else the same archives hold, ``from_index`` which
    of them were built from no git commit: uv found their wheels ready-made.
    """

    def __init__(
        self,
        cache_path: str,
        archives: dict[ArchiveId, str],
        from_index: Container[ArchiveId] = frozenset(),
    ) -> None:
        self.names = ArchiveNames(cache_path, archives)
        self.from_index = from_index
        self._cache_path = cache_path
        self._archives = archives
        self._index: dict[tuple[int, int], ArchiveId] | None = None

    def __call__(self, device: int, inode: int) -> ArchiveId | None:
        """Return the archive whose METADATA or WHEEL has this identity."""
        if self._index is None:
            self._index = self._build()
        return self._index.get((device, inode))

    def _build(self) -> dict[tuple[int, int], ArchiveId]:
        index: dict[tuple[int, int], ArchiveId] = {}
        for archive, path in self._archives.items():
            for status in _probes(f"{self._cache_path}/{path}"):
                index[status.st_dev, status.st_ino] = archive
        return index


def _probes(archive: str) -> list[os.stat_result]:
    found = []
    try:
        names = [name for name in os.listdir(archive) if name.endswith(".dist-info")]
    except OSError:
        return []
    for name in names:
        for file in ("METADATA", "WHEEL"):
            try:
                found.append(os.lstat(f"{archive}/{name}/{file}"))
            except OSError:
                continue
    return found
