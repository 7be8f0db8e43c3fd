"""Read the buckets that lead to archives: wheels, source distributions, environments.

The reader visits each folder once, through descriptors, never following a
link, and remembers each folder's modification time: uv creates, replaces and
removes pointers by rename, which moves that time, so a folder with the same
time has the same pointers. A later reader visits only what changed.

Users can write here: a FIFO called ``X.http``, a pointer of a gigabyte or a
tree a thousand folders deep must cost nothing and hide nothing silently.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from cacheadmin.fs.small_files import (
    ReadFailure,
    failure,
    open_directory,
    open_directory_beneath,
    open_file,
    read_file,
    read_link_and_status,
    read_opened,
)
from cacheadmin.inventory.archives import is_tripwire
from cacheadmin.inventory.builds import read_build
from cacheadmin.inventory.cache_memory import stamp_of_folder
from cacheadmin.inventory.contents import OVER_TIME, EntriesByKind, in_parts
from cacheadmin.inventory.entries import (
    ArchiveId,
    CachedEnvironment,
    SourceRevision,
    Stray,
    UnreadEntry,
    WheelPointer,
)
from cacheadmin.inventory.seen import FolderSeen, newest_change_ns
from cacheadmin.packages.names import normalized
from cacheadmin.readers import note_owner
from cacheadmin.uv.layout import (
    ARCHIVES,
    METADATA_SUFFIX,
    POINTER_SUFFIXES,
    ROOTS_FOLDER,
    SOURCE_KINDS,
    UNPACKED_SOURCES,
    WHEEL_KINDS,
    is_archive_id,
    is_temporary,
    parse_bucket_name,
    pointer_key,
    trial_name,
    version_of_key,
    wheel_stem,
)
from cacheadmin.uv.pointers import (
    MAX_BYTES,
    archive_named_by,
    package_named_by,
    revision_named_by,
)
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_memory import CacheMemory

# Pointers lie at most five folders below their bucket (facts section 2).
_MAX_DEPTH = 8

_LINK_TO_ARCHIVE = re.compile(r"(?:^|/)archive-v\d+/([^/]+)/*$")

# Files that lie in every bucket, or in a source of it, and are no pointers.
_BESIDE_POINTERS = frozenset({".gitignore", ".git", "CACHEDIR.TAG"})

# In a revision: what uv knows of the package, and the wheels that were built of it.
_METADATA = "metadata.msgpack"
_WHEEL_SUFFIX = ".whl"

_Kind = Literal["http", "rev"]
_POINTER_KINDS: tuple[_Kind, ...] = ("http", "rev")

# What pointer files with several names say, by device, inode and kind.
_Shared = dict[tuple[int, int, str], "ArchiveId | None"]


@frozen
class FoldersTask:
    """Folders of an open cache to read, with all below."""

    cache_fd: int
    """The open cache."""
    folders: tuple[str, ...]
    """Buckets, or folders in them."""
    skip: Container[str] = frozenset()
    """Folders below that need not be visited again."""
    at_once: int | None = None
    """So many folders are visited, and the paths of the others are told; None: all are visited."""
    spent: frozenset[int] = frozenset()
    """Accounts whose pointers are not read."""
    share: float = 1.0
    """How much of the processor time of an answer each account's pointers may take."""


def read_pointer_folders(task: FoldersTask) -> Iterator[EntriesByKind]:
    """Yield what folders hold, in parts. Runs in a reader."""
    contents = EntriesByKind()
    return in_parts(contents, pointer_folders(task, contents))


def pointer_folders(
    task: FoldersTask, contents: EntriesByKind, memory: CacheMemory | None = None
) -> Iterator[None]:
    """Fill ``contents`` with what folders hold; yields after each step."""
    shared: _Shared = {}
    for folder in task.folders:
        reader = _PointerReader(task, contents, folder.partition("/")[0], shared, memory)
        yield from reader.visit_from(folder)


