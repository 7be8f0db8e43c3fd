"""What a reader says, beside the facts themselves, of what can be remembered (``cache_memory``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.values import frozen

_SECOND_NS = 1_000_000_000


@frozen
class ArchiveSeen:
    """An archive that was read whole."""

    id: ArchiveId
    """Its id."""
    changed_ns: int
    """The change time of its folder, before it was listed."""


@frozen
class FolderSeen:
    """A folder of wheel pointers in which all was understood."""

    path: str
    """Its path, relative to the cache."""
    stamp: bytes
    """What ``lstat`` said of it and of the links and files in it, before they were read."""
    changed_ns: int
    """The newest of their change times; one of whole seconds, if there is such a one."""
    folders: tuple[str, ...]
    """Names of the folders in it."""
    others: tuple[str, ...]
    """Names of files in it that belong to no pointer."""
    writes: Mapping[int, int]
    """The newest modification time of each account's links and files in it."""


def newest_change_ns(statuses: Iterable[os.stat_result]) -> int:
    """Return the newest change time, or one of whole seconds: neither may be trusted."""
    times = [status.st_ctime_ns for status in statuses]
    return next((one for one in times if one % _SECOND_NS == 0), max(times))
