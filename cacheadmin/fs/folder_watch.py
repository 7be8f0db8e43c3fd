"""Which of very many folders have changed since a moment, without looking at each again.

Comparing the times of fifty thousand folders takes a tenth of a second or more,
which is too long to keep every user's uv waiting. inotify tells: watches are
opened on every folder before the lock is taken, and what has
happened since is read in microseconds.

The kernel tells of what happens on this host alone, and only so much at once.
Where it can't watch every folder, or has lost a notice, there is no answer,
and the caller compares times. A watch tells of names that come and go in a
folder, which is what moves its modification time.
"""

from __future__ import annotations

import errno
import os
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from cacheadmin.fs.inotify import (
    COMES_AND_GOES,
    DONT_FOLLOW,
    IS_FOLDER,
    ONLY_FOLDERS,
    OVERFLOW,
    UNMOUNT,
    add_watch,
    notices,
    open_inotify,
)
from cacheadmin.fs.mounts import mount_of

# Whatever happens to a folder there happens through this kernel, and by that one path. Not
# overlay: what changes in its layers is not told.
_TELLING = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "zfs", "bcachefs"})


class FolderWatch:
    """Watches folders below an open one, from when it is made.

    ``folders`` are relative paths. Raises OSError where not all of those that
    are there can be watched.
    """

    def __init__(self, root_fd: int, folders: Iterable[str]) -> None:
        self._fd: int = open_inotify()
        # Closed with the object that asks it: a look has no end of its own.
        self._closing = weakref.finalize(self, os.close, self._fd)
        self._watched: dict[int, str] = {}
        self._folders = frozenset(folders)
        # What lies below a folder stands together here: found without going through all.
        self._sorted = sorted(self._folders)
        self._changed: set[str] = set()
        self._is_lost = False
        try:
            self._watch(root_fd)
        except BaseException:
            self.close()
            raise

    def _watch(self, root_fd: int) -> None:
        root = f"/proc/self/fd/{root_fd}/".encode()
        mask = COMES_AND_GOES | ONLY_FOLDERS | DONT_FOLLOW
        # Those above, too: what is renamed there takes all below it along.
        above = {over for folder in self._folders for over in _folders_above(folder)}
        for folder in (*above, *(self._folders - above)):
            try:
                watch = add_watch(self._fd, root + os.fsencode(folder), mask)
            except (FileNotFoundError, NotADirectoryError):
                # What came in its place is a name that came in the folder above.
                continue
            if self._watched.setdefault(watch, folder) != folder:
                raise OSError(errno.ELOOP, "two of its folders are one")

    def changed(self) -> frozenset[str] | None:
        """Return the folders in which names came or went, since this was made.

        None where that can't be told any more: look at all of them.
        """
        if not self._is_lost:
            try:
                self._take()
            except OSError:
                self._is_lost = True
        return None if self._is_lost else frozenset(self._changed)

    def _take(self) -> None:
        moved: set[str] = set()
        for watch, mask, name in notices(self._fd):
            if mask & (OVERFLOW | UNMOUNT):
                self._is_lost = True
                return
            folder = self._watched.get(watch)
            if folder is None or not mask & COMES_AND_GOES:
                continue
            if folder in self._folders:
                self._changed.add(folder)
            if mask & IS_FOLDER:
                # Another folder may have that name now, and so may those below it.
                moved.add(f"{folder}/{name}" if folder else name)
        for folder in moved:
            self._changed.update(self._at_or_below(folder))

    def _at_or_below(self, folder: str) -> list[str]:
        first = bisect_left(self._sorted, f"{folder}/")
        # "0" comes after "/", and nothing between.
        below = self._sorted[first : bisect_left(self._sorted, f"{folder}0", first)]
        return [folder, *below] if folder in self._folders else below

    def close(self) -> None:
        """Watch no more."""
        self._is_lost = True
        self._closing()


def watch_folders(root_fd: int, path: str, folders: Iterable[str]) -> FolderWatch | None:
    """Watch folders below an open one; None where that can't be done, or does not tell all.

    ``path`` is where the open folder lies.
    """
    if mount_of(path).kind not in _TELLING:
        return None
    try:
        return FolderWatch(root_fd, folders)
    except OSError:
        return None


def _folders_above(path: str) -> Iterator[str]:
    """Yield each folder that a relative path lies in, the root ("") last."""
    while path:
        path = path.rpartition("/")[0]
        yield path
