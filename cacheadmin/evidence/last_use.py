"""Records of last use: in the state, and on the entries' folders so that they travel.

Of archives, of source revisions, and of git databases and checkouts.

Both are kept, and the shorter idleness counts: a user who may write to an archive
can change its attribute, and who loses the state must not lose patience with
it. Where one of the two is missing, the archive was never observed. Only a
filesystem without user attributes leaves the state alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.idleness import HostTime, UseRecord, dumps, loads, observed
from cacheadmin.fs.attributes import attribute, set_attribute
from cacheadmin.fs.small_files import open_directory_beneath
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.policy.model import Policy

# Folders that a reader looks at for one answer.
_TOGETHER = 128

_ATTRIBUTE = "user.cacheadmin.use"


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
    readers: Readers,
    *,
    attributes: bool,
) -> dict[str, int]:
    """Return for how long (ns) each entry was seen unused until now, if it is unused now.

    ``stored`` are the state's records by name (``observed_entries``); ``attributes``
    says whether the filesystem keeps user attributes. What was never observed is
    left out.
    """
    times: dict[str, int] = {}
    entries = tuple(observed_entries(inventory))
    noted = _read_all(cache, entries, readers) if attributes else {}
    for name, path in entries:
        records = [loads(stored.get(name, ""))]
        if attributes:
            records.append(noted[path])
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
    readers: Readers,
    *,
    attributes: bool,
) -> tuple[dict[str, str], int]:
    """Write what this look saw to the attributes; return the records for the state too.

    ``used`` are names as in ``observed_entries``. Also returned: how many attributes
    could not be written (another user's folder, a full disk). Such an entry counts
    as never observed.
    """
    rows: dict[str, str] = {}
    failures = 0
    entries = tuple(observed_entries(inventory))
    attribute = _read_all(cache, entries, readers) if attributes else {}
    for name, path in entries:
        is_used = name in used
        before = loads(stored.get(name, ""))
        rows[name] = dumps(observed(before, now, used=is_used))
        if attributes:
            noted = attribute[path]
            if not (is_used and noted == UseRecord()):
                after = dumps(observed(noted, now, used=is_used))
                failures += not _write(cache.fd, path, after)
    return rows, failures


@frozen
class AttributesTask:
    """Folders of an open cache whose attributes are to be read."""

    cache_fd: int
    """The open cache."""
    paths: tuple[str, ...]
    """The folders."""


def _read_all(
    cache: OpenCache, entries: Sequence[tuple[str, str]], readers: Readers
) -> dict[str, UseRecord | None]:
    """Return the record in each folder's attribute; what can't be read was never observed."""
    paths = [path for _, path in entries]
    tasks = [
        AttributesTask(cache.fd, tuple(paths[first : first + _TOGETHER]))
        for first in range(0, len(paths), _TOGETHER)
    ]
    found: dict[str, UseRecord | None] = dict.fromkeys(paths)
    answers = readers.ask_all(ATTRIBUTES, tasks)
    for task, answer in zip(tasks, answers, strict=True):
        if not isinstance(answer, Unreadable):
            found.update(zip(task.paths, answer, strict=False))
    return found


def _read_attributes(task: AttributesTask) -> tuple[UseRecord | None, ...]:
    """Return what folders' attributes say. Runs in a reader."""
    return tuple(_read(task.cache_fd, path) for path in task.paths)


ATTRIBUTES: Question[AttributesTask, tuple[UseRecord | None, ...]] = Question(
    _read_attributes, tuple[UseRecord | None, ...]
)


def _read(cache_fd: int, path: str) -> UseRecord | None:
    try:
        fd = open_directory_beneath(cache_fd, path)
    except OSError:
        return None
    try:
        content = attribute(fd, _ATTRIBUTE)
    except PermissionError:
        return None
    finally:
        os.close(fd)
    return None if content is None else loads(content.decode("utf-8", "replace"))


def _write(cache_fd: int, path: str, text: str) -> bool:
    try:
        fd = open_directory_beneath(cache_fd, path)
    except OSError:
        return False
    try:
        set_attribute(fd, _ATTRIBUTE, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def observes_use(policy: Policy) -> bool:
    """Whether the policy asks for how long entries were not used."""
    return policy.prune.unused.after is not None or policy.prune.budget.is_set
