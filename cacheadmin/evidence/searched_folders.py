"""What earlier searches saw of folders, and whether it still holds. Pure: reads no disk.

Homes are searched whole, and nearly all of their folders are as they were
yesterday. What is remembered of one is the names of the folders in it, and only of
one in which there is nothing else that a search would tell of: no environment,
no link into a cache, no ``.venv`` that leads elsewhere. A folder's change time moves
with each name that comes, goes or is replaced in it, and no user can set it
(``fs.precise_times``). So where path, device, inode and change time are as they were,
what is remembered is what listing would show, and one ``stat`` tells it. The path is
compared because inodes of overlays and numbers of devices alone may be had twice.

All the same everything is listed again every ``scan.full_every``, and the looks
after the plan's never ask this memory. Losing it costs time, nothing else.

What is remembered of a tree is that tree's alone: what the reader of one account's
folders says is never believed of another's.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from cacheadmin.fs.precise_times import Devices, LookTime
from cacheadmin.values import frozen

if TYPE_CHECKING:
    import os

# Raised with every change of what a search sees, or of how it is written down here.
_FORMAT = 1

# Folders of one tree: more could not be looked at again before entries are moved (`search`).
_MOST = 300_000

# Rows of folders that have changed since stay until there are so many of them for each that holds.
_STALE_FOR_EACH = 2
_FEW = 1_000

# Full searches of trees that were first searched in one night are not all due in one night.
_SPREAD = 4

_NUMBERS = "Q"
_COLUMNS = 4
_BETWEEN_FOLDERS = "\0"
_BETWEEN_NAMES = "/"

TreeKey = tuple[str, int, str]
"""The top of a search, the account (-1: unknown), and the folder where it is searched by itself."""


@frozen
class SeenFolders:
    """Folders that hold nothing but folders, each with the names of these."""

    rows: bytes = b""
    """Checksum of the path, device, inode and change time (ns) of each, 64 bits each."""
    names: str = ""
    """For each, in the same order: names with "/" between them; NUL between folders."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rows) // (_COLUMNS * array(_NUMBERS).itemsize)

    def is_whole(self) -> bool:
        """Whether rows and names belong together."""
        whole = len(self.rows) == self.count * _COLUMNS * array(_NUMBERS).itemsize
        return whole and len(self._texts()) == self.count

    def by_status(self) -> dict[tuple[int, int, int, int], str]:
        """Return the names in each folder, by what a row has of it."""
        numbers = array(_NUMBERS, self.rows)
        columns = (numbers[start::_COLUMNS] for start in range(_COLUMNS))
        return dict(zip(zip(*columns, strict=True), self._texts(), strict=True))

    def _texts(self) -> list[str]:
        return self.names.split(_BETWEEN_FOLDERS) if self.rows else []


class Recall:
    """What is remembered of one tree, and what this search adds to it. For readers."""

    def __init__(self, before: SeenFolders, devices: Devices) -> None:
        self._known = before.by_status()
        self._devices = devices
        self._begun = LookTime.now()
        self._numbers = array(_NUMBERS)
        self._texts: list[str] = []

    def folders_in(self, path: str, status: os.stat_result) -> list[str] | None:
        """Return the names of the folders in a folder that is as it was; None for any other.

        ``status``: what ``stat`` just said of it.
        """
        text = self._known.get(_row(path, status))
        if text is None:
            return None
        return text.split(_BETWEEN_NAMES) if text else []

    def note(self, path: str, status: os.stat_result, names: Iterable[str]) -> None:
        """Remember the folders in a folder that holds nothing else; ``status``: before its listing.

        Not where its times may hide a later change.
        """
        changed_ns = status.st_ctime_ns
        if changed_ns > 0 and self._begun.tells(changed_ns):
            if not self._devices.is_precise(status.st_dev, path):
                return
            self._numbers.extend(_row(path, status))
            self._texts.append(_BETWEEN_NAMES.join(names))

    def noted(self) -> SeenFolders:
        """Return what was noted since this was last asked; nothing once the clock was set."""
        seen = SeenFolders(self._numbers.tobytes(), _BETWEEN_FOLDERS.join(self._texts))
        self._numbers, self._texts = array(_NUMBERS), []
        return SeenFolders() if self._begun.was_set() else seen


