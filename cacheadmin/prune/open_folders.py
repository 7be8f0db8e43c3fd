"""The folders that entries are moved from and to, held open.

Opened before uv's lock is taken, so that under it only renames remain. A
descriptor names one folder whatever happens to its path meanwhile. There may
be more folders than descriptors: the oldest are then closed, and opened again
when they are needed.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from cacheadmin.fs.new_folders import make_folder
from cacheadmin.fs.rights import Rights, read_rights, rights_below
from cacheadmin.fs.small_files import open_directory, open_directory_beneath
from cacheadmin.text.accounts import account_name

_WANTED_DESCRIPTORS = 65_536
_FEWEST = 16

# Permission bits of every user but the owner.
_OF_OTHERS = 0o077


class Parents:
    """Opens parents below one folder, following no link on the way.

    With ``make_missing`` a parent that is gone is made again: for putting back
    what must come back. It gets the rights that ``rights`` has for it, else
    those of the folder it is made in; ``workshop_fd`` is where it is made
    (``fs.new_folders``). A parent that others made in the meantime is no
    place for what comes back (`NotTheSameFolder`).
    """

    def __init__(
        self,
        root_fd: int,
        *,
        make_missing: bool = False,
        rights: Mapping[str, Rights] = MappingProxyType({}),
        workshop_fd: int | None = None,
        limit: int = 0,
    ) -> None:
        self._root_fd = root_fd
        self._make_missing = make_missing
        self._rights = rights
        self._workshop_fd = workshop_fd
        # Two of these live at once, and others need descriptors too.
        self._limit = limit or max(_FEWEST, _descriptors() // 4)
        self._open: dict[str, int] = {}
        self._seen: dict[str, None] = {}

    def __enter__(self) -> Parents:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def of(self, path: str) -> tuple[int, str]:
        """Return (descriptor of the parent, name) of a path below the root.

        The descriptor is good until the next call.
        """
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name

    def times(self) -> dict[str, int]:
        """Return the modification times (ns) of the folders asked for so far."""
        return {folder: status.st_mtime_ns for folder, status in self._statuses()}

    def set_times(self, moments_ns: dict[str, int]) -> None:
        """Give folders another modification time, where the caller may."""
        for folder, moment_ns in moments_ns.items():
            try:
                fd = self._folder(folder)
                os.utime(fd, ns=(os.fstat(fd).st_atime_ns, moment_ns))
            except OSError:
                # Another user's folder: its time then tells of the moves.
                continue

    def rights(self) -> dict[str, Rights]:
        """Return the rights of the folders asked for so far, and of all above them."""
        found: dict[str, Rights] = {}
        for folder in self._seen:
            parts = folder.split("/") if folder else []
            for length in range(1, len(parts) + 1):
                way = "/".join(parts[:length])
                if way not in found:
                    try:
                        found[way] = self._rights_at(way)
                    except OSError:
                        # Gone, or not ours to look at: made as in the folder above.
                        break
        return found

    def _rights_at(self, folder: str) -> Rights:
        fd = self._open.get(folder)
        if fd is not None:
            return read_rights(fd)
        fd = open_directory_beneath(self._root_fd, folder)
        try:
            return read_rights(fd)
        finally:
            os.close(fd)

    def _statuses(self) -> Iterator[tuple[str, os.stat_result]]:
        for folder in self._seen:
            fd = self._open.get(folder)
            try:
                yield folder, self._status(folder) if fd is None else os.fstat(fd)
            except OSError:
                continue

    def _status(self, folder: str) -> os.stat_result:
        return os.stat(folder or ".", dir_fd=self._root_fd, follow_symlinks=False)

    def _folder(self, folder: str) -> int:
        known = self._open.get(folder)
        if known is not None:
            return known
        fd = self._open_folder(folder)
        if len(self._open) >= self._limit:
            os.close(self._open.pop(next(iter(self._open))))
        self._open[folder] = fd
        self._seen[folder] = None
        return fd

    def _open_folder(self, folder: str) -> int:
        if not self._make_missing:
            return open_directory_beneath(self._root_fd, folder)
        fd = os.dup(self._root_fd)
        way = ""
        try:
            for part in [part for part in folder.split("/") if part]:
                way = f"{way}/{part}" if way else part
                inner = self._open_or_make(part, fd, way)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open_or_make(self, name: str, folder_fd: int, way: str) -> int:
        recorded = self._rights.get(way)
        try:
            fd = open_directory(name, folder_fd)
        except FileNotFoundError:
            rights = recorded or rights_below(folder_fd)
            return make_folder(folder_fd, name, rights, workshop_fd=self._workshop_fd)
        try:
            if recorded is not None:
                require_same_users(recorded, read_rights(fd), way)
        except BaseException:
            os.close(fd)
            raise
        return fd


class NotTheSameFolder(OSError):
    """Another process made a folder where another one was."""


def require_same_users(was: Rights, now: Rights, path: str) -> None:
    """Raise NotTheSameFolder unless what lay in one folder may as well lie in the other.

    It may where the folder has its owner of before, or belongs to root or the
    caller, or where the same group shares it with the very same rights; and
    what only its owner could see stays so. In any other folder its new owner
    could read and change what was not theirs.
    """
    private = not was.mode & _OF_OTHERS
    if now.uid in (was.uid, 0, os.geteuid()):
        same = not (private and now.mode & _OF_OTHERS)
    else:
        same = bool(was.mode & stat.S_IWGRP) and replace(was, uid=now.uid) == now
    if not same:
        words = f"{account_name(now.uid)} made another folder {path} meanwhile, which stays"
        raise NotTheSameFolder(errno.EEXIST, words, path)


def _descriptors() -> int:
    """Return how many files this process may open, after asking for enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    wanted = min(wanted, _WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
    return wanted
