"""Records of last use: in the state, and on the entries' folders so that they travel.

Of archives, of source revisions, and of git databases and checkouts.

Both are kept, and the shorter idleness counts: whoever may write to an archive
can change its attribute, and who loses the state must not lose patience with
it. Where one of the two is missing, the archive was never observed. Only a
filesystem without user attributes leaves the state alone.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.idleness import HostTime, UseRecord, dumps, loads, observed
from cacheadmin.fs.reading import open_directory_beneath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.opening import OpenCache

_ATTRIBUTE = b"user.cacheadmin.use"


def observed_entries(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Yield what is observed: (name in records, path). Archives go by id, the rest by path."""
    for archive in inventory.archives.values():
        yield archive.id, archive.path
    sources = (one.path for one in inventory.git_sources)
    for path in (*(one.path for one in inventory.revisions), *sources):
        # No uv writes other paths, and the state keeps no other text.
        if path.isascii():
            yield path, path


def idle_times(
    cache: OpenCache,
    inventory: Inventory,
    stored: Mapping[str, str],
    now: HostTime,
    *,
    attributes: bool,
) -> dict[str, int]:
    """Return for how long (ns) each entry was seen unused until now, if it is unused now.

    ``stored`` are the state's records by name (``observed_entries``); ``attributes``
    says whether the filesystem keeps user attributes. What was never observed is
    left out.
    """
    times: dict[str, int] = {}
    for name, path in observed_entries(inventory):
        records = [loads(stored.get(name, ""))]
        if attributes:
            records.append(_read(cache.fd, path))
        known = [record for record in records if record is not None]
        if len(known) == len(records):
            times[name] = min(observed(r, now, used=False).idle_ns for r in known)
    return times


def record_uses(
    cache: OpenCache,
    inventory: Inventory,
    stored: Mapping[str, str],
    used: Collection[str],
    now: HostTime,
    *,
    attributes: bool,
) -> tuple[dict[str, str], int]:
    """Write what this look saw to the attributes; return the records for the state too.

    ``used`` are names as in ``observed_entries``. Also returned: how many attributes
    could not be written (somebody else's folder, a full disk). Such an entry counts
    as never observed.
    """
    rows: dict[str, str] = {}
    failures = 0
    for name, path in observed_entries(inventory):
        is_used = name in used
        before = loads(stored.get(name, ""))
        rows[name] = dumps(observed(before, now, used=is_used))
        if attributes:
            noted = _read(cache.fd, path)
            if not (is_used and noted == UseRecord()):
                after = dumps(observed(noted, now, used=is_used))
                failures += not _write(cache.fd, path, after)
    return rows, failures


def _read(cache_fd: int, path: str) -> UseRecord | None:
    import xattr  # type: ignore[import-not-found]

    try:
        fd = open_directory_beneath(cache_fd, path)
    except OSError:
        return None
    try:
        return loads(xattr.get(fd, _ATTRIBUTE).decode("utf-8", "replace"))
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EACCES, errno.EPERM):
            return None
        raise
    finally:
        os.close(fd)


def _write(cache_fd: int, path: str, text: str) -> bool:
    import xattr

    try:
        fd = open_directory_beneath(cache_fd, path)
    except OSError:
        return False
    try:
        xattr.set(fd, _ATTRIBUTE, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
