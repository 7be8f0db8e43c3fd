"""Plant roots, look which are there, and take them away again.

The folders can be written to by every user of the cache, so nothing in them is
believed: a root is there when its link says what it should. Links are made,
replaced and removed by name in an open folder, each in one step; none is ever
followed. Only what has a root's name is touched, whatever it is.

Cost matters, a cache may hold 50,000 archives in use and a dozen
buckets: when nothing changed, a folder is listed and compared, and its links
are not read, because it carries the seal of ``WantedRoots.seal_ns``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import failure
from cacheadmin.protect.folders import (
    MARKER,
    NotOurs,
    open_folder,
    open_or_make_folder,
    open_or_make_own_folder,
    open_own_folder,
    rights_of,
    trusted_owners,
)
from cacheadmin.protect.roots import (
    ARCHIVES,
    ROOTS_FOLDER,
    UNFINISHED,
    WantedRoots,
    archive_of,
    root_target,
)
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.uv.layout import ROOTS_KINDS, parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.rights import Rights
    from cacheadmin.inventory.entries import ArchiveId


@frozen
class PlantedBucket:
    """What one bucket holds of the roots that are wanted there."""

    name: str
    """The bucket's name."""
    since_ns: int | None
    """When its roots last changed (ns since the epoch); None where our folder is missing."""
    missing: int
    """How many wanted roots are missing or wrong."""
    stale: frozenset[ArchiveId] = frozenset()
    """Archives that have a root there and are not wanted."""
    planted: int = 0
    """How many roots were planted."""
    removed: int = 0
    """How many roots were removed."""
    foreign: int = 0
    """How many names in our folder are not names of roots."""
    problem: str = ""
    """What went wrong, in words, or empty."""


@frozen
class Planting:
    """Where roots are planted, and what the folders made for them get."""

    parent_fd: int
    """Descriptor of the folder that holds the buckets: the cache's root, or a stock of ours."""

    bucket_rights: Rights
    """Rights that a missing bucket is made with."""

    own_rights: Rights
    """Rights that our folder in a bucket is made with."""

    trusted: frozenset[int]
    """Accounts whose folders are taken for ours although they have lost their marker."""

    workshop_fd: int | None = None
    """Descriptor of a folder that only we can write to, to make folders in; None: none."""


def leading_somewhere(cache_fd: int, wanted: WantedRoots) -> WantedRoots:
    """Return what is wanted without the archives that don't exist (any more).

    Before 0.2.28 a link that leads nowhere ends uv's prune with an error.
    Raises OSError when the archives can't be listed.
    """
    try:
        fd = open_folder(cache_fd, ARCHIVES)
    except FileNotFoundError:
        return WantedRoots(wanted.buckets, frozenset())
    try:
        names = os.listdir(fd)
    finally:
        os.close(fd)
    if sum(map(wanted.archives.__contains__, names)) == len(wanted.archives):
        return wanted
    return WantedRoots(wanted.buckets, wanted.archives.intersection(names))


def planted_archives(cache_fd: int) -> frozenset[ArchiveId]:
    """Return every archive that has a root in any bucket."""
    found: set[ArchiveId] = set()
    for bucket in _possible_buckets(cache_fd):
        try:
            with _own_folder(cache_fd, bucket) as fd:
                found.update(filter(None, map(archive_of, os.listdir(fd))))
        except OSError:
            continue
    return frozenset(found)


def foreign_folders(cache_fd: int) -> tuple[tuple[str, str], ...]:
    """Return (path in the cache, what it is) of what has our folder's name and is not ours."""
    found = []
    for bucket in _possible_buckets(cache_fd):
        try:
            with _own_folder(cache_fd, bucket):
                continue
        except NotOurs as error:
            found.append((f"{bucket}/{ROOTS_FOLDER}", _words(error)))
        except OSError:
            continue
    return tuple(found)


def examine(cache_fd: int, wanted: WantedRoots) -> tuple[PlantedBucket, ...]:
    """Return what is planted of what is wanted. Changes nothing.

    Buckets that are not wanted are among the answers when they hold roots.
    """
    return tuple(_examine(cache_fd, bucket, wanted) for bucket in _all(cache_fd, wanted))


def plant(
    cache_fd: int,
    wanted: WantedRoots,
    *,
    removable: Collection[ArchiveId],
    workshop_fd: int | None = None,
    bucket_rights: Mapping[str, Rights] = MappingProxyType({}),
) -> tuple[PlantedBucket, ...]:
    """Plant what is missing, then remove the roots of ``removable`` that are not wanted.

    ``removable`` is what was planted before the look that ``wanted`` comes
    from: what another process planted since then may be newer knowledge. New folders
    are made in ``workshop_fd``, a folder of ours on the cache's filesystem; a
    missing bucket gets the rights that ``bucket_rights`` knows of it.
    """
    own = rights_of(cache_fd)
    trusted = trusted_owners(cache_fd)
    # Of a bucket that is not wanted here another policy, host or release may know: there, too,
    # no root goes of what is in use.
    elsewhere = frozenset(removable) - wanted.archives
    return tuple(
        plant_bucket(
            Planting(cache_fd, bucket_rights.get(bucket, own), own, trusted, workshop_fd),
            bucket,
            wanted,
            removable=removable,
        )
        if bucket in wanted.buckets and wanted.archives
        else _withdraw(cache_fd, bucket, elsewhere)
        for bucket in _all(cache_fd, wanted)
    )


