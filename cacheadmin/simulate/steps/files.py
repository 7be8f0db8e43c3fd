"""Content-addressed files: those that no archive shares any more go.

``files-v0`` holds each file of the archives once, by the hash of its content,
and archives are hard links to them (preview ``content-addressed-cache``). The
release looks at the link count alone: what it removed a moment ago counts no
more, what an environment shares counts.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import Tree

_Identity = tuple[int, int]


def sweep_files(tree: Tree, release: PrunedRelease) -> None:
    """Source: binaries of 0.12.7 to 0.13.9 (run)."""
    bucket = release.path(tree, "files")
    if bucket is None or not release.behaviour.sweeps_files or not tree.is_folder(bucket):
        return
    _Sweep(tree).folder(bucket)


class _Sweep:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._removed_links = _links_in(tree.tops())

    def folder(self, path: str, *, is_bucket: bool = True) -> bool:
        """Remove what goes in a folder; return whether all of it went."""
        empty = True
        for entry in self._tree.entries(path) or ():
            if entry.is_folder:
                goes = self.folder(entry.path, is_bucket=False)
            else:
                goes = self._is_alone(entry.path)
            if goes:
                self._tree.remove(entry.path)
            empty = empty and goes
        return empty and not is_bucket

    def _is_alone(self, path: str) -> bool:
        try:
            status = os.lstat(path)
        except OSError:
            return False
        removed = self._removed_links[status.st_dev, status.st_ino]
        return stat.S_ISREG(status.st_mode) and status.st_nlink - removed <= 1


def _links_in(removed: list[str]) -> Counter[_Identity]:
    """Count the hard links to each file in what was removed."""
    links: Counter[_Identity] = Counter()
    for path in removed:
        waiting = [path]
        while waiting:
            current = waiting.pop()
            try:
                status = os.lstat(current)
                if stat.S_ISDIR(status.st_mode):
                    waiting += [f"{current}/{name}" for name in os.listdir(current)]
                elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                    links[status.st_dev, status.st_ino] += 1
            except OSError:
                continue
    return links
