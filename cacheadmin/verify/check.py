"""Check one archive against its RECORDs: every file, link and folder in it.

Users can write in what is checked. Everything is reached from the cache's
descriptor, folder by folder, following no link; a file is opened without
waiting for a FIFO's other end and read no further than RECORD says it is
long; a tree is entered no deeper than any uv release writes. A file that is
swapped while it is read is judged as the one that was opened. What is wrong
is counted, and a few are named: a user can make millions of wrong files.

An archive that a user's prune removes meanwhile has nothing wrong with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from cacheadmin.findings import Severity
from cacheadmin.fs.small_files import (
    failure,
    kind_words,
    open_directory,
    open_directory_beneath,
)
from cacheadmin.inventory.entries import Archive, archive_in
from cacheadmin.readers import note_step
from cacheadmin.verify.bytecode import is_cached
from cacheadmin.verify.comparison import compare, touched_now, unreadable
from cacheadmin.verify.compiled import inspect_compiled
from cacheadmin.verify.contents import ExpectedContents, read_contents
from cacheadmin.verify.problems import Problem, VerifyRule, is_code
from cacheadmin.verify.records import UNHASHED, Line
from cacheadmin.verify.rights import touched

# Hashed by other threads, while this one goes on.
DEFERRED = 8 * 1024 * 1024

# Real archives are 30 folders deep; each level holds a descriptor.
_MAX_DEPTH = 64

_EXAMPLES = 3

# No folder of a wheel has as many; each takes memory until all are sorted.
_MAX_ENTRIES = 250_000

# Where a link's text leads, read in a folder (absolute): relative to this cache, None outside it.
WhereInCache = Callable[[str, str], str | None]

Key = tuple[VerifyRule, Severity]


@dataclass(slots=True)
class ProblemGroup:
    """Problems of one rule and severity."""

    count: int = 0
    """How many there are."""
    examples: list[Problem] = field(default_factory=list)
    """The first few of them."""

    def add(self, problem: Problem) -> None:
        """Count a problem; keep it while there are few."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(problem)


@dataclass(slots=True)
class CheckedArchive:
    """What checking one archive gave."""

    archive: Archive
    """The archive that was checked."""
    found: dict[Key, ProblemGroup] = field(default_factory=dict)
    """What is wrong, by rule and severity."""
    files: int = 0
    """How many files were compared with RECORD, the deferred ones included."""
    bytes: int = 0
    """The bytes of these files, as RECORD has them."""
    deferred: list[tuple[str, Line]] = field(default_factory=list)
    """Large files that are still to be checked with `check_deferred`: (path, line)."""
    gone: bool = False
    """Whether the archive was removed meanwhile: then nothing is wrong with it."""
    name: str | None = None
    """The name in a wheel's METADATA; None where unknown, or for an environment."""
    version: str | None = None
    """The version in a wheel's METADATA; None where unknown, or for an environment."""
    lists_compiled: bool = False
    """Whether compiled files are part of it, or may be: not all that ends so is Python's making."""

    def add(self, problem: Problem) -> None:
        """Count a problem."""
        self.found.setdefault((problem.rule, problem.severity), ProblemGroup()).add(problem)


def check_archive(
    cache_fd: int, cache_path: str, archive: Archive, where_in_cache: WhereInCache
) -> CheckedArchive:
    """Return what is wrong with an archive; its largest files are left to the caller."""
    checked = CheckedArchive(archive)
    try:
        fd = open_directory_beneath(cache_fd, archive.path)
    except OSError as error:
        _not_entered(cache_fd, checked, error)
        return checked
    try:
        root = f"{cache_path.rstrip('/')}/{archive.path}"
        _ArchiveWalk(fd, cache_fd, root, checked, where_in_cache).check()
        if _is_gone(cache_fd, archive.path):
            return CheckedArchive(archive, gone=True)
    except OSError as error:
        checked.add(unreadable("", failure(archive.path, error)))
    finally:
        os.close(fd)
    return checked


def check_deferred(cache_fd: int, archive: Archive, path: str, line: Line) -> list[Problem]:
    """Check one file that `check_archive` left; return what is wrong with it."""
    folder, _, name = f"{archive.path}/{path}".rpartition("/")
    try:
        fd = open_directory_beneath(cache_fd, folder)
    except OSError:
        # The walk has just seen that folder: it goes with the archive, or a user swaps it.
        if not os.path.lexists(f"/proc/self/fd/{cache_fd}/{archive.path}"):
            return []
        return [Problem(VerifyRule.FILE_MISSING, Severity.ERROR, path, "swapped, or gone")]
    try:
        problem = compare(fd, name, path, line)
    finally:
        os.close(fd)
    return [] if problem is None else [problem]