def withdraw(cache_fd: int) -> tuple[PlantedBucket, ...]:
    """Remove every root, our folders, and buckets that hold nothing then."""
    return tuple(_withdraw(cache_fd, bucket, None) for bucket in _possible_buckets(cache_fd))


def _all(cache_fd: int, wanted: WantedRoots) -> list[str]:
    others = set(_possible_buckets(cache_fd)).difference(wanted.buckets)
    return [*wanted.buckets, *(name for name in sorted(others) if _has_own(cache_fd, name))]


def _possible_buckets(cache_fd: int) -> list[str]:
    parsed = ((name, parse_bucket_name(name)) for name in os.listdir(cache_fd))
    return sorted(name for name, found in parsed if found is not None and found[0] in ROOTS_KINDS)


def _has_own(cache_fd: int, bucket: str) -> bool:
    try:
        with _own_folder(cache_fd, bucket):
            return True
    except OSError:
        return False


@contextmanager
def _own_folder(cache_fd: int, bucket: str) -> Iterator[int]:
    bucket_fd = open_folder(cache_fd, bucket)
    try:
        fd = open_own_folder(bucket_fd, trusted_owners(cache_fd))
    finally:
        os.close(bucket_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _examine(cache_fd: int, bucket: str, wanted: WantedRoots) -> PlantedBucket:
    total = len(wanted.archives) if bucket in wanted.buckets else 0
    try:
        with _own_folder(cache_fd, bucket) as fd:
            since_ns = os.fstat(fd).st_mtime_ns
            found = _look(fd, wanted.roots if total else {}, wanted.seal_ns)
            return PlantedBucket(
                bucket,
                since_ns,
                len(found.missing) + len(found.wrong),
                stale=frozenset(found.stale.values()),
                foreign=found.foreign,
            )
    except FileNotFoundError:
        return PlantedBucket(bucket, None, total)
    except OSError as error:
        return PlantedBucket(bucket, None, total, problem=_words(error))


@frozen
class _RootNames:
    """Names in our folder: wanted and absent, wanted but saying something else, others."""

    missing: Collection[str] = ()
    wrong: Collection[str] = ()
    stale: Mapping[str, ArchiveId] = field(default_factory=dict)
    unfinished: Collection[str] = ()
    foreign: int = 0
    sealed: bool = False


def _look(fd: int, roots: Mapping[str, ArchiveId], seal_ns: int) -> _RootNames:
    """Compare an open folder of ours with the roots that should be in it."""
    sealed = bool(roots) and os.fstat(fd).st_mtime_ns % NANOSECONDS == seal_ns
    present = set(os.listdir(fd)) - {MARKER}
    if sealed and present == roots.keys():
        return _RootNames(sealed=True)
    others = present - roots.keys()
    stale = {name: archive for name in others if (archive := archive_of(name)) is not None}
    unfinished = [name for name in others if name.startswith(UNFINISHED)]
    return _RootNames(
        missing=roots.keys() - present,
        wrong=()
        if sealed
        else [n for n in roots.keys() & present if _text(fd, n) != root_target(roots[n])],
        stale=stale,
        unfinished=unfinished,
        foreign=len(others) - len(stale) - len(unfinished),
        sealed=sealed,
    )


def _text(fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError:
        return None


def plant_bucket(
    place: Planting,
    bucket: str,
    wanted: WantedRoots,
    *,
    removable: Collection[ArchiveId] | None,
) -> PlantedBucket:
    """Plant in one bucket, which is made where it is missing.

    Stale roots of ``removable`` archives are removed (None: all of them).
    """
    try:
        bucket_fd = open_or_make_folder(
            place.parent_fd, bucket, place.bucket_rights, place.workshop_fd
        )
        try:
            fd = open_or_make_own_folder(
                bucket_fd, place.own_rights, place.trusted, place.workshop_fd
            )
        finally:
            os.close(bucket_fd)
    except OSError as error:
        return PlantedBucket(bucket, None, len(wanted.archives), problem=_words(error))
    try:
        return _plant_in(fd, bucket, wanted, removable)
    finally:
        os.close(fd)


def _plant_in(
    fd: int, bucket: str, wanted: WantedRoots, removable: Collection[ArchiveId] | None
) -> PlantedBucket:
    found = _look(fd, wanted.roots, wanted.seal_ns)
    problem = ""
    going: list[str] = []
    planted = removed = taken = 0
    try:
        for name in (*found.missing, *found.wrong):
            if _link(fd, name, root_target(wanted.roots[name])):
                planted += 1
            else:
                taken += 1
        # New roots first: at no moment is less protected than before and after.
        for name in _going(found, removable):
            if _remove(fd, name):
                going.append(name)
            else:
                taken += 1
        for name in found.unfinished:
            _remove(fd, name)
        removed = len(going)
    except FileNotFoundError:
        # The folder itself was removed under our hands: nothing to complain of.
        pass
    except OSError as error:
        problem = _words(error)
    else:
        if taken:
            problem = _taken_words(taken)
        elif planted or removed or found.unfinished or not found.sealed:
            seal(fd, wanted.seal_ns)
    return PlantedBucket(
        bucket,
        os.fstat(fd).st_mtime_ns,
        missing=len(found.missing) + len(found.wrong) - planted,
        stale=frozenset(found.stale[n] for n in found.stale.keys() - set(going)),
        planted=planted,
        removed=removed,
        foreign=found.foreign,
        problem=problem,
    )


def _going(found: _RootNames, removable: Collection[ArchiveId] | None) -> list[str]:
    return [n for n, archive in found.stale.items() if removable is None or archive in removable]


def _link(fd: int, name: str, target: str) -> bool:
    """Make a root say what it should, in one step; False where a folder of others has its name."""
    try:
        os.symlink(target, name, dir_fd=fd)
    except FileExistsError:
        unfinished = f"{UNFINISHED}{os.urandom(4).hex()}"
        os.symlink(target, unfinished, dir_fd=fd)
        try:
            os.replace(unfinished, name, src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError:
            if not _remove(fd, name):
                os.unlink(unfinished, dir_fd=fd)
                return False
            os.rename(unfinished, name, src_dir_fd=fd, dst_dir_fd=fd)
    return True


def _remove(fd: int, name: str) -> bool:
    """Remove what has a root's name; whether it is gone.

    A folder with things in it is no root of ours: a user who may write here can
    have moved another user's here.
    """
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        try:
            os.rmdir(name, dir_fd=fd)
        except OSError:
            return False
    return True


def seal(fd: int, seal_ns: int) -> None:
    """Mark a folder whose links were all seen to be right; see ``WantedRoots.seal_ns``."""
    second = time.time_ns() // NANOSECONDS - 1
    try:
        os.utime(fd, ns=(os.fstat(fd).st_atime_ns, second * NANOSECONDS + seal_ns))
    except PermissionError:
        # The folder is another's: then each look reads its links.
        pass


def _withdraw(cache_fd: int, bucket: str, removable: Collection[ArchiveId] | None) -> PlantedBucket:
    """Remove roots (None: all), then our folder and the bucket, if nothing else is in them."""
    removed = 0
    stale: frozenset[ArchiveId] = frozenset()
    foreign = 0
    since_ns: int | None = None
    try:
        bucket_fd = open_folder(cache_fd, bucket)
    except OSError as error:
        return PlantedBucket(bucket, None, 0, problem=_unless_missing(error))
    try:
        fd = open_own_folder(bucket_fd, trusted_owners(cache_fd))
        try:
            found = _look(fd, {}, 0)
            going = [name for name in _going(found, removable) if _remove(fd, name)]
            unfinished = [name for name in found.unfinished if _remove(fd, name)]
            removed = len(going) + len(unfinished)
            stale = frozenset(found.stale[n] for n in found.stale.keys() - set(going))
            foreign = found.foreign
            since_ns = os.fstat(fd).st_mtime_ns
            if not stale and not foreign:
                _remove(fd, MARKER)
        finally:
            os.close(fd)
        if not stale and not foreign:
            os.rmdir(ROOTS_FOLDER, dir_fd=bucket_fd)
            since_ns = None
            _remove_empty(cache_fd, bucket)
        words = format_count(foreign, "entry", "entries")
        problem = f"{words} in it {verb(foreign, 'is', 'are')} not ours"
        problem = problem if foreign and not stale else ""
        if removable is None and stale:
            problem = _taken_words(len(stale))
    except FileNotFoundError:
        # Nothing of ours in it, or gone meanwhile.
        _remove_empty(cache_fd, bucket)
        problem = ""
    except OSError as error:
        problem = _words(error)
    finally:
        os.close(bucket_fd)
    return PlantedBucket(
        bucket, since_ns, 0, stale=stale, removed=removed, foreign=foreign, problem=problem
    )


def _remove_empty(cache_fd: int, bucket: str) -> None:
    """Remove a bucket that nothing is left in: uv leaves none empty, so it was ours."""
    try:
        os.rmdir(bucket, dir_fd=cache_fd)
    except OSError:
        # Something is in it, or we may not: an empty folder does no harm.
        pass


def _taken_words(number: int) -> str:
    return f"{number} of its names are folders with things in them that are not ours"


def _words(error: OSError) -> str:
    return failure("", error).reason


def _unless_missing(error: OSError) -> str:
    return "" if isinstance(error, FileNotFoundError) else _words(error)
