"""Read the interpreter buckets of every version: which environments uv has asked.

Users can write these records. A reader opens and parses them; what it could
not read may name environments that nothing else names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.fs.walk import files_below
from cacheadmin.inventory.contents import OVER_TIME
from cacheadmin.inventory.entries import UnreadEntry
from cacheadmin.inventory.root import METADATA_DEPTH, EntryTask, list_root, readers_for
from cacheadmin.readers import Question, Readers, note_owner
from cacheadmin.uv.interpreters import MAX_BYTES, environment_prefix
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    import os

    from cacheadmin.inventory.cache_folder import OpenCache

# Records that a reader hands over at a time.
_RECORDS_A_PART = 64

_SECONDS_A_PART = 0.2

# Each entry is read. No host has so many interpreters: more are there to hide some.
_MAX_INTERPRETER_ENTRIES = 100_000


@frozen
class InterpreterRecord:
    """One interpreter record of uv: it names an environment."""

    prefix: str
    """The environment's absolute path, as uv saw it."""
    path: str
    """The record's own path in the cache."""
    written_ns: int
    """When it was written: at uv's first question to this interpreter."""


@frozen
class InterpreterEntries:
    """Environments named in the cache."""

    prefixes: tuple[tuple[str, str, int], ...]
    """(environment, path of its newest record in the cache, that record's time in ns) of each."""
    damaged: tuple[UnreadEntry, ...]
    """Records that were read and name no environment that could be understood."""
    unseen: tuple[UnreadEntry, ...] = ()
    """What may name environments and could not be looked at."""
    records: tuple[InterpreterRecord, ...] = ()
    """Every record that names an environment, older ones too."""


def interpreter_prefixes(cache: OpenCache, readers: Readers | None = None) -> InterpreterEntries:
    """Return the environments named in the interpreter buckets of every version.

    An entry speaks of a place where an environment *was* when uv asked; its
    time is that of the first question (facts section 6).
    """
    tasks = [
        EntryTask(cache.fd, name)
        for name in list_root(cache)
        if (parsed := parse_bucket_name(name)) is not None and parsed[0] == "interpreter"
    ]
    prefixes: dict[str, tuple[str, str, int]] = {}
    found = InterpreterBucket()
    with readers_for(cache, readers) as pool:
        for reply in pool.replies(INTERPRETERS, tasks):
            for part in reply.parts:
                found.records += part.records
                found.damaged += part.damaged
                found.unseen += part.unseen
            if reply.failed is not None:
                failed = reply.failed
                found.unseen.append(UnreadEntry(reply.item.name, failed.reason, failed.uid))
    for one in found.records:
        known = prefixes.get(one.prefix)
        if known is None or known[2] < one.written_ns:
            prefixes[one.prefix] = (one.prefix, one.path, one.written_ns)
    return InterpreterEntries(
        tuple(prefixes.values()), tuple(found.damaged), tuple(found.unseen), tuple(found.records)
    )


@dataclass(slots=True)
class InterpreterBucket:
    """What a reader found in an interpreter bucket, or in a part of it."""

    records: list[InterpreterRecord] = field(default_factory=list)
    """Records that name an environment."""
    damaged: list[UnreadEntry] = field(default_factory=list)
    """Records that name nothing that could be understood."""
    unseen: list[UnreadEntry] = field(default_factory=list)
    """What may be records and could not be looked at."""


def read_interpreters(task: EntryTask) -> Iterator[InterpreterBucket]:
    """Yield what one interpreter bucket names, in parts. Runs in a reader."""
    parsed = parse_bucket_name(task.name)
    failures: list[ReadFailure] = []
    files = files_below(
        task.cache_fd, task.name, task.name, depth=METADATA_DEPTH, failures=failures
    )
    entries = (found for found in files if found[2].endswith(".msgpack"))
    shared: set[int] = set()
    part, since = InterpreterBucket(), time.monotonic()
    spent: set[int] = set()
    for path, folder_fd, file_name, status in islice(entries, _MAX_INTERPRETER_ENTRIES):
        may_go_on = note_owner(status.st_uid)
        # One file under a thousand names says the same a thousand times.
        if status.st_nlink > 1 and status.st_ino in shared:
            continue
        shared.add(status.st_ino)
        if may_go_on:
            _read_interpreter(part, path, folder_fd, file_name, status, parsed[1] if parsed else 0)
        elif status.st_uid not in spent:
            spent.add(status.st_uid)
            part.unseen.append(UnreadEntry(path, OVER_TIME, status.st_uid))
        if len(part.records) >= _RECORDS_A_PART or time.monotonic() - since > _SECONDS_A_PART:
            yield part
            part, since = InterpreterBucket(), time.monotonic()
    if next(entries, None) is not None:
        reason = f"more than {_MAX_INTERPRETER_ENTRIES} entries: the rest was not read"
        failures.append(ReadFailure(task.name, reason))
    part.unseen += [UnreadEntry(problem.path, problem.reason) for problem in failures]
    yield part


def _read_interpreter(
    part: InterpreterBucket,
    path: str,
    folder_fd: int,
    name: str,
    status: os.stat_result,
    version: int,
) -> None:
    content = read_file(name, MAX_BYTES, folder_fd)
    if isinstance(content, ReadFailure):
        problem = UnreadEntry(path, content.reason, status.st_uid)
        if content.blocked:
            part.unseen.append(problem)
        elif not content.missing:
            part.damaged.append(problem)
        return
    prefix = environment_prefix(content, version)
    if prefix is None:
        reason = "not an interpreter entry of a known shape"
        part.damaged.append(UnreadEntry(path, reason, status.st_uid))
        return
    part.records.append(InterpreterRecord(prefix, path, status.st_mtime_ns))


INTERPRETERS: Question[EntryTask, InterpreterBucket] = Question(
    read_interpreters, InterpreterBucket, in_parts=True
)
