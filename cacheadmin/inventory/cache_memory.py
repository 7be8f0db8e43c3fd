"""What earlier looks saw of a cache's own folders, and whether it still holds.

Archives never change once they are made, and uv makes, replaces and removes
pointers by rename. So most of a cache is as it was at the last look, and one
``lstat`` tells it: of an archive's folder; of a folder of pointers, and of each
link and file in it. What is compared are inode and change time, which no user
can set (``fs.precise_times``). So also a pointer that was edited in place, or
given another time or owner, is read again: an answer from memory is the answer
that reading gives. All the same everything is read again every
``scan.full_every``: a filesystem may be at fault, too.

Only what is understood whole is remembered: archives, and folders with wheel
pointers or with nothing but such folders. What is unreadable, on trial, or of a
name that no uv gives is read every time; so are sources and cached
environments, of which there are few.

Kept in columns, archives as numbers: there are very many. What is wrong
about what is in here reads the cache again (`DamagedMemoryError`).
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING, Any

from cacheadmin.inventory.entries import Archive, ArchiveContent, ArchiveId, WheelPointer
from cacheadmin.packages.names import normalized
from cacheadmin.uv.layout import ARCHIVES, WHEEL_SUFFIXES

if TYPE_CHECKING:
    from cacheadmin.fs.precise_times import LookTime
    from cacheadmin.inventory.contents import EntriesByKind
    from cacheadmin.inventory.seen import FolderSeen

# Raised with every change of what reading sees, or of how it is written down here.
_FORMAT = 1

# Above this, what is read first is remembered, and the rest read every time.
_MOST = 1_000_000

_TIMES = "q"
_INODES = "Q"
_UIDS = "I"
_KINDS = "B"
_STAMP_BYTES = 16
_STATUS = Struct("<QQqI")

# Full looks of what was first read in one night are not all due in one night.
_SPREAD = 4
_SCATTER = 2_654_435_761
_FRACTION_BITS = 32

_CONTENTS = tuple(ArchiveContent)

_OF_ARCHIVES = (
    *("names", "inodes", "changed", "modified", "uids"),
    *("archives_looked", "contents", "packages", "versions"),
)
_OF_FOLDERS = (
    *("paths", "folders_looked", "folders_modified"),
    *("folders", "others", "writes"),
)
_COLUMNS = (*_OF_ARCHIVES, *_OF_FOLDERS, "stamps", "pointers", "named")

# What follows a pointer's key in the names of its files; the link has nothing there.
_SUFFIXES = ("", *WHEEL_SUFFIXES)

# By which of them there are, as bits.
_ENDS = tuple(
    sorted(end for bit, end in enumerate(_SUFFIXES) if files & (1 << bit))
    for files in range(1 << len(_SUFFIXES))
)


class DamagedMemoryError(Exception):
    """What is remembered is not what was written: nothing of it may be used."""


class CacheMemory:
    """What is remembered of one cache, for one look.

    ``plain`` is what `CacheMemory.written` returned once, or None. ``every_ns``:
    how often everything is read. ``now_ns`` is the moment of the look. Raises
    DamagedMemoryError.
    """

    def __init__(self, plain: Any, device: int, *, now_ns: int, every_ns: int) -> None:
        self.device = device
        """The device of the cache: what lies on another is read every time."""
        self._now_ns = now_ns
        self._every_ns = every_ns
        self._columns = _Columns(plain)
        self._archive_numbers = _numbered(self._columns.names)
        self._folder_numbers = _numbered(self._columns.paths)

    # What a reader asks

    def knows_archive(self, name: str) -> bool:
        """Whether anything is remembered of an archive, still valid or not."""
        return name in self._archive_numbers

    def same_archive(self, name: str, status: os.stat_result) -> int | None:
        """Return the number of an archive that is as it was; ``status`` is its ``lstat``."""
        number = self._archive_numbers.get(name)
        if number is None:
            return None
        known = self._columns
        is_same = (
            status.st_ctime_ns == known.changed[number]
            and status.st_ino == known.inodes[number]
            and status.st_mtime_ns == known.modified[number]
            and status.st_uid == known.uids[number]
            and status.st_dev == self.device
            and stat.S_ISDIR(status.st_mode)
        )
        return number if is_same and not self._is_due(number, known.archives_looked) else None

    def same_folder(self, path: str, cache_fd: int) -> int | None:
        """Return the number of a folder with pointers in which all is as it was."""
        number = self._folder_numbers.get(path)
        if number is None or self._is_due(number, self._columns.folders_looked):
            return None
        try:
            names = self._columns.names_in(number)
            statuses = [
                os.stat(path, dir_fd=cache_fd, follow_symlinks=False),
                *[
                    os.stat(f"{path}/{name}", dir_fd=cache_fd, follow_symlinks=False)
                    for name in names
                ],
            ]
        except (OSError, TypeError, ValueError, IndexError):
            return None
        first = number * _STAMP_BYTES
        known = bytes(self._columns.stamps[first : first + _STAMP_BYTES])
        return number if stamp_of_folder(statuses, self.device) == known else None

    def folders_in(self, number: int) -> Sequence[str]:
        """Return the names of the folders in a folder."""
        return self._columns.folders[number] or ()

    def _is_due(self, number: int, looked: array[int]) -> bool:
        """Whether it is to be read although it is as it was; for each at another moment."""
        scattered = (number * _SCATTER) % (1 << _FRACTION_BITS)
        early_ns = (self._every_ns // _SPREAD * scattered) >> _FRACTION_BITS
        # A clock that was set back makes every age doubtful.
        return not 0 <= self._now_ns - looked[number] < self._every_ns - early_ns

    # What was the same, as facts

    def recall(self, contents: EntriesByKind) -> None:
        """Put to what was read what is the same as it was. Raises DamagedMemoryError."""
        folders = contents.same_folders
        try:
            contents.archives.extend(self._archives(contents.same_archives))
            contents.wheel_pointers.extend(self._pointers(folders))
            contents.watched.update(self._watched(folders))
            for bucket, uid, written_ns in self._writes(folders):
                contents.wrote_at(bucket, uid, written_ns)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise DamagedMemoryError(str(error)) from None

    def _archives(self, numbers: Iterable[int]) -> Iterator[Archive]:
        known = self._columns
        for number in numbers:
            name = known.names[number]
            yield Archive(
                ArchiveId(name),
                f"{ARCHIVES}/{name}",
                _CONTENTS[known.contents[number]],
                known.packages[number],
                known.versions[number],
                known.uids[number],
                known.inodes[number],
                known.modified[number],
            )

    def _pointers(self, numbers: Iterable[int]) -> Iterator[WheelPointer]:
        known = self._columns
        # One set for all pointers to one archive.
        sets: dict[int, frozenset[ArchiveId]] = {}
        for number in numbers:
            rows = known.pointers[number]
            if rows is None:
                continue
            folder = known.paths[number]
            bucket = folder.partition("/")[0]
            package = normalized(folder.rpartition("/")[2])
            for key, version, files, uid, modified_ns, linked, named in rows:
                if isinstance(named, int):
                    archives = sets.get(named)
                    if archives is None:
                        archives = frozenset((ArchiveId(known.named[named]),))
                        sets[named] = archives
                else:
                    archives = frozenset(ArchiveId(known.named[one]) for one in named)
                yield WheelPointer(
                    f"{folder}/{key}",
                    bucket,
                    package,
                    version,
                    archives,
                    None if linked is None else ArchiveId(known.named[linked]),
                    True,
                    uid,
                    modified_ns,
                    tuple(_files_of(key, files)),
                )

    def _watched(self, numbers: Iterable[int]) -> Iterator[tuple[str, int]]:
        known = self._columns
        for number in numbers:
            yield known.paths[number], known.folders_modified[number]

    def _writes(self, numbers: Iterable[int]) -> Iterator[tuple[str, int, int]]:
        """Yield a bucket, the owner of files in it, and the newest time of those (ns)."""
        known = self._columns
        for number in numbers:
            flat = known.writes[number]
            if flat is not None:
                bucket = known.paths[number].partition("/")[0]
                for uid, written_ns in zip(flat[::2], flat[1::2], strict=True):
                    yield bucket, uid, written_ns

    # What is kept

    def written(self, contents: EntriesByKind, begun: LookTime) -> Any:
        """Return what to keep of what was read, as plain data; None where it is as it was.

        ``begun`` is when reading began: younger than that nothing is kept. What was
        neither the same nor is new is not there any more.
        """
        archives, folders = (
            list(_new_archives(contents, begun)),
            list(_new_folders(contents, begun)),
        )
        known = self._columns
        same = contents.same_archives, contents.same_folders
        is_whole = len(same[0]) == len(known.names) and len(same[1]) == len(known.paths)
        if is_whole and not archives and not folders:
            return None
        kept = known.selected(*same)
        for archive, changed_ns in archives[: max(0, _MOST - len(kept.names))]:
            kept.add_archive(archive, changed_ns, self._now_ns)
        for seen, modified_ns, pointers in folders[: max(0, _MOST - len(kept.paths))]:
            kept.add_folder(seen, modified_ns, pointers, self._now_ns)
        return kept.plain()


def _new_archives(contents: EntriesByKind, begun: LookTime) -> Iterator[tuple[Archive, int]]:
    seen = {one.id: one.changed_ns for one in contents.archives_seen}
    for archive in contents.archives:
        changed_ns = seen.get(archive.id)
        if changed_ns is not None and begun.tells(changed_ns):
            yield archive, changed_ns


def _new_folders(
    contents: EntriesByKind, begun: LookTime
) -> Iterator[tuple[FolderSeen, int, list[WheelPointer]]]:
    found: dict[str, list[WheelPointer]] = {
        one.path: [] for one in contents.folders_seen if begun.tells(one.changed_ns)
    }
    if not found:
        return
    for pointer in contents.wheel_pointers:
        pointers = found.get(pointer.path.rpartition("/")[0])
        if pointers is not None:
            pointers.append(pointer)
    for seen in contents.folders_seen:
        if seen.path in found:
            yield seen, contents.watched[seen.path], found[seen.path]


class _Columns:
    """The columns of a memory. Raises DamagedMemoryError for anything else than these."""

    def __init__(self, plain: Any = None) -> None:
        self.names: list[str] = []
        self.inodes = array(_INODES)
        self.changed = array(_TIMES)
        self.modified = array(_TIMES)
        self.uids = array(_UIDS)
        self.archives_looked = array(_TIMES)
        self.contents = array(_KINDS)
        self.packages: list[str | None] = []
        self.versions: list[str | None] = []
        self.paths: list[str] = []
        self.stamps = bytearray()
        self.folders_looked = array(_TIMES)
        self.folders_modified = array(_TIMES)
        self.folders: list[list[str] | None] = []
        self.others: list[list[str] | None] = []
        self.writes: list[list[int] | None] = []
        self.pointers: list[list[list[Any]] | None] = []
        # The archives that pointers name, which need not be there.
        self.named: list[str] = []
        self._numbers: dict[str, int] | None = None
        if plain is not None:
            self._fill(plain)

    def _fill(self, plain: Any) -> None:
        try:
            for name in _COLUMNS:
                setattr(self, name, _column(getattr(self, name), plain[name]))
            self._check()
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise DamagedMemoryError(str(error)) from None

    def _check(self) -> None:
        archives = {len(getattr(self, name)) for name in _OF_ARCHIVES}
        folders = {len(getattr(self, name)) for name in (*_OF_FOLDERS, "pointers")}
        stamps = len(self.stamps) == _STAMP_BYTES * len(self.paths)
        if len(archives) != 1 or len(folders) != 1 or not stamps:
            raise ValueError("columns of different lengths")
        if max(self.contents, default=0) >= len(_CONTENTS):
            raise ValueError("a content of no kind")
        lists = (*self.folders, *self.others, *self.writes, *self.pointers)
        if set(map(type, lists)) - {list, type(None)}:
            raise TypeError("something else where lists belong")
        inner = (one for column in (self.folders, self.others) for one in column if one)
        strings = (self.names, self.paths, self.named, *inner)
        if any(set(map(type, one)) - {str} for one in strings):
            raise TypeError("something else where names belong")

    def plain(self) -> dict[str, Any]:
        """Return the columns as plain data."""
        values = {name: getattr(self, name) for name in _COLUMNS}
        return {
            name: bytes(value) if isinstance(value, array | bytearray) else value
            for name, value in values.items()
        }

    def names_in(self, number: int) -> list[str]:
        """Return the names of links and files in a folder, sorted."""
        rows, others = self.pointers[number], self.others[number]
        if rows is None:
            return others or []
        if len(rows) == 1 and not others:
            # As it is nearly always.
            return _files_of(rows[0][0], rows[0][2])
        names = [name for row in rows for name in _files_of(row[0], row[2])]
        return sorted([*names, *(others or ())])

    def selected(self, archives: Sequence[int], folders: Sequence[int]) -> _Columns:
        """Return the columns of these rows alone."""
        made = _Columns()
        for name in _OF_ARCHIVES:
            column = getattr(self, name)
            getattr(made, name).extend([column[number] for number in archives])
        for name in _OF_FOLDERS:
            column = getattr(self, name)
            getattr(made, name).extend([column[number] for number in folders])
        made.stamps += b"".join(
            bytes(self.stamps[number * _STAMP_BYTES : (number + 1) * _STAMP_BYTES])
            for number in folders
        )
        for number in folders:
            made.pointers.append(self._renumbered(self.pointers[number], made))
        return made

    def _renumbered(self, rows: list[list[Any]] | None, made: _Columns) -> list[list[Any]] | None:
        def number(one: int | None) -> int | None:
            return None if one is None else made.number_of(self.named[one])

        if rows is None:
            return None
        return [
            [
                *row[:5],
                number(row[5]),
                number(row[6]) if isinstance(row[6], int) else [number(one) for one in row[6]],
            ]
            for row in rows
        ]

    def number_of(self, archive: str) -> int:
        """Return the number of an archive that a pointer names."""
        if self._numbers is None:
            self._numbers = _numbered(self.named)
        number = self._numbers.setdefault(archive, len(self.named))
        if number == len(self.named):
            self.named.append(archive)
        return number

    def add_archive(self, archive: Archive, changed_ns: int, now_ns: int) -> None:
        """Add an archive that was read."""
        self.names.append(archive.id)
        self.inodes.append(archive.inode)
        self.changed.append(changed_ns)
        self.modified.append(archive.mtime_ns)
        self.uids.append(archive.uid)
        self.archives_looked.append(now_ns)
        self.contents.append(_CONTENTS.index(archive.content))
        self.packages.append(archive.package)
        self.versions.append(archive.version)

    def add_folder(
        self, seen: FolderSeen, modified_ns: int, pointers: Sequence[WheelPointer], now_ns: int
    ) -> None:
        """Add a folder that was read."""
        self.paths.append(seen.path)
        self.stamps += seen.stamp
        self.folders_looked.append(now_ns)
        self.folders_modified.append(modified_ns)
        self.folders.append(list(seen.folders) or None)
        self.others.append(list(seen.others) or None)
        self.writes.append([number for pair in seen.writes.items() for number in pair] or None)
        self.pointers.append([self._pointer_row(pointer) for pointer in pointers] or None)

    def _pointer_row(self, pointer: WheelPointer) -> list[Any]:
        key = pointer.path.rpartition("/")[2]
        linked = pointer.linked_archive
        named = [self.number_of(one) for one in sorted(pointer.archives)]
        return [
            key,
            pointer.version,
            sum(1 << bit for bit, end in enumerate(_SUFFIXES) if key + end in pointer.files),
            pointer.uid,
            pointer.mtime_ns,
            None if linked is None else self.number_of(linked),
            named[0] if len(named) == 1 else named,
        ]


def _column(empty: Any, value: Any) -> Any:
    """Return a column from plain data, of the type that an empty one has."""
    if isinstance(empty, array):
        return array(empty.typecode, value)
    if isinstance(empty, bytearray):
        return bytearray(memoryview(value))
    if not isinstance(value, list):
        raise TypeError("something else where a column belongs")
    return value


def stamp_of_folder(statuses: Sequence[os.stat_result], device: int) -> bytes | None:
    """Return what ``lstat`` says of a folder, and of the names in it, sorted, as a digest.

    None where the folder is not on this device.
    """
    # Whatever else changes of an inode, its change time does, too.
    packed = b"".join(
        [
            _STATUS.pack(status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mode)
            for status in statuses
        ]
    )
    if statuses[0].st_dev != device:
        return None
    return blake2b(packed, digest_size=_STAMP_BYTES).digest()


def about_columns() -> list[Any]:
    """Return what the form of a memory depends on, beside the release: another's is no use."""
    sizes = [array(code).itemsize for code in (_TIMES, _INODES, _UIDS)]
    return [_FORMAT, sys.byteorder, sizes]


def _files_of(key: str, files: int) -> list[str]:
    """Return the names of a pointer's link and files, sorted."""
    return [key + end for end in _ENDS[files]]


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}
