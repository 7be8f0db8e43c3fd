"""Entries of a cache that a mount shows by themselves, told by tables of mounts.

A bind mount of one archive (a volume of a container, ``BindPaths=`` of a service) or
an overlay that has it among its layers goes on showing it wherever it is moved to. Its
users pass no name in the cache, so no tripwire tells of them. A mount of a whole
bucket of environments shows no archives, and so nothing behind a tripwire there.

That the cache itself, or the bucket of archives, is mounted elsewhere says nothing of
a single entry. Where a mount lies is never asked, but what it is: a device and a
folder of its filesystem. A table can be read without opening anything mounted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import NamedEntry
from cacheadmin.evidence.owners import owner_of_process
from cacheadmin.evidence.proc_files import in_other_mounts
from cacheadmin.evidence.targets import entry_at
from cacheadmin.fs.mounted_places import MountedPlace, UnknownPlaceError, layers_of, place_of
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.readers import Question
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.fs.mounts import Mount

# Buckets whose entries are folders that programs run from.
_SHOWN = frozenset({"archive", "environments", "builds"})
_ENVIRONMENTS = "environments"


@frozen
class MountTable:
    """The mounts of one namespace."""

    process: str
    """Id of one of its processes, or ``self``."""
    cache: str
    """The cache's resolved absolute path here."""


def mount_tables(cache: str) -> Iterator[MountTable]:
    """Yield the table of each mount namespace, this one's first."""
    yield MountTable("self", cache)
    for pid in in_other_mounts():
        yield MountTable(str(pid), cache)


def read_mounted_entries(table: MountTable) -> tuple[NamedEntry, ...]:
    """Return the entries that mounts of a table show, each with the table that names it."""
    try:
        theirs = read_mounts(table.process)
    except (OSError, ValueError, IndexError):
        # Its last process has ended.
        return ()
    ours = read_mounts()
    try:
        cache = place_of(table.cache, ours)
    except (UnknownPlaceError, OSError):
        return ()
    owner = 0 if table.process == "self" else owner_of_process(int(table.process))
    file = f"/proc/{table.process}/mountinfo"
    entries = {
        entry
        for mount in theirs
        for shown in _shown(mount, ours)
        for entry in _entries_in(shown, cache, table.cache)
    }
    return tuple(NamedEntry(entry, file, owner) for entry in sorted(entries))


def _shown(mount: Mount, ours: tuple[Mount, ...]) -> Iterator[MountedPlace]:
    yield MountedPlace(mount.device, mount.root)
    if mount.kind != "overlay":
        return
    try:
        for layer in layers_of(mount):
            yield place_of(layer, ours)
    except (UnknownPlaceError, OSError):
        # A layer that has no name here any more, or none that means something to us.
        return


def _entries_in(shown: MountedPlace, cache: MountedPlace, path: str) -> Iterator[str]:
    """Yield the entries that a mounted folder is, or lies in."""
    above = f"{cache.path.rstrip('/')}/"
    if shown.device != cache.device or not shown.path.startswith(above):
        return
    way = shown.path.removeprefix(above)
    bucket, _, rest = way.partition("/")
    parsed = parse_bucket_name(bucket)
    if parsed is None or parsed[0] not in _SHOWN:
        return
    if rest:
        entry = entry_at(way)
        if entry is not None:
            yield entry
    elif parsed[0] == _ENVIRONMENTS:
        try:
            yield from (f"{bucket}/{name}" for name in os.listdir(f"{path}/{bucket}"))
        except OSError:
            return


def _owner_of(table: MountTable) -> int | None:
    return None if table.process == "self" else owner_of_process(int(table.process))


MOUNTED_ENTRIES: Question[MountTable, tuple[NamedEntry, ...]] = Question(
    read_mounted_entries, tuple[NamedEntry, ...], blame=_owner_of
)
