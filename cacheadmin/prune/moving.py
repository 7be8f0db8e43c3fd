"""Move entries between cache and quarantine: renames only, through descriptors.

Parents are opened component by component without following links, so a user
who swaps a folder for a link moves nothing but his own. A rename that would
cross a filesystem or a project quota fails (EXDEV) and is never replaced by a
copy.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cacheadmin.fs.reading import open_directory, open_directory_beneath

ENTRIES = "entries"


@dataclass(slots=True)
class Moves:
    """What a batch of moves did: moved, vanished before, and failed with a reason."""

    moved: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    crossed: bool = False


class Parents:
    """Keeps the folders open that entries are moved from or to."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._open: dict[str, int] = {}

    def __enter__(self) -> Parents:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)

    def of(self, path: str) -> tuple[int, str]:
        """Return (descriptor of the parent, name) of a path below the root."""
        folder, _, name = path.rpartition("/")
        if folder not in self._open:
            self._open[folder] = open_directory_beneath(self._root_fd, folder)
        return self._open[folder], name

    def opened(self) -> Iterable[tuple[str, int]]:
        """Return the folders opened so far, with their descriptors."""
        return self._open.items()

    def times(self) -> dict[str, int]:
        """Return the modification times (ns) of the folders opened so far."""
        return {folder: os.fstat(fd).st_mtime_ns for folder, fd in self._open.items()}


def make_folders(root_fd: int, paths: Iterable[str]) -> None:
    """Make the parents of ``paths`` below an open folder, for us alone."""
    made: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder in made:
            continue
        made.add(folder)
        fd = os.dup(root_fd)
        for part in [part for part in folder.split("/") if part]:
            try:
                os.mkdir(part, 0o700, dir_fd=fd)
            except FileExistsError:
                pass
            inner = open_directory(part, fd)
            os.close(fd)
            fd = inner
        os.close(fd)


def move_out(paths: Iterable[str], source: Parents, target: Parents) -> Moves:
    """Rename each path from the cache into quarantine; go on past failures.

    The target names are free: each run has a folder of its own.
    """
    moves = Moves()
    for path in paths:
        try:
            source_fd, name = source.of(path)
            target_fd, _ = target.of(path)
            os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            moves.moved.append(path)
        except FileNotFoundError:
            moves.vanished.append(path)
        except OSError as error:
            moves.crossed |= error.errno == errno.EXDEV
            moves.failed.append((path, error.strerror or type(error).__name__))
    return moves


def put_back(
    cache_fd: int,
    entries_fd: int,
    paths: Sequence[str],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> Moves:
    """Move entries from quarantine to where they were, never over anything.

    In reverse order: what is pointed to comes back before what points to it.
    Where uv made the same path anew meanwhile, folders are merged: what is
    missing there comes back, what is there stays, and the leftovers are
    ``failed``. A parent folder that nobody else changed since the moves (its
    time equals ``after``) gets its time of ``before`` again.
    """
    with Parents(entries_fd) as source, Parents(cache_fd) as target:
        untouched = _untouched(target, paths, after)
        moves = _move_back(reversed(paths), source, target)
        for folder, fd in target.opened():
            if folder in untouched and folder in before:
                os.utime(fd, ns=(os.fstat(fd).st_atime_ns, before[folder]))
    return moves


def _untouched(target: Parents, paths: Sequence[str], after: Mapping[str, int]) -> set[str]:
    for path in paths:
        try:
            target.of(path)
        except OSError:
            continue
    return {folder for folder, moment in target.times().items() if after.get(folder) == moment}


def _move_back(paths: Iterable[str], source: Parents, target: Parents) -> Moves:
    moves = Moves()
    for path in paths:
        try:
            source_fd, _ = source.of(path)
            target_fd, name = target.of(path)
            problems = _put_back(source_fd, target_fd, name, path)
        except FileNotFoundError:
            moves.vanished.append(path)
            continue
        except OSError as error:
            problems = [(path, error.strerror or type(error).__name__)]
        if problems:
            moves.failed += problems
        else:
            moves.moved.append(path)
    return moves


def _put_back(source_fd: int, target_fd: int, name: str, path: str) -> list[tuple[str, str]]:
    status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
    try:
        there = os.stat(name, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        return []
    if not (stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(there.st_mode)):
        return [(path, "uv has made it anew; the newer one stays")]
    return _merge(source_fd, target_fd, name, path)


def _merge(source_fd: int, target_fd: int, name: str, path: str) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    inner_source = open_directory(name, source_fd)
    try:
        inner_target = open_directory(name, target_fd)
        try:
            for child in sorted(os.listdir(inner_source)):
                problems += _put_back(inner_source, inner_target, child, f"{path}/{child}")
        finally:
            os.close(inner_target)
    finally:
        os.close(inner_source)
    if not problems:
        os.rmdir(name, dir_fd=source_fd)
    return problems