def folders_of_bucket(
    task: FoldersTask, contents: EntriesByKind, memory: CacheMemory | None = None
) -> Iterator[None]:
    """Fill ``contents`` with what folders in one bucket hold; yields after each step."""
    reader = _PointerReader(task, contents, task.folders[0].partition("/")[0], {}, memory)
    yield from reader.visit_each(task.folders)


@dataclass(slots=True)
class _PointerListing:
    """One folder's content, split by type, with the status of everything but folders."""

    status: os.stat_result
    """The folder's own status, from before it was listed."""
    folders: list[str]
    """Names of folders."""
    links: dict[str, os.stat_result]
    """Links."""
    files: dict[str, os.stat_result]
    """Everything else."""
    texts: dict[str, str] = field(default_factory=dict)
    """What links say."""
    unopened: set[str] = field(default_factory=set)
    """Names of pointer files: their status comes with their content, in one look less."""
    led_to: dict[str, ArchiveId | None] = field(default_factory=dict)
    """Which archive a link leads to, where that was asked."""
    is_doubtful: bool = False
    """Whether something in it was not read, not understood, or is no entry."""


class _PointerReader:
    def __init__(
        self,
        task: FoldersTask,
        found: EntriesByKind,
        bucket: str,
        shared: _Shared,
        memory: CacheMemory | None,
    ) -> None:
        parsed = parse_bucket_name(bucket)
        self.task = task
        self.cache_fd = task.cache_fd
        self.found = found
        self.bucket = bucket
        self.kind = parsed[0] if parsed else ""
        self.shared = shared
        # Of sources and environments nothing is remembered.
        self.memory = memory if self.kind in WHEEL_KINDS else None
        self._visited = 0
        self._spent: set[int] = set()

    def visit_from(self, folder: str) -> Iterator[None]:
        """Visit a folder named from the cache root, without following a link on the way."""
        depth = folder.count("/")
        number = self._same(folder)
        if number is not None:
            yield from self._visit_inside(number, folder, depth)
        else:
            yield from self._visit_by_path(folder, depth)

    def visit_each(self, folders: Iterable[str]) -> Iterator[None]:
        """Visit folders in the bucket; what they lie in is opened once for all beside each other.

        Also without following a link on the way.
        """
        for parent, inside in groupby(folders, lambda path: path.rpartition("/")[0]):
            try:
                fd = open_directory_beneath(self.cache_fd, parent)
            except OSError as error:
                self._unreadable(parent, error)
                continue
            try:
                for path in inside:
                    yield from self._visit(fd, path.rpartition("/")[2], path, path.count("/"))
            finally:
                os.close(fd)

    def _visit_by_path(self, path: str, depth: int) -> Iterator[None]:
        try:
            fd = open_directory_beneath(self.cache_fd, path)
        except OSError as error:
            self._unreadable(path, error)
            return
        yield from self._visit_open(fd, path, depth)

    def _same(self, path: str) -> int | None:
        """Return the number in memory of a folder that is as it was, and note it."""
        number = None if self.memory is None else self.memory.same_folder(path, self.cache_fd)
        if number is not None:
            self.found.same_folders.append(number)
        return number

    def _visit_inside(self, number: int, path: str, depth: int) -> Iterator[None]:
        """Visit the folders in one that is as it was: each may be as it was, or not."""
        yield
        for name in () if self.memory is None else self.memory.folders_in(number):
            inner = f"{path}/{name}"
            if self._is_left(inner):
                yield
                continue
            same = self._same(inner)
            if same is None:
                yield from self._visit_by_path(inner, depth + 1)
            else:
                yield from self._visit_inside(same, inner, depth + 1)

    def _is_left(self, path: str) -> bool:
        """Whether a folder is left to another reader; it is noted then."""
        self._visited += 1
        if self.task.at_once is None or self._visited <= self.task.at_once:
            return False
        self.found.left.append(path)
        return True

    def _visit(self, parent_fd: int, name: str, path: str, depth: int) -> Iterator[None]:
        if path in self.task.skip:
            return
        if self._is_left(path):
            yield
            return
        number = self._same(path)
        if number is not None:
            yield from self._visit_inside(number, path, depth)
            return
        if depth > _MAX_DEPTH:
            reason = "deeper than any uv release writes"
            self.found.unreadable.append(UnreadEntry(path, reason, _owner(parent_fd, name)))
            return
        try:
            fd = open_directory(name, parent_fd)
        except OSError as error:
            self._unreadable(path, error, _owner(parent_fd, name))
            return
        yield from self._visit_open(fd, path, depth)

    def _visit_open(self, fd: int, path: str, depth: int) -> Iterator[None]:
        try:
            status = os.fstat(fd)
            note_owner(status.st_uid)
            # Before the listing: a change during it must look like a later one.
            self.found.watched[path] = status.st_mtime_ns
            listing = self._list(fd, path, status)
            if depth == 0:
                self._builds(fd, path, listing)
            if self.kind in WHEEL_KINDS:
                yield from self._wheels(fd, path, listing, depth)
            elif self.kind in SOURCE_KINDS:
                yield from self._sources(fd, path, listing, depth)
            else:
                yield from self._environments(fd, path, listing, depth)
            yield
        except OSError as error:
            self._unreadable(path, error)
        finally:
            os.close(fd)

    def _builds(self, fd: int, path: str, listing: _PointerListing) -> None:
        """Take out what uv has not finished, lest a half-unpacked source be read as pointers."""
        temporary = [name for name in listing.folders if is_temporary(name)]
        listing.is_doubtful |= bool(temporary)
        for name in temporary:
            listing.folders.remove(name)
            build = read_build(fd, name, f"{path}/{name}")
            if build is not None:
                self.found.builds.append(build)

    def _list(self, fd: int, path: str, own: os.stat_result) -> _PointerListing:
        listing = _PointerListing(own, [], {}, {})
        of_wheels = self.kind in WHEEL_KINDS
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    listing.folders.append(entry.name)
                    continue
                # A tripwire is ours: no entry, and no sign that a release uses the bucket.
                is_link = entry.is_symlink()
                if is_link and self._is_tripwire(f"{path}/{entry.name}"):
                    listing.is_doubtful = True
                elif of_wheels and not is_link and entry.name.endswith(POINTER_SUFFIXES):
                    listing.unopened.add(entry.name)
                else:
                    self._list_one(fd, path, entry, listing)
        return listing

    def _list_one(
        self, fd: int, path: str, entry: os.DirEntry[str], listing: _PointerListing
    ) -> None:
        try:
            if entry.is_symlink():
                text, status = read_link_and_status(entry.name, fd)
                listing.texts[entry.name] = text
            else:
                status = entry.stat(follow_symlinks=False)
        except OSError as error:
            self._unreadable(f"{path}/{entry.name}", error)
            listing.is_doubtful = True
            return
        self.found.wrote(self.bucket, status)
        (listing.links if stat.S_ISLNK(status.st_mode) else listing.files)[entry.name] = status

    def _unreadable(self, path: str, error: OSError, uid: int | None = None) -> None:
        problem = failure(path, error)
        # Gone meanwhile is no riddle; what is there and can't be read is.
        if not problem.missing:
            self.found.unreadable.append(UnreadEntry(path, problem.reason, uid))

    # Wheels: <source>/.../<package>/<key>{,.http,.rev}

    def _wheels(self, fd: int, path: str, listing: _PointerListing, depth: int) -> Iterator[None]:
        for name in listing.folders:
            yield from self._visit(fd, name, f"{path}/{name}", depth + 1)
        keys: dict[str, dict[str, str]] = {}
        for name in (*listing.links, *listing.files, *listing.unopened):
            parsed = pointer_key(name)
            if parsed is None:
                continue
            if parsed[1] == "link" and not self._is_link_to_archive(fd, path, name, listing):
                continue
            keys.setdefault(parsed[0], {})[parsed[1]] = name
        package = normalized(path.rpartition("/")[2])
        for key, names in keys.items():
            if (metadata := key + METADATA_SUFFIX) in listing.files:
                names["metadata"] = metadata
            self._wheel(fd, f"{path}/{key}", key, package, names, listing)
            yield
        if self.memory is not None and not listing.is_doubtful:
            self._note(path, listing, {name for names in keys.values() for name in names.values()})

    def _note(self, path: str, listing: _PointerListing, of_pointers: set[str]) -> None:
        """Note what tells that a folder is as it is: all of it was understood."""
        statuses = {**listing.links, **listing.files}
        names = sorted(statuses)
        looked_at = [listing.status, *(statuses[name] for name in names)]
        stamp = None if self.memory is None else stamp_of_folder(looked_at, self.memory.device)
        if stamp is not None:
            writes: dict[int, int] = {}
            for status in looked_at[1:]:
                newest = writes.get(status.st_uid, 0)
                writes[status.st_uid] = max(newest, status.st_mtime_ns)
            others = tuple(name for name in names if name not in of_pointers)
            self.found.folders_seen.append(
                FolderSeen(
                    path, stamp, newest_change_ns(looked_at), tuple(listing.folders), others, writes
                )
            )

    def _is_link_to_archive(self, fd: int, path: str, name: str, listing: _PointerListing) -> bool:
        """Whether a name without a pointer's ending is a link to an archive.

        Anything else of such a name is nothing that a known release writes: a
        linked folder may hold pointers, a file may be one of a release to come.
        """
        if name in listing.links:
            listing.led_to[name] = self._linked_archive(listing, name)
            if listing.led_to[name] is not None:
                return True
        if name not in _BESIDE_POINTERS:
            listing.is_doubtful = True
            link = name in listing.links
            what = "a link that leads to no archive" if link else "a file of no known ending"
            status = listing.links[name] if link else listing.files[name]
            self._not_read(f"{path}/{name}", what, status.st_uid)
        return False

    def _not_read(self, path: str, what: str, uid: int) -> None:
        reason = f"{what}, which no known uv release writes there: it was not read"
        self.found.unreadable.append(UnreadEntry(path, reason, uid, tells_who_writes=True))

    def _wheel(
        self,
        fd: int,
        path: str,
        key: str,
        package: str,
        names: dict[str, str],
        listing: _PointerListing,
    ) -> None:
        archives: set[ArchiveId] = set()
        understood = True
        for kind in _POINTER_KINDS:
            if kind not in names:
                continue
            named = None
            if names[kind] in listing.unopened:
                named = self._archive_in(fd, path, kind, listing)
            if named is None:
                understood = False
            else:
                archives.add(named)
        linked = listing.led_to[names["link"]] if "link" in names else None
        if linked is not None:
            archives.add(linked)
        listing.is_doubtful |= not understood
        statuses = [(listing.files.get(n) or listing.links[n]) for n in names.values()]
        newest = max(statuses, key=lambda status: status.st_mtime_ns)
        self.found.wheel_pointers.append(
            WheelPointer(
                path=path,
                bucket=self.bucket,
                package=package,
                version=version_of_key(key, package),
                archives=frozenset(archives),
                linked_archive=linked,
                understood=understood,
                uid=newest.st_uid,
                mtime_ns=newest.st_mtime_ns,
                files=tuple(sorted(names.values())),
            )
        )

    def _over_time(self, path: str, uid: int) -> None:
        if uid not in self._spent:
            self._spent.add(uid)
            self.found.unreadable.append(UnreadEntry(path, OVER_TIME, uid))

    def _archive_in(
        self, fd: int, path: str, kind: _Kind, listing: _PointerListing
    ) -> ArchiveId | None:
        """Return the archive that a pointer file names, and note the file's status."""
        name = f"{path.rpartition('/')[2]}.{kind}"
        opened = open_file(name, fd)
        if isinstance(opened, ReadFailure):
            self._note_file(name, _status_of(fd, name) or listing.status, listing)
            return None
        file, status = opened
        try:
            self._note_file(name, status, listing)
            if status.st_uid in self.task.spent or not note_owner(status.st_uid, self.task.share):
                self._over_time(path, status.st_uid)
                return None
            # uv never gives one file two names. Who does, a thousand times, has it read once.
            shared = (status.st_dev, status.st_ino, kind) if status.st_nlink > 1 else None
            if shared is not None and shared in self.shared:
                return self.shared[shared]
            content = read_opened(name, file, status, MAX_BYTES)
        finally:
            os.close(file)
        named = None if isinstance(content, ReadFailure) else archive_named_by(content, kind)
        archive = None if named is None else ArchiveId(named)
        if shared is not None:
            self.shared[shared] = archive
        return archive

    def _note_file(self, name: str, status: os.stat_result, listing: _PointerListing) -> None:
        listing.files[name] = status
        self.found.wrote(self.bucket, status)

    @staticmethod
    def _linked_archive(listing: _PointerListing, name: str) -> ArchiveId | None:
        found = _LINK_TO_ARCHIVE.search(listing.texts[name])
        return ArchiveId(found[1]) if found and is_archive_id(found[1]) else None

    # Source distributions: .../revision.{http,rev} names one of its sibling folders

    def _sources(self, fd: int, path: str, listing: _PointerListing, depth: int) -> Iterator[None]:
        if depth == 0 and ROOTS_FOLDER in listing.folders:
            # Roots that we planted: they say what *was* in use, to uv alone.
            listing.folders.remove(ROOTS_FOLDER)
        pointers = [
            name
            for name in ("revision.http", "revision.rev")
            if name in listing.files or name in listing.links
        ]
        if pointers:
            current = self._current_revisions(fd, pointers)
            for name in listing.folders:
                verdict = None if current is None else name in current
                self._revision(fd, name, f"{path}/{name}", verdict, tuple(pointers))
                yield
            return
        for name, status in listing.links.items():
            if self._linked_archive(listing, name) is None:
                self._not_read(f"{path}/{name}", "a link that leads to no archive", status.st_uid)
        is_revision = depth > 0 and bool(listing.links or _METADATA in listing.files)
        if is_revision:
            # Git and other sources without a revision file: the folder is the revision.
            self._add_revision(fd, path, listing, None)
        for name in listing.folders:
            # An unpacked source is a tree that its author made, with links of its own.
            # But a metadata file in the wrong place must not hide revisions below it.
            if not (is_revision and name in UNPACKED_SOURCES):
                yield from self._visit(fd, name, f"{path}/{name}", depth + 1)

    def _current_revisions(self, fd: int, pointers: Iterable[str]) -> set[str] | None:
        """Return the folders that the revision files name; None when one is not understood."""
        current: set[str] = set()
        for name in pointers:
            content = read_file(name, MAX_BYTES, fd)
            kind: _Kind = "http" if name.endswith(".http") else "rev"
            named = None if isinstance(content, ReadFailure) else revision_named_by(content, kind)
            if named is None:
                return None
            current.add(named)
        return current

    def _revision(
        self, parent_fd: int, name: str, path: str, current: bool | None, files: tuple[str, ...]
    ) -> None:
        try:
            fd = open_directory(name, parent_fd)
        except OSError as error:
            self._unreadable(path, error, _owner(parent_fd, name))
            return
        try:
            status = os.fstat(fd)
            note_owner(status.st_uid)
            self.found.watched[path] = status.st_mtime_ns
            listing = self._list(fd, path, status)
            for link, status in listing.links.items():
                if self._linked_archive(listing, link) is None:
                    what = "a link that leads to no archive"
                    self._not_read(f"{path}/{link}", what, status.st_uid)
            self._add_revision(fd, path, listing, current, files)
        except OSError as error:
            self._unreadable(path, error)
        finally:
            os.close(fd)

    def _add_revision(
        self,
        fd: int,
        path: str,
        listing: _PointerListing,
        current: bool | None,
        files: tuple[str, ...] = (),
    ) -> None:
        archives = {name: self._linked_archive(listing, name) for name in listing.links}
        wheels = sorted(name for name in listing.files if name.endswith(_WHEEL_SUFFIX))
        package, version = _named_by_path(path)
        for name in (*listing.links, *(wheel.removesuffix(_WHEEL_SUFFIX) for wheel in wheels)):
            stem = wheel_stem(name)
            if stem is not None and package is None:
                package, version = normalized(stem[0]), stem[1]
        if package is None and _METADATA in listing.files:
            package, version = self._named_by_metadata(fd)
        status = os.fstat(fd)
        self.found.revisions.append(
            SourceRevision(
                path=path,
                bucket=self.bucket,
                package=package,
                version=version,
                current=current,
                archives=frozenset(found for found in archives.values() if found is not None),
                links={name: found for name, found in archives.items() if found is not None},
                uid=status.st_uid,
                mtime_ns=status.st_mtime_ns,
                files=files,
                wheels=tuple(wheels),
                unpacked=tuple(sorted(UNPACKED_SOURCES.intersection(listing.folders))),
            )
        )

    def _named_by_metadata(self, fd: int) -> tuple[str | None, str | None]:
        content = read_file(_METADATA, MAX_BYTES, fd)
        named = None if isinstance(content, ReadFailure) else package_named_by(content)
        return (None, None) if named is None else (normalized(named[0]), named[1])

    # Environments: <interpreter digest>/<digest> links, or <name>/ real ones

    def _environments(
        self, fd: int, path: str, listing: _PointerListing, depth: int
    ) -> Iterator[None]:
        for name, status in listing.links.items():
            inner = f"{path}/{name}"
            archive = self._linked_archive(listing, name)
            if archive is None:
                what = "a link that leads to no archive"
                self.found.strays.append(
                    Stray(inner, what, False, status.st_uid, status.st_mtime_ns)
                )
                self._not_read(inner, what, status.st_uid)
            else:
                self._environment(inner, archive, status, status.st_mtime_ns)
        for name in listing.folders:
            inner = f"{path}/{name}"
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                config = self._config_status(fd, name)
            except OSError as error:
                self._unreadable(inner, error)
                continue
            if config is not None:
                self.found.wrote(self.bucket, config)
                changed = max(config.st_mtime_ns, status.st_mtime_ns)
                self._environment(inner, None, status, changed)
            elif depth == 0:
                yield from self._visit(fd, name, inner, depth + 1)
            else:
                changed = max(status.st_mtime_ns, status.st_ctime_ns)
                what = "a folder that is no environment"
                self.found.strays.append(Stray(inner, what, False, status.st_uid, changed))

    def _is_tripwire(self, path: str) -> bool:
        if trial_name(path) is None:
            return False
        try:
            bucket_fd = open_directory(ARCHIVES, self.cache_fd)
        except OSError:
            return False
        try:
            return is_tripwire(bucket_fd, path)
        finally:
            os.close(bucket_fd)

    def _environment(
        self, path: str, archive: ArchiveId | None, status: os.stat_result, changed_ns: int
    ) -> None:
        self.found.environments.append(
            CachedEnvironment(path, self.bucket, archive, status.st_uid, changed_ns)
        )

    def _config_status(self, parent_fd: int, name: str) -> os.stat_result | None:
        """Return what makes a folder an environment; None without. Raises OSError."""
        fd = open_directory(name, parent_fd)
        try:
            return os.stat("pyvenv.cfg", dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        finally:
            os.close(fd)


def _status_of(parent_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    except OSError:
        return None


def _owner(parent_fd: int, name: str) -> int | None:
    status = _status_of(parent_fd, name)
    return None if status is None else status.st_uid


def _named_by_path(path: str) -> tuple[str | None, str | None]:
    """Return package and version from ``sdists-v9/pypi/<name>/<version>/<revision>``."""
    parts = path.split("/")
    if len(parts) >= 5 and parts[1] == "pypi":
        return normalized(parts[2]), parts[3]
    if len(parts) >= 6 and parts[1] == "index":
        return normalized(parts[3]), parts[4]
    return None, None
