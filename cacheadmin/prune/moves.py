"""Move entries between cache and quarantine: renames only, through descriptors.

Parents are opened component by component without following links, so a user
who swaps a folder for a link moves nothing but his own. A rename that would
cross a filesystem or a project quota fails (EXDEV) and is never replaced by a
copy.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import open_directory

if TYPE_CHECKING:
    from cacheadmin.prune.open_folders import Parents

ENTRIES = "entries"

_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class Moves:
    """What a batch of moves out did, by path relative to the cache."""

    moved: list[str] = field(default_factory=list)
    """What was moved to quarantine or on trial, in order."""
    vanished: list[str] = field(default_factory=list)
    """What was not there any more."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """What could not be moved: (path, why)."""
    held: list[str] = field(default_factory=list)
    """What stays because something that could not be moved leads to it.

    Some of it may have been moved before: that has to be put back.
    """
    late: list[str] = field(default_factory=list)
    """What was not moved because the time for moving was over."""
    crossed: bool = False
    """Whether a filesystem or project quota is in the way (EXDEV)."""


def make_folders(root_fd: int, paths: Iterable[str]) -> None:
    """Make the parents of ``paths`` below an open folder, for us alone."""
    made: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        if folder in made:
            continue
        made.add(folder)
        fd = os.dup(root_fd)
        try:
            for part in [part for part in folder.split("/") if part]:
                try:
                    os.mkdir(part, 0o700, dir_fd=fd)
                except FileExistsError:
                    pass
                inner = open_directory(part, fd)
                os.close(fd)
                fd = inner
        finally:
            os.close(fd)


def move_out(
    paths: Iterable[str],
    source: Parents,
    target: Parents,
    leads: Mapping[str, frozenset[str]],
    plant: Mapping[str, Callable[[str], None]] | None = None,
    deadline: float | None = None,
    fence: Callable[[], None] | None = None,
) -> Moves:
    """Rename each path from the cache into quarantine; go on past failures.

    Paths in ``plant`` go on trial instead, by the function given there. After
    ``deadline`` (by the monotonic clock) nothing more is begun. ``fence`` is asked
    before every move; what it raises ends them, and nothing is said of those before.

    ``leads`` maps a path to those of the others that it leads to. What a path
    leads to stays when the path itself can't be moved: nothing that stays may
    point at what goes. The target names are free, each run has a folder of
    its own.
    """
    moves = Moves()
    staying: set[str] = set()
    for path in paths:
        if path in staying:
            continue
        if deadline is not None and time.monotonic() > deadline:
            # What leads there went before: what is left is harmless garbage.
            moves.late.append(path)
            continue
        try:
            source_fd, name = source.of(path)
            if fence is not None:
                fence()
            if plant is not None and path in plant:
                plant[path](path)
            else:
                target_fd, _ = target.of(path)
                os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            moves.moved.append(path)
        except FileNotFoundError:
            moves.vanished.append(path)
        except OSError as error:
            moves.crossed |= error.errno == errno.EXDEV
            moves.failed.append((path, error.strerror or type(error).__name__))
            staying |= led_to((path,), leads)
    failed = {path for path, _ in moves.failed}
    moves.held = sorted(staying - failed)
    return moves


def led_to(paths: Iterable[str], leads: Mapping[str, frozenset[str]]) -> set[str]:
    """Return everything that paths lead to, directly or through others."""
    found: set[str] = set()
    waiting = list(paths)
    while waiting:
        for target in leads.get(waiting.pop(), _NOTHING):
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found
