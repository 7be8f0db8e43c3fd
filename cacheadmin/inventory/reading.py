"""Turn a cache folder into an :class:`Inventory`: facts only, no judgement.

One pass over the root decides what each name is; buckets that lead to
archives are read by ``pointer_folders``, archives by ``archives``, and of the
buckets that hold only metadata no more than who wrote there last.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice

from cacheadmin.errors import NotPermitted
from cacheadmin.fs.reading import ReadFailure, failure, open_directory, read_file
from cacheadmin.fs.walking import files_below
from cacheadmin.inventory.archives import read_archives
from cacheadmin.inventory.builds import read_build
from cacheadmin.inventory.entries import (
    Archive,
    ArchiveId,
    Bucket,
    Build,
    GitSource,
    Inventory,
    LooseFile,
    OnTrial,
    Stray,
    Unreadable,
    Write,
)
from cacheadmin.inventory.git_sources import read_git_sources
from cacheadmin.inventory.opening import OpenCache, open_cache
from cacheadmin.inventory.pointer_folders import PointerFolders, read_pointer_folders
from cacheadmin.uv.interpreters import MAX_BYTES, environment_prefix
from cacheadmin.uv.layout import (
    CONTENT_KINDS,
    GIT_KINDS,
    ROOT_NAMES,
    ROOTS_FOLDER,
    ROOTS_KINDS,
    SOURCE_KINDS,
    WHEEL_KINDS,
    is_stored_file,
    is_temporary,
    parse_bucket_name,
)
from cacheadmin.uv.releases import is_known_bucket
from cacheadmin.values import frozen

__all__ = [
    "InterpreterEntries",
    "OpenCache",
    "interpreter_prefixes",
    "open_cache",
    "read_inventory",
    "read_pointer_folders",
]

_POINTER_KINDS = WHEEL_KINDS | SOURCE_KINDS | {"environments"}

# What lies in these tells who uses an archive.
_TELLING_KINDS = _POINTER_KINDS | {"builds", "archive"}

# Metadata lies this many folders below its bucket.
_METADATA_DEPTH = 3

# Each entry is read. No host has so many interpreters: more are there to hide some.
_MAX_INTERPRETER_ENTRIES = 100_000


def read_inventory(cache: OpenCache) -> Inventory:
    """Return everything in an open cache.

    Raises NotPermitted when the root itself cannot be listed; anything below
    that cannot be read becomes an ``Unreadable``.
    """
    reading = _Reading(cache)
    reading.read_root()
    return reading.inventory()


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
    """Environments named in the cache.

    ``prefixes`` has the newest record of each environment: (prefix, entry's
    path, its time in ns); ``records`` all of them. ``damaged`` entries name
    nothing that could be understood. ``unseen`` is what may well name
    environments but could not be looked at.
    """

    prefixes: tuple[tuple[str, str, int], ...]
    damaged: tuple[Unreadable, ...]
    unseen: tuple[Unreadable, ...] = ()
    records: tuple[InterpreterRecord, ...] = ()


def interpreter_prefixes(cache: OpenCache) -> InterpreterEntries:
    """Return the environments named in the interpreter buckets of every version.

    An entry speaks of a place where an environment *was* when uv asked; its
    time is that of the first question (facts section 6).
    """
    prefixes: dict[str, tuple[str, str, int]] = {}
    records: list[InterpreterRecord] = []
    damaged: list[Unreadable] = []
    failures: list[ReadFailure] = []
    for name in _list_root(cache):
        parsed = parse_bucket_name(name)
        if parsed is None or parsed[0] != "interpreter":
            continue
        files = files_below(cache.fd, name, name, depth=_METADATA_DEPTH, failures=failures)
        entries = (found for found in files if found[2].endswith(".msgpack"))
        shared: set[int] = set()
        for path, folder_fd, file_name, status in islice(entries, _MAX_INTERPRETER_ENTRIES):
            # One file under a thousand names says the same a thousand times.
            if status.st_nlink > 1 and status.st_ino in shared:
                continue
            shared.add(status.st_ino)
            content = read_file(file_name, MAX_BYTES, folder_fd)
            if isinstance(content, ReadFailure):
                if content.blocked:
                    failures.append(ReadFailure(path, content.reason))
                elif not content.missing:
                    damaged.append(Unreadable(path, content.reason))
                continue
            prefix = environment_prefix(content, parsed[1])
            if prefix is None:
                damaged.append(Unreadable(path, "not an interpreter entry of a known shape"))
                continue
            records.append(InterpreterRecord(prefix, path, status.st_mtime_ns))
            known = prefixes.get(prefix)
            if known is None or known[2] < status.st_mtime_ns:
                prefixes[prefix] = (prefix, path, status.st_mtime_ns)
        if next(entries, None) is not None:
            reason = f"more than {_MAX_INTERPRETER_ENTRIES} entries: the rest was not read"
            failures.append(ReadFailure(name, reason))
    unseen = tuple(Unreadable(problem.path, problem.reason) for problem in failures)
    return InterpreterEntries(tuple(prefixes.values()), tuple(damaged), unseen, tuple(records))


class _Reading:
    def __init__(self, cache: OpenCache) -> None:
        self.cache = cache
        self.read_at_ns = time.time_ns()
        self.buckets: list[tuple[str, str, int]] = []
        self.archives: dict[ArchiveId, Archive] = {}
        self.on_trial: dict[str, OnTrial] = {}
        self.builds: list[Build] = []
        self.strays: list[Stray] = []
        self.loose_files: list[LooseFile] = []
        self.git_sources: list[GitSource] = []
        self.unreadable: list[Unreadable] = []
        self.writes: dict[str, dict[int, int]] = {}
        self.watched: dict[str, int] = {}
        self.pointers = PointerFolders()

    def read_root(self) -> None:
        for name in sorted(_list_root(self.cache)):
            if name in ROOT_NAMES:
                continue
            try:
                status = os.stat(name, dir_fd=self.cache.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            self._read_root_entry(name, status)
        folders = [name for name, kind, _ in self.buckets if kind in _POINTER_KINDS]
        self.pointers = read_pointer_folders(self.cache.fd, folders)

    def _read_root_entry(self, name: str, status: os.stat_result) -> None:
        parsed = parse_bucket_name(name)
        if is_temporary(name):
            self._build(self.cache.fd, name, name)
        elif parsed is None:
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a file"
            self._stray(name, f"{what} of a name unknown to uv", status)
        elif not stat.S_ISDIR(status.st_mode):
            link = stat.S_ISLNK(status.st_mode)
            what = f"a {'link' if link else 'file'} where a bucket should be"
            self._stray(name, what, status)
            if link and parsed[0] in _TELLING_KINDS:
                self.unreadable.append(Unreadable(name, f"{what}: uv follows it, it was not read"))
        elif parsed[0] in ROOTS_KINDS and self._is_ours_alone(name):
            self.watched[name] = status.st_mtime_ns
        else:
            self.buckets.append((name, *parsed))
            self._read_bucket(name, parsed[0])

    def _is_ours_alone(self, bucket: str) -> bool:
        """Whether a bucket holds nothing but planted roots.

        Protection makes such buckets for releases that nobody uses here. Every
        uv leaves more in its bucket than that; so to whoever asks which
        releases are used, or what could go, there is no such bucket.
        """
        try:
            fd = open_directory(bucket, self.cache.fd)
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

    def _read_bucket(self, name: str, kind: str) -> None:
        if kind in _POINTER_KINDS:
            return
        try:
            fd = open_directory(name, self.cache.fd)
        except OSError as error:
            self.unreadable.append(Unreadable(name, failure(name, error).reason))
            return
        try:
            if kind == "archive":
                self._read_archives(fd, name)
            elif kind == "builds":
                self._read_builds(fd, name)
            elif kind in CONTENT_KINDS:
                self._read_writes(name, watch=False, each=partial(self._read_content, name))
            else:
                self._read_writes(name, watch=kind == "interpreter")
                if kind in GIT_KINDS:
                    self.git_sources += read_git_sources(fd, name)
        except OSError as error:
            self.unreadable.append(Unreadable(name, failure(name, error).reason))
        finally:
            os.close(fd)

    def _read_archives(self, fd: int, bucket: str) -> None:
        for found in read_archives(fd, bucket):
            if isinstance(found, Archive):
                self.archives[found.id] = found
            elif isinstance(found, OnTrial):
                self.on_trial[found.entry] = found
            elif isinstance(found, Stray):
                self.strays.append(found)
            else:
                self.unreadable.append(found)

    def _read_builds(self, fd: int, bucket: str) -> None:
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

    def _read_content(self, bucket: str, path: str, status: os.stat_result) -> None:
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        parts = path.removeprefix(f"{bucket}/").split("/")
        content = len(parts) == 2 and stat.S_ISREG(status.st_mode) and is_stored_file(*parts)
        if not content:
            self._stray(path, "a name that no stored file has", status)
        elif status.st_nlink == 1:
            self.loose_files.append(LooseFile(path, status.st_uid, changed))

    def _read_writes(
        self,
        bucket: str,
        *,
        watch: bool,
        each: Callable[[str, os.stat_result], None] | None = None,
    ) -> None:
        newest = self.writes.setdefault(bucket, {})
        folders = self.watched if watch else {}
        failures: list[ReadFailure] = []
        # Every file, however many: a flood of one user's must not hide another's write.
        for path, _, _, status in files_below(
            self.cache.fd,
            bucket,
            bucket,
            depth=_METADATA_DEPTH,
            failures=failures,
            folders=folders,
            leave_out=ROOTS_FOLDER,
        ):
            newest[status.st_uid] = max(newest.get(status.st_uid, 0), status.st_mtime_ns)
            if each is not None:
                each(path, status)
        self.unreadable += [Unreadable(problem.path, problem.reason) for problem in failures]

    def _build(self, folder_fd: int, name: str, path: str) -> None:
        build = read_build(folder_fd, name, path)
        if build is not None:
            self.builds.append(build)

    def _stray(self, path: str, what: str, status: os.stat_result) -> None:
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        self.strays.append(Stray(path, what, False, status.st_uid, changed))

    def inventory(self) -> Inventory:
        for bucket, newest in self.pointers.writes.items():
            self.writes[bucket] = newest
        return Inventory(
            cache=self.cache.identity,
            read_at_ns=self.read_at_ns,
            buckets=tuple(self._bucket(*bucket) for bucket in self.buckets),
            archives=self.archives,
            wheel_pointers=tuple(self.pointers.wheel_pointers),
            revisions=tuple(self.pointers.revisions),
            environments=tuple(
                replace(
                    environment,
                    changed_ns=self._changed(environment.archive, environment.changed_ns),
                )
                for environment in self.pointers.environments
            ),
            builds=(*self.builds, *self.pointers.builds),
            strays=(*self.strays, *self.pointers.strays),
            loose_files=tuple(self.loose_files),
            git_sources=tuple(self.git_sources),
            unreadable=(*self.unreadable, *self.pointers.unreadable),
            watched={**self.watched, **self.pointers.watched},
            on_trial=self.on_trial,
        )

    def _changed(self, archive: ArchiveId | None, changed_ns: int) -> int:
        found = self.archives.get(archive) if archive is not None else None
        return changed_ns if found is None else max(changed_ns, found.mtime_ns)

    def _bucket(self, name: str, kind: str, version: int) -> Bucket:
        newest = self.writes.get(name, {})
        writes = sorted(newest.items(), key=lambda item: -item[1])
        return Bucket(
            name,
            kind,
            version,
            is_known_bucket(name),
            tuple(Write(uid, written_ns) for uid, written_ns in writes),
        )


def _list_root(cache: OpenCache) -> list[str]:
    try:
        return os.listdir(cache.fd)
    except PermissionError:
        raise NotPermitted(f"the cache {cache.identity.path} can't be listed") from None
