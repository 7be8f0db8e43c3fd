"""Notice at once when roots vanish: inotify, and a cheap comparison where there is none.

The kernel tells of what happens on this host alone. On a network filesystem
another host's prune is noticed by comparing times and inodes of the folders,
two dozen calls; the same is done now and then on a local one, in case a
notice was lost.

Folders are watched by descriptor (``/proc/self/fd``), never by path: a user
who puts a link in a bucket's place must not have us watch another user's home.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from enum import Enum
from itertools import islice

from cacheadmin.fs.inotify import (
    COMES_AND_GOES,
    DELETE,
    MOVED_FROM,
    MOVED_TO,
    ONLY_FOLDERS,
    OVERFLOW,
    add_watch,
    notices,
    open_inotify,
)
from cacheadmin.protect.folders import open_folder
from cacheadmin.protect.roots import ARCHIVES, ROOTS_FOLDER
from cacheadmin.uv.layout import ROOTS_KINDS, parse_bucket_name
from cacheadmin.values import frozen

# A root that is planted is no news; one that goes, or is renamed over, is.
_GOES = MOVED_FROM | MOVED_TO | DELETE

# Real source buckets have six folders.
_LOOKED_AT = 64


class News(Enum):
    """What happened, as far as a guard is concerned.

    ``BUCKET``: a bucket, our folder in one, or the lock came or went.
    ``ROOTS``: roots went. ``ARCHIVES``: archives came or went.
    """

    BUCKET = 1
    ROOTS = 2
    ARCHIVES = 3


@frozen
class _Watched:
    kind: News
    path: str


class Watches:
    """inotify on a cache's root, its archives, the buckets with roots, and our folders there.

    ``fd`` becomes readable when something happens. Raises OSError where the
    kernel has no inotify, or no more of it for this user.
    """

    def __init__(self) -> None:
        self.fd: int = open_inotify()
        self._watched: dict[int, _Watched] = {}

    def close(self) -> None:
        """Forget everything."""
        os.close(self.fd)

    def renew(self, cache_fd: int, buckets: tuple[str, ...]) -> None:
        """Watch everything that is there now; what is watched already costs a call.

        A folder that was removed is not watched any more, and one made in its
        place is new. What can't be watched is left to the comparison.
        """
        self._watch(cache_fd, News.BUCKET, "", COMES_AND_GOES)
        try:
            self._watch_inside(cache_fd, ARCHIVES, News.ARCHIVES, COMES_AND_GOES)
            for bucket in buckets:
                fd = self._watch_inside(cache_fd, bucket, News.BUCKET, COMES_AND_GOES, keep=True)
                if fd is not None:
                    try:
                        self._watch_inside(fd, ROOTS_FOLDER, News.ROOTS, _GOES)
                    finally:
                        os.close(fd)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def read(self) -> frozenset[News]:
        """Return what happened since the last time; nothing when nothing did."""
        return frozenset(self._news())

    def _news(self) -> Iterator[News]:
        for watch, mask, name in notices(self.fd):
            if mask & OVERFLOW:
                yield from News
                continue
            watched = self._watched.get(watch)
            if watched is not None and mask & COMES_AND_GOES and _concerns(watched, name):
                yield watched.kind

    def _watch_inside(
        self, parent_fd: int, name: str, kind: News, mask: int, *, keep: bool = False
    ) -> int | None:
        try:
            fd = open_folder(parent_fd, name)
        except OSError:
            return None
        try:
            self._watch(fd, kind, name, mask)
        except OSError:
            os.close(fd)
            raise
        if keep:
            return fd
        os.close(fd)
        return None

    def _watch(self, fd: int, kind: News, path: str, mask: int) -> None:
        place = f"/proc/self/fd/{fd}".encode()
        watch = add_watch(self.fd, place, mask | ONLY_FOLDERS)
        self._watched[watch] = _Watched(kind, path)


def _concerns(watched: _Watched, name: str) -> bool:
    """Whether something of this name matters there: every install makes `.tmp*` in the root."""
    if watched.kind is not News.BUCKET:
        return True
    if watched.path:
        return name == ROOTS_FOLDER
    parsed = parse_bucket_name(name)
    return name == ".lock" or (parsed is not None and parsed[0] in ROOTS_KINDS | {"archive"})


Fingerprint = tuple[tuple[int, int], ...]


def fingerprint(cache_fd: int, buckets: tuple[str, ...]) -> Fingerprint:
    """Return inode and change time (ns) of our folders, and of the archives' bucket, the last.

    No user can set a change time: equal fingerprints mean equal folders, to the
    grain of the filesystem's clock.
    """
    places = [(bucket, ROOTS_FOLDER) for bucket in buckets]
    return tuple(_identity_asked(cache_fd, place) for place in (*places, (ARCHIVES,)))


def _identity_asked(cache_fd: int, place: tuple[str, ...]) -> tuple[int, int]:
    """As ``identity``, asked of the server where a client would answer from its memory.

    On NFS a stat is answered from attributes that may be half a minute old;
    opening a folder asks the server (close-to-open; facts, NFS).
    """
    fds = [cache_fd]
    try:
        for name in place:
            fds.append(open_folder(fds[-1], name))
        status = os.fstat(fds[-1])
    except PermissionError:
        return identity(cache_fd, "/".join(place))
    except OSError:
        return (0, 0)
    finally:
        for fd in fds[1:]:
            os.close(fd)
    return status.st_ino, status.st_ctime_ns


def changed_since(cache_fd: int, bucket: str, moment_ns: int) -> bool:
    """Whether a bucket, or a folder right in it, changed after a moment: it is being worked on."""
    try:
        fd = open_folder(cache_fd, bucket)
    except OSError:
        return False
    try:
        with os.scandir(fd) as entries:
            statuses = [entry.stat(follow_symlinks=False) for entry in islice(entries, _LOOKED_AT)]
        return any(one.st_ctime_ns > moment_ns for one in (os.fstat(fd), *statuses))
    except OSError:
        # It goes as we look.
        return True
    finally:
        os.close(fd)


def identity(cache_fd: int, place: str) -> tuple[int, int]:
    """Return inode and change time (ns) of what is there, (0, 0) when nothing is."""
    try:
        # Only compared: a link on the way would make it look changed, no more.
        status = os.stat(place, dir_fd=cache_fd, follow_symlinks=False)
    except OSError:
        return (0, 0)
    return status.st_ino, status.st_ctime_ns