class _ArchiveWalk:
    """One walk through one archive."""

    def __init__(
        self,
        fd: int,
        cache_fd: int,
        root: str,
        checked: CheckedArchive,
        where_in_cache: WhereInCache,
    ) -> None:
        self._fd = fd
        self._cache_fd = cache_fd
        self._root = root
        self._checked = checked
        self._where_in_cache = where_in_cache
        self._device = os.fstat(fd).st_dev
        self._unread: set[str] = set()
        self._contents: ExpectedContents = read_contents(fd, checked.archive.uid)
        self._left = dict(self._contents.lines)

    def check(self) -> None:
        checked, contents = self._checked, self._contents
        checked.name, checked.version = contents.name, contents.version
        checked.lists_compiled = contents.lists_compiled
        for problem in contents.problems:
            checked.add(problem)
        # Without a list nothing in it is extra: that there is none is the finding.
        if contents.lines or contents.is_environment:
            self._folder(self._fd, "", 0)
            self._missing()

    def _missing(self) -> None:
        for path in self._left:
            if self._unread and self._is_unread(path):
                continue
            # Python makes these again; a module that is compiled and nothing else, it can't.
            hashed = self._contents.lines[path].digest is not None
            if path.endswith(".pyc") and (is_cached(path) or not hashed):
                continue
            rule = VerifyRule.FILE_MISSING
            self._checked.add(Problem(rule, Severity.ERROR, path, "not there"))

    def _is_unread(self, path: str) -> bool:
        """Whether a path lies in a folder that could not be looked at, "" being the archive."""
        end = 0
        for _ in range(_MAX_DEPTH + 2):
            if path[:end] in self._unread:
                return True
            end = path.find("/", end + 1)
            if end < 0:
                break
        return False

    def _folder(self, fd: int, path: str, depth: int) -> None:
        folders = []
        note_step()
        with os.scandir(fd) as listing:
            entries = list(islice(listing, _MAX_ENTRIES + 1))
        if len(entries) > _MAX_ENTRIES:
            self._unread.add(path)
            what = f"more than the {_MAX_ENTRIES} entries that any wheel's folder has"
            self._checked.add(Problem(VerifyRule.UNREADABLE, Severity.ERROR, path, what))
            return
        # In the order of inodes: near each other on disks that turn.
        for entry in sorted(entries, key=os.DirEntry.inode):
            inner = f"{path}/{entry.name}" if path else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.name, inner))
            elif entry.is_symlink():
                self._link(fd, entry.name, inner, path)
            else:
                self._file(fd, entry.name, inner)
        for name, inner in folders:
            if inner in self._left:
                del self._left[inner]
                self._changed(fd, name, inner, "a folder")
            if depth >= _MAX_DEPTH:
                self._unread.add(inner)
                what = "deeper than any uv release writes"
                rule = VerifyRule.UNREADABLE
                self._checked.add(Problem(rule, Severity.ERROR, inner, what))
                continue
            self._enter(fd, name, inner, depth)

    def _enter(self, parent_fd: int, name: str, path: str, depth: int) -> None:
        try:
            fd = open_directory(name, parent_fd)
        except OSError as error:
            problem = failure(path, error)
            if not problem.missing:
                self._unread.add(path)
                self._checked.add(unreadable(path, problem))
            return
        try:
            if os.fstat(fd).st_dev != self._device:
                self._unread.add(path)
                what = "another filesystem is mounted there"
                rule = VerifyRule.UNREADABLE
                self._checked.add(Problem(rule, Severity.ERROR, path, what))
                return
            self._folder(fd, path, depth + 1)
        except OSError as error:
            self._unread.add(path)
            self._checked.add(unreadable(path, failure(path, error)))
        finally:
            os.close(fd)

    def _file(self, fd: int, name: str, path: str) -> None:
        note_step()
        line = self._left.pop(path, None)
        if line is None:
            self._extra(fd, name, path)
            return
        if line.digest is None and name.endswith(".pyc"):
            self._compiled(fd, name, path, listed=True)
            return
        if line.digest is None and line.size_bytes is None:
            return
        size = line.size_bytes
        self._checked.files += 1
        self._checked.bytes += size or 0
        others = self._contents.others.get(path, ())
        if size is not None and size > DEFERRED and not others:
            self._checked.deferred.append((path, line))
            return
        problem = compare(fd, name, path, line)
        if problem is None or any(
            other.digest is not None and compare(fd, name, path, other) is None for other in others
        ):
            return
        self._checked.add(problem)

    def _compiled(self, fd: int, name: str, path: str, *, listed: bool) -> None:
        """Judge a compiled file that no hash is known of; one in RECORD is expected there."""
        problem = inspect_compiled(fd, name, path, self._checked.archive.uid)
        if problem is not None and listed:
            if problem.severity is Severity.INFO:
                return
            # It may be all there is of a module: to be replaced, not removed.
            rule, what = VerifyRule.RECORD_UNSAFE, f"no hash of it; {problem.what}"
            problem = Problem(rule, Severity.WARNING, path, what, problem.touched)
        if problem is not None:
            self._checked.add(problem)

    def _changed(self, fd: int, name: str, path: str, what: str) -> None:
        when = touched_now(fd, name)
        rule = VerifyRule.FILE_CHANGED
        self._checked.add(Problem(rule, Severity.ERROR, path, what, when))

    def _link(self, fd: int, name: str, path: str, folder: str) -> None:
        listed = self._left.pop(path, None) is not None
        try:
            text = os.readlink(name, dir_fd=fd)
        except OSError:
            # Gone, or no link any more: who swaps what is listed hides nothing by that.
            if listed:
                self._changed(fd, name, path, "swapped while it was looked at")
            return
        if self._contents.belongs_to_environment(path):
            return
        absolute = f"{self._root}/{folder}".rstrip("/")
        place = self._where_in_cache(text, absolute) if self._contents.is_environment else None
        if place is not None and archive_in(place) is not None:
            self._link_to_archive(fd, name, path, place)
            return
        resolved = os.path.normpath(os.path.join(absolute, text))
        leaves = not resolved.startswith(f"{self._root}/")
        # Another file of the wheel in the place of one is another wheel.
        serious = leaves or listed or is_code(path)
        severity = Severity.ERROR if serious else Severity.WARNING
        what = f"leads to {text[:200]}" + ("" if leaves else ", in the archive")
        rule = VerifyRule.LINK_IN_ARCHIVE
        self._checked.add(Problem(rule, severity, path, what, touched_now(fd, name)))

    def _link_to_archive(self, fd: int, name: str, path: str, place: str) -> None:
        """Judge a link as uv makes them in symlink mode; the file is checked where it lies.

        ``place`` is ``archive-v0/<id>/...``: the same way as in site-packages,
        or the same name in a ``.data`` folder.
        """
        inner = place.split("/", 2)[-1]
        own = path.partition("/site-packages/")[2] or path
        moved = ".data/" in inner and inner.rpartition("/")[2] == name
        if inner != own and not moved:
            what = f"leads to another file, {place}"
            rule = VerifyRule.LINK_IN_ARCHIVE
            self._checked.add(Problem(rule, Severity.ERROR, path, what, touched_now(fd, name)))
            return
        try:
            os.stat(place, dir_fd=self._cache_fd, follow_symlinks=False)
        except OSError as error:
            if failure(place, error).missing:
                what = f"leads to {place}, which is gone"
                rule = VerifyRule.FILE_MISSING
                self._checked.add(Problem(rule, Severity.ERROR, path, what))

    def _extra(self, fd: int, name: str, path: str) -> None:
        contents = self._contents
        if name.endswith(".pyc"):
            self._compiled(fd, name, path, listed=False)
            return
        if contents.belongs_to_environment(path):
            return
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return
        special = not stat.S_ISREG(status.st_mode)
        # A signature is never listed, and RECORD need not be.
        folder = path.rpartition("/")[0]
        if not special and name in UNHASHED and folder.endswith(".dist-info"):
            return
        severity = Severity.ERROR if special or is_code(path) else Severity.WARNING
        what = kind_words(status.st_mode) if special else "not in RECORD"
        when = touched(status, name, fd)
        self._checked.add(Problem(VerifyRule.FILE_EXTRA, severity, path, what, when))


def _not_entered(cache_fd: int, checked: CheckedArchive, error: OSError) -> None:
    """Say why an archive can't be looked at: it is gone, or no folder, or closed."""
    path = checked.archive.path
    try:
        text = os.readlink(path, dir_fd=cache_fd)
    except OSError:
        checked.gone = _is_gone(cache_fd, path)
        if not checked.gone:
            checked.add(unreadable("", failure(path, error)))
        return
    # uv follows it, and so runs what a user has elsewhere.
    what = f"it leads to {text[:200]}, and what is there was not looked at"
    folder, _, name = path.rpartition("/")
    try:
        folder_fd = open_directory_beneath(cache_fd, folder)
    except OSError:
        when = None
    else:
        when = touched_now(folder_fd, name)
        os.close(folder_fd)
    checked.add(Problem(VerifyRule.LINK_IN_ARCHIVE, Severity.ERROR, "", what, when))


def _is_gone(cache_fd: int, path: str) -> bool:
    """Whether an archive is gone. Another one in its place is not: no uv uses a name twice."""
    try:
        os.stat(path, dir_fd=cache_fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return False
