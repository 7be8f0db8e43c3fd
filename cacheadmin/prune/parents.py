"""The folders that entries are moved from and to, held open.

Opened before uv's lock is taken, so that under it only renames remain. A
descriptor names one folder whatever happens to its path meanwhile. There may
be more folders than descriptors: the oldest are then closed, and opened anew
when they are needed again.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator

from cacheadmin.fs.reading import open_directory, open_directory_beneath

_WANTED_DESCRIPTORS = 65_536
_FEWEST = 16


class Parents:
    """Opens parents below one folder, following no link on the way.

    With ``make_missing`` a parent that is gone is made again, with owner and
    mode of the folder it is made in: for putting back what must come back.
    """

    def __init__(self, root_fd: int, *, make_missing: bool = False, limit: int = 0) -> None:
        self._root_fd = root_fd
        self._make_missing = make_missing
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
                # Somebody else's folder: its time then tells of the moves.
                continue

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
        try:
            return open_directory_beneath(self._root_fd, folder)
        except FileNotFoundError:
            if not self._make_missing:
                raise
        fd = os.dup(self._root_fd)
        try:
            for part in [part for part in folder.split("/") if part]:
                inner = _open_or_make(part, fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd


def _open_or_make(name: str, folder_fd: int) -> int:
    try:
        return open_directory(name, folder_fd)
    except FileNotFoundError:
        os.mkdir(name, 0o700, dir_fd=folder_fd)
    fd = open_directory(name, folder_fd)
    made, above = os.fstat(fd), os.fstat(folder_fd)
    # Only what we made just now, not what somebody put in its place.
    if made.st_uid == os.geteuid() and stat.S_IMODE(made.st_mode) & 0o777 == 0o700:
        if made.st_uid == 0:
            os.fchown(fd, above.st_uid, above.st_gid)
        os.fchmod(fd, stat.S_IMODE(above.st_mode))
    return fd


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