def _row(path: str, status: os.stat_result) -> tuple[int, int, int, int]:
    checksum = crc32(path.encode("utf-8", "surrogateescape"))
    return checksum, status.st_dev, status.st_ino, status.st_ctime_ns


@frozen
class _SearchedTree:
    """What is remembered of one tree."""

    seen: SeenFolders
    full_ns: int
    """When each of its folders was last listed."""
    met_ns: int
    """When it was last searched."""


class SearchMemory:
    """What is remembered of the trees that one cache's policy has searched, for one look.

    ``plain`` is what `written` returned at an earlier look, or None. ``every_ns``: how
    often each folder is listed, whatever is remembered. ``now_ns`` is the moment of the look.
    """

    def __init__(self, plain: Mapping[str, Any] | None, *, now_ns: int, every_ns: int) -> None:
        self._now_ns = now_ns
        self._every_ns = every_ns
        self._trees = {} if plain is None else dict(_trees_of(plain))
        self._is_changed = False

    def before(self, key: TreeKey) -> SeenFolders:
        """Return what is to be believed of a tree."""
        tree = self._trees.get(key)
        return SeenFolders() if tree is None or self._is_due(key, tree) else tree.seen

    def note(self, key: TreeKey, new: Iterable[SeenFolders], met: int) -> None:
        """Add what a search has noted; ``met``: how many folders it has met."""
        before = self.before(key)
        added = [one for one in new if one.rows]
        count = before.count + sum(one.count for one in added)
        if count > _STALE_FOR_EACH * met + _FEW:
            # Most of it is of folders that are gone, or have changed: learned again next time.
            before = SeenFolders()
        parts = [one for one in (before, *added) if one.rows]
        known = self._trees.get(key)
        full_ns = known.full_ns if known is not None and before.rows else self._now_ns
        is_as_it_was = known is not None and full_ns == known.full_ns and not added
        if known is not None and is_as_it_was and self._is_fresh(known):
            return
        self._is_changed = True
        joined = SeenFolders(
            b"".join(one.rows for one in parts), _BETWEEN_FOLDERS.join(one.names for one in parts)
        )
        if joined.count > _MOST:
            joined = SeenFolders()
        self._trees[key] = _SearchedTree(joined, full_ns, self._now_ns)

    def written(self) -> dict[str, Any] | None:
        """Return what to keep, as plain data; None where it is as it was."""
        kept = {key: tree for key, tree in self._trees.items() if self._is_kept(tree)}
        if not self._is_changed and len(kept) == len(self._trees):
            return None
        return {
            "trees": [
                [*key, tree.full_ns, tree.met_ns, tree.seen.rows, tree.seen.names]
                for key, tree in kept.items()
            ]
        }

    def _is_due(self, key: TreeKey, tree: _SearchedTree) -> bool:
        age_ns = self._now_ns - tree.full_ns
        scattered = crc32(repr(key).encode("utf-8", "surrogatepass"))
        early_ns = (self._every_ns * scattered) >> 32
        # A clock that was set back makes every age doubtful.
        return not 0 <= age_ns < self._every_ns - early_ns // _SPREAD

    def _is_fresh(self, tree: _SearchedTree) -> bool:
        """Whether it need not be written down that it was met again."""
        return 0 <= self._now_ns - tree.met_ns <= self._every_ns // 8

    def _is_kept(self, tree: _SearchedTree) -> bool:
        return 0 <= self._now_ns - tree.met_ns <= self._every_ns


def about_searches() -> list[Any]:
    """Return what a written memory depends on as a whole, beside the release."""
    return [_FORMAT, sys.byteorder, array(_NUMBERS).itemsize]


def _trees_of(plain: Mapping[str, Any]) -> Iterator[tuple[TreeKey, _SearchedTree]]:
    """Yield the trees of plain data; what is damaged is left out."""
    trees = plain.get("trees")
    for one in trees if isinstance(trees, list) else ():
        kinds = (str, int, str, int, int, bytes, str)
        if not isinstance(one, list) or tuple(map(type, one)) != kinds:
            continue
        top, uid, base, full_ns, met_ns, rows, names = one
        seen = SeenFolders(rows, names)
        if seen.is_whole():
            yield (top, uid, base), _SearchedTree(seen, full_ns, met_ns)
