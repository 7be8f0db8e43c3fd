"""A view of the disk in which removals are noted and nothing is touched.

Paths are absolute and real, as uv has them after ``canonicalize``. What was
noted as removed is gone for every later step, also as a place that links lead
through. A path outside the cache can be noted too: releases before 0.11.20
follow links out of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from cacheadmin.fs.small_files import ReadFailure, open_directory, read_file
from cacheadmin.readers import note_step
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER, trial_name, tripwire_text
from cacheadmin.values import frozen

_MAX_LINKS = 40


@frozen
class FolderEntry:
    """One name in a folder, as it is itself: links are not followed."""

    name: str
    """The name in its folder."""
    path: str
    """Absolute path: that of the listed folder, and the name."""
    is_folder: bool
    """Whether it is a folder; a link to one is none."""
    is_link: bool
    """Whether it is a symbolic link."""


class Tree:
    """The cache at ``root`` (a real path), minus what was noted as removed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._prefix = root.rstrip("/") + "/"
        self.removed: dict[str, None] = {}
        self._real_folders: dict[str, str | None] = {}
        self._plain: set[str] = set()

    def remove(self, path: str) -> None:
        """Note a removal: of a link itself, or of a folder with all below."""
        if not self.is_gone(path):
            self.removed[path] = None

    def is_gone(self, path: str) -> bool:
        """Whether a path, or a folder above it, was removed."""
        if not self.removed:
            return False
        while len(path) > 1:
            if path in self.removed:
                return True
            path = path.rpartition("/")[0]
        return False

    def tops(self) -> list[str]:
        """Return what was removed, without what lies below something else that was."""
        return [path for path in self.removed if not self.is_gone(path.rpartition("/")[0])]

    def entries(self, folder: str) -> list[FolderEntry] | None:
        """Return what a folder holds now; None when it is missing."""
        if self.is_gone(folder):
            return None
        note_step()
        try:
            fd = open_directory(folder, follow=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            with os.scandir(fd) as found:
                return [
                    FolderEntry(
                        entry.name,
                        f"{folder}/{entry.name}",
                        entry.is_dir(follow_symlinks=False),
                        entry.is_symlink(),
                    )
                    for entry in found
                    if f"{folder}/{entry.name}" not in self.removed
                ]
        finally:
            os.close(fd)

    def walk(
        self, folder: str, skip: Callable[[FolderEntry], bool] | None = None
    ) -> Iterator[FolderEntry]:
        """Yield a folder, then everything below it; each folder before its content.

        Links are not followed, but the first folder may be one, as in uv's
        walk. ``skip`` leaves out an entry and all below it. What the caller
        removes meanwhile is not visited.
        """
        first = FolderEntry(os.path.basename(folder), folder, True, False)
        waiting = [first]
        while waiting:
            entry = waiting.pop()
            if self.is_gone(entry.path):
                continue
            yield entry
            if entry.is_folder:
                inside = self.entries(entry.path) or ()
                waiting.extend(inner for inner in inside if skip is None or not skip(inner))

    def is_folder(self, path: str) -> bool:
        """Whether a path leads to a folder, links followed."""
        real = self.canonicalize(path)
        return real is not None and stat.S_ISDIR(os.lstat(real).st_mode)

    def is_file(self, path: str) -> bool:
        """Whether a path leads to a regular file, links followed."""
        real = self.canonicalize(path)
        return real is not None and stat.S_ISREG(os.lstat(real).st_mode)

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file's content, links followed; None when it can't be read."""
        real = self.canonicalize(path)
        content = None if real is None else read_file(real, limit)
        return None if isinstance(content, ReadFailure) else content

    def canonicalize(self, path: str) -> str | None:
        """Return the real path of something that exists; None when it does not.

        Like realpath(3), in the world after the removals noted so far.
        """
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return self._resolve(path)
        real_folder = self._real_folder(folder)
        if real_folder is None:
            return None
        inner = f"{real_folder.rstrip('/')}/{name}"
        if self.is_gone(inner):
            return None
        try:
            status = os.lstat(inner)
            if not stat.S_ISLNK(status.st_mode):
                return inner
            target = self._text(inner)
        except OSError:
            return None
        return self._resolve(target, "" if target.startswith("/") else real_folder, 1)

    def _text(self, link: str) -> str:
        """Return what a link says. A tripwire is not read: that would be a use."""
        if link.startswith(self._prefix):
            entry = link.removeprefix(self._prefix)
            name, text = trial_name(entry), tripwire_text(entry)
            place = f"{self._prefix}{ARCHIVES}/{TRIAL_FOLDER}/{name}"
            # A way back lies there where the entry is not on trial any more.
            if name and text and os.path.isdir(place) and not os.path.islink(place):
                return text
        return os.readlink(link)

    def _real_folder(self, folder: str) -> str | None:
        if folder not in self._real_folders:
            self._real_folders[folder] = self._resolve(folder or "/")
        real = self._real_folders[folder]
        return None if real is None or self.is_gone(real) else real

    def _resolve(self, path: str, current: str = "", links: int = 0) -> str | None:
        """Resolve one component after the other, from a real folder on.

        None for a missing one or a loop. What was seen to be no link is not
        looked at again: thousands of pointers lead through the same folders.
        """
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if self.is_gone(current):
                    return None
                current = current.rpartition("/")[0]
                continue
            inner = f"{current}/{part}"
            if inner in self._plain:
                current = inner
                continue
            try:
                is_link = stat.S_ISLNK(os.lstat(inner).st_mode)
                target = self._text(inner) if is_link else ""
            except OSError:
                return None
            if self.is_gone(inner):
                return None
            if not is_link:
                self._plain.add(inner)
                current = inner
                continue
            links += 1
            if links > _MAX_LINKS:
                return None
            if target.startswith("/"):
                current = ""
            waiting += target.split("/")[::-1]
        return None if self.is_gone(current) else current or "/"
