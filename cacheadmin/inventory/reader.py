"""Turn a cache folder into an :class:`Inventory`: facts only, no judgement.

One pass over the root decides what each name is; buckets that lead to
archives are read by ``pointer_folders``, archives by ``archives``, and of the
buckets that hold only metadata no more than who wrote there last.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cacheadmin.fs.precise_times import LookTime
from cacheadmin.fs.small_files import ReadFailure, failure, open_directory
from cacheadmin.fs.walk import files_below
from cacheadmin.inventory.archives import archives_in, read_archives, read_on_trial
from cacheadmin.inventory.builds import read_build
from cacheadmin.inventory.cache_folder import OpenCache, open_cache
from cacheadmin.inventory.contents import OVER_TIME, EntriesByKind, in_parts
from cacheadmin.inventory.entries import (
    Archive,
    Bucket,
    CachedEnvironment,
    Inventory,
    LooseFile,
    OnTrial,
    Stray,
    UnreadEntry,
    Write,
)
from cacheadmin.inventory.git_sources import read_git_sources
from cacheadmin.inventory.interpreter_records import (
    INTERPRETERS,
    InterpreterEntries,
    interpreter_prefixes,
)
from cacheadmin.inventory.pointer_folders import FoldersTask, folders_of_bucket, pointer_folders
from cacheadmin.inventory.root import AT_ONCE, METADATA_DEPTH, EntryTask, list_root, readers_for
from cacheadmin.inventory.seen import ArchiveSeen
from cacheadmin.readers import Question, Readers, Reply, note_owner
from cacheadmin.readers import Unreadable as Failed
from cacheadmin.uv.layout import (
    CONTENT_KINDS,
    GIT_KINDS,
    POINTER_KINDS,
    ROOT_NAMES,
    ROOTS_FOLDER,
    ROOTS_KINDS,
    is_stored_file,
    is_temporary,
    parse_bucket_name,
)
from cacheadmin.uv.releases import is_known_bucket

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_memory import CacheMemory

__all__ = [
    "InterpreterEntries",
    "OpenCache",
    "interpreter_prefixes",
    "open_cache",
    "questions",
    "read_inventory",
    "read_inventory_again",
]

# What lies in these tells who uses an archive.
_TELLING_KINDS = POINTER_KINDS | {"builds", "archive"}

# So many parts of buckets are asked for at once: then it is seen whose take too much time.
_WAVE = 64


def read_inventory(cache: OpenCache, readers: Readers | None = None) -> Inventory:
    """Return everything in an open cache, as ``readers`` (that keep its descriptor) see it.

    Raises NotPermitted when the root itself cannot be listed; anything below
    that cannot be read becomes an ``UnreadEntry``.
    """
    read_at_ns = time.time_ns()
    return _inventory(cache, read_at_ns, _read(cache, readers, ENTRY))


def read_inventory_again(
    cache: OpenCache, readers: Readers, memory: CacheMemory
) -> tuple[Inventory, Any]:
    """Return what `read_inventory` does, taking from a memory what is as it was.

    And what to remember from now on, as plain data; None: what is remembered already.
    Raises DamagedMemoryError.
    """
    begun = LookTime.now()
    question: Question[EntryTask, EntriesByKind] = Question(
        _Remembering(memory).read_entry, EntriesByKind, in_parts=True, whose=_owner_of_entry
    )
    contents = _read(cache, readers, question)
    # Before what is the same is put to it: that has no need to be written down.
    kept = None if begun.was_set() else memory.written(contents, begun)
    memory.recall(contents)
    return _inventory(cache, begun.wall_ns, contents), kept


def _read(
    cache: OpenCache, readers: Readers | None, question: Question[EntryTask, EntriesByKind]
) -> EntriesByKind:
    names = sorted(name for name in list_root(cache) if name not in ROOT_NAMES)
    contents = EntriesByKind()
    with readers_for(cache, readers) as pool:
        tasks = [EntryTask(cache.fd, name) for name in names]
        unread = _add_read(contents, pool.replies(question, tasks))
        parts = deque(_parts_left(cache, contents.left))
        while parts:
            spent = _spent(contents)
            tasks = [replace(parts.popleft(), spent=spent) for _ in range(min(_WAVE, len(parts)))]
            unread |= _add_read(contents, pool.replies(question, tasks))
            # All of such a bucket is kept, whatever else it holds.
            parts = deque(task for task in parts if task.name not in unread)
    return contents


def _add_read(
    contents: EntriesByKind, replies: Iterable[Reply[EntryTask, EntriesByKind]]
) -> set[str]:
    """Put together what readers answered; return the names of what no reader read to its end."""
    unread = set()
    for reply in replies:
        for part in reply.parts:
            contents.add(part)
        if reply.failed is not None:
            _add_unread(contents, reply.item.name, reply.failed)
            unread.add(reply.item.name)
    return unread


def _parts_left(cache: OpenCache, left: Iterable[str]) -> Iterator[EntryTask]:
    """Yield what readers left to others, in parts of a bucket."""
    buckets: dict[str, list[str]] = {}
    for path in left:
        buckets.setdefault(path.partition("/")[0], []).append(path)
    for bucket, paths in buckets.items():
        for first in range(0, len(paths), AT_ONCE):
            yield EntryTask(cache.fd, bucket, tuple(paths[first : first + AT_ONCE]))


def _spent(contents: EntriesByKind) -> frozenset[int]:
    """Return the accounts whose pointers took too much time: none of theirs is read any more."""
    return frozenset(
        one.uid for one in contents.unreadable if one.uid is not None and one.reason == OVER_TIME
    )


def _add_unread(contents: EntriesByKind, name: str, failed: Failed) -> None:
    """Note what no reader could read to its end: a bucket is there, whatever it holds."""
    contents.unreadable.append(UnreadEntry(name, failed.reason, failed.uid))
    parsed = parse_bucket_name(name)
    if parsed is None:
        what = "something that could not be looked at"
        contents.strays.append(Stray(name, what, False, failed.uid or 0, time.time_ns()))
    elif all(bucket[0] != name for bucket in contents.buckets):
        contents.buckets.append((name, *parsed))


def read_entry(task: EntryTask, memory: CacheMemory | None = None) -> Iterator[EntriesByKind]:
    """Yield what a name in the root is, and holds, in parts. Runs in a reader."""
    reading = _EntryReader(task.cache_fd, memory)
    steps = reading.read_part(task) if task.part else reading.read(task.name)
    return in_parts(reading.found, steps)


class _Remembering:
    """Reads as `read_entry` does, in a reader that was forked with a memory."""

    def __init__(self, memory: CacheMemory) -> None:
        self._memory = memory

    def read_entry(self, task: EntryTask) -> Iterator[EntriesByKind]:
        return read_entry(task, self._memory)


def _owner_of_entry(task: EntryTask) -> int | None:
    return os.stat(task.name, dir_fd=task.cache_fd, follow_symlinks=False).st_uid


ENTRY: Question[EntryTask, EntriesByKind] = Question(
    read_entry, EntriesByKind, in_parts=True, whose=_owner_of_entry
)


class _EntryReader:
    """Reads one name of the root, in a reader."""

    def __init__(self, cache_fd: int, memory: CacheMemory | None) -> None:
        self.cache_fd = cache_fd
        self.memory = memory
        self.found = EntriesByKind()

    def read(self, name: str) -> Iterator[None]:
        """Read it; yields after each step."""
        try:
            status = os.stat(name, dir_fd=self.cache_fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        yield from self._read_root_entry(name, status)

    def read_part(self, task: EntryTask) -> Iterator[None]:
        """Read what another reader left of a bucket; yields after each step. Raises OSError."""
        parsed = parse_bucket_name(task.name)
        if parsed is not None and parsed[0] == "archive":
            fd = open_directory(task.name, self.cache_fd)
            try:
                folders = [path.removeprefix(f"{task.name}/") for path in task.part]
                yield from self._archives(read_archives(fd, task.name, folders, (), self.memory))
            finally:
                os.close(fd)
            return
        inside = FoldersTask(self.cache_fd, task.part, spent=task.spent, share=1 / _WAVE)
        yield from folders_of_bucket(inside, self.found, self.memory)

    def _read_root_entry(self, name: str, status: os.stat_result) -> Iterator[None]:
        parsed = parse_bucket_name(name)
        if is_temporary(name):
            self._build(self.cache_fd, name, name)
        elif parsed is None:
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a file"
            self._stray(name, f"{what} of a name unknown to uv", status)
        elif not stat.S_ISDIR(status.st_mode):
            link = stat.S_ISLNK(status.st_mode)
            what = f"a {'link' if link else 'file'} where a bucket should be"
            self._stray(name, what, status)
            if link and parsed[0] in _TELLING_KINDS:
                reason = f"{what}: uv follows it, it was not read"
                self.found.unreadable.append(UnreadEntry(name, reason, status.st_uid))
        elif parsed[0] in ROOTS_KINDS and self._is_ours_alone(name):
            self.found.watched[name] = status.st_mtime_ns
        else:
            self.found.buckets.append((name, *parsed))
            # At once, lest it be unknown that it is there when reading it ends here.
            yield from self._read_bucket(name, parsed[0])

    def _is_ours_alone(self, bucket: str) -> bool:
        """Whether a bucket holds nothing but planted roots.

        Protection makes such buckets for releases that no user has here. Every
        uv leaves more in its bucket than that; so to a caller that asks which
        releases are used, or what could go, there is no such bucket.
        """
        try:
            fd = open_directory(bucket, self.cache_fd)
        except OSError:
            return False
        try:
            return os.listdir(fd) == [ROOTS_FOLDER] and stat.S_ISDIR(
                os.stat(ROOTS_FOLDER, dir_fd=fd, follow_symlinks=False).st_mode
            )
        except OSError:
            return False
        finally:
            os.close(fd)

    def _read_bucket(self, name: str, kind: str) -> Iterator[None]:
        if kind in POINTER_KINDS:
            task = FoldersTask(self.cache_fd, (name,), at_once=AT_ONCE)
            yield from pointer_folders(task, self.found, self.memory)
            return
        try:
            fd = open_directory(name, self.cache_fd)
        except OSError as error:
            self._unreadable(name, error)
            return
        try:
            if kind == "archive":
                yield from self._read_archives(fd, name)
            elif kind == "builds":
                yield from self._read_builds(fd, name)
            elif kind in CONTENT_KINDS:
                each = partial(self._read_content, name)
                yield from self._read_writes(name, watch=False, each=each)
            else:
                yield from self._read_writes(name, watch=kind == "interpreter")
                if kind in GIT_KINDS:
                    self.found.git_sources += read_git_sources(fd, name)
        except OSError as error:
            self._unreadable(name, error)
        finally:
            os.close(fd)

    def _read_archives(self, fd: int, bucket: str) -> Iterator[None]:
        yield from self._archives(read_on_trial(fd, bucket))
        folders, others = archives_in(fd, bucket)
        now, later = folders[:AT_ONCE], folders[AT_ONCE:]
        # In steps: a million of long names would be no answer, but too much for one.
        for first in range(0, len(later), AT_ONCE):
            self.found.left += [f"{bucket}/{name}" for name in later[first : first + AT_ONCE]]
            yield
        yield from self._archives(read_archives(fd, bucket, now, others, self.memory))

    def _archives(
        self, read: Iterable[Archive | OnTrial | Stray | UnreadEntry | ArchiveSeen | int]
    ) -> Iterator[None]:
        for one in read:
            if isinstance(one, int):
                self.found.same_archives.append(one)
            elif isinstance(one, Archive):
                self.found.archives.append(one)
            elif isinstance(one, ArchiveSeen):
                self.found.archives_seen.append(one)
            elif isinstance(one, OnTrial):
                self.found.on_trial.append(one)
            elif isinstance(one, Stray):
                self.found.strays.append(one)
            else:
                self.found.unreadable.append(one)
            yield

    def _read_builds(self, fd: int, bucket: str) -> Iterator[None]:
        for name in os.listdir(fd):
            path = f"{bucket}/{name}"
            if is_temporary(name):
                self._build(fd, name, path)
            else:
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._stray(path, "a name that no build has", status)
            yield

    def _read_content(self, bucket: str, path: str, status: os.stat_result) -> None:
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        parts = path.removeprefix(f"{bucket}/").split("/")
        content = len(parts) == 2 and stat.S_ISREG(status.st_mode) and is_stored_file(*parts)
        if not content:
            self._stray(path, "a name that no stored file has", status)
        elif status.st_nlink == 1:
            self.found.loose_files.append(LooseFile(path, status.st_uid, changed))

    def _read_writes(
        self,
        bucket: str,
        *,
        watch: bool,
        each: Callable[[str, os.stat_result], None] | None = None,
    ) -> Iterator[None]:
        folders: dict[str, int] = {}
        failures: list[ReadFailure] = []
        # Every file, however many: a flood of one user's must not hide another's write.
        for path, _, _, status in files_below(
            self.cache_fd,
            bucket,
            bucket,
            depth=METADATA_DEPTH,
            failures=failures,
            folders=folders if watch else None,
            leave_out=ROOTS_FOLDER,
        ):
            note_owner(status.st_uid)
            self.found.wrote(bucket, status)
            if each is not None:
                each(path, status)
            yield
        self.found.watched.update(folders)
        self.found.unreadable += [UnreadEntry(one.path, one.reason) for one in failures]

    def _unreadable(self, name: str, error: OSError) -> None:
        self.found.unreadable.append(UnreadEntry(name, failure(name, error).reason))

    def _build(self, folder_fd: int, name: str, path: str) -> None:
        build = read_build(folder_fd, name, path)
        if build is not None:
            self.found.builds.append(build)

    def _stray(self, path: str, what: str, status: os.stat_result) -> None:
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        self.found.strays.append(Stray(path, what, False, status.st_uid, changed))


def _inventory(cache: OpenCache, read_at_ns: int, found: EntriesByKind) -> Inventory:
    archives = {archive.id: archive for archive in found.archives}

    def changed(environment: CachedEnvironment) -> int:
        archive = archives.get(environment.archive) if environment.archive is not None else None
        known_ns = environment.changed_ns
        return known_ns if archive is None else max(known_ns, archive.mtime_ns)

    return Inventory(
        cache=cache.identity,
        read_at_ns=read_at_ns,
        buckets=tuple(
            _bucket(*bucket, found.writes.get(bucket[0], {})) for bucket in found.buckets
        ),
        archives=archives,
        wheel_pointers=tuple(found.wheel_pointers),
        revisions=tuple(found.revisions),
        environments=tuple(replace(one, changed_ns=changed(one)) for one in found.environments),
        builds=tuple(found.builds),
        strays=tuple(found.strays),
        loose_files=tuple(found.loose_files),
        git_sources=tuple(found.git_sources),
        unreadable=tuple(found.unreadable),
        watched=found.watched,
        on_trial={one.entry: one for one in found.on_trial},
    )


def _bucket(name: str, kind: str, version: int, newest: Mapping[int, int]) -> Bucket:
    writes = sorted(newest.items(), key=lambda item: (-item[1], item[0]))
    return Bucket(
        name,
        kind,
        version,
        is_known_bucket(name),
        tuple(Write(uid, written_ns) for uid, written_ns in writes),
    )


def questions() -> tuple[Question[Any, Any], ...]:
    """Return what readers are asked about a cache's own folders."""
    return ENTRY, INTERPRETERS
