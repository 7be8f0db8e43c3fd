"""Links in a package folder that no distribution's metadata accounts for.

A scan looks at one file a distribution. That overlooks what has no
``*.dist-info`` any more (image builders trim it), and what people linked by
hand. Looking at every file of every environment would find it, and take
seconds where now it takes milliseconds. So here names are compared: a file of
an installed wheel is called as in its archive. What no archive explains is
looked at: links at once, folders down to where their files begin. One link
into the cache without an explanation, and the whole environment is walked.

Where other distributions are linked, folders without an explanation are looked
at whole: a user installs by links there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cacheadmin.evidence.targets import TargetPlace
from cacheadmin.fs.held_folder import below
from cacheadmin.fs.small_files import failure
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.sightings import Sightings
    from cacheadmin.inventory.entries import ArchiveId

# Folders looked at, for one that nothing explains and for all of them, before
# the whole environment is walked instead.
_MAX_FOLDERS = 256
_MAX_FOLDERS_WHOLE = 5_000
_MAX_FOLDERS_IN_ALL = 20_000

# What folders hold that several wheels share, beside the folders of each.
_OF_NAMESPACES = frozenset({"__init__.py", "__init__.pyi", "__pycache__", "py.typed"})
_MAX_NAMESPACE = 2
_MAX_NAMESPACE_DEPTH = 8


@frozen
class Listing:
    """One folder's entries, without ``__pycache__``."""

    path: str
    """Path of the folder."""
    links: tuple[str, ...]
    """Names of the links in it."""
    folders: tuple[str, ...]
    """Names of the folders in it."""
    files: tuple[str, ...]
    """Names of everything else in it."""


def list_folder(path: str) -> Listing:
    """Return what a folder holds. Raises OSError."""
    links, folders, files = [], [], []
    with os.scandir(below(path)) as entries:
        for entry in entries:
            name = entry.name
            if entry.is_symlink():
                links.append(name)
            elif entry.is_dir(follow_symlinks=False):
                if name != "__pycache__":
                    folders.append(name)
            else:
                files.append(name)
    return Listing(path, tuple(links), tuple(folders), tuple(files))


class UnexplainedLinks:
    """Looks for them in one package folder; ``sightings`` receives what is found.

    ``archives`` are those that distributions of this folder are installed from.
    ``whole``: folders that nothing explains are looked at to their ends.
    ``borrowed``: it is no folder of the environment's own, but one that a
    ``*.pth`` names, and may be another user's project: what is too large there is let be.
    """

    def __init__(
        self,
        sightings: Sightings,
        archives: Iterable[ArchiveId],
        *,
        whole: bool = False,
        borrowed: bool = False,
    ) -> None:
        self._sightings = sightings
        self._names = sightings.archive_names
        self._whole = whole
        self._borrowed = borrowed
        self._left = _MAX_FOLDERS_IN_ALL
        self._owners: dict[str, list[ArchiveId]] = {}
        for archive in archives:
            for name in self._names.names(archive):
                self._owners.setdefault(name, []).append(archive)

    def look_at(self, top: Listing, folders: Iterable[str]) -> None:
        """Look at a package folder: its links, and those of its ``folders`` that are packages."""
        for name in top.links:
            for inner in self._link(f"{top.path}/{name}", top.path):
                self._look_at_package(inner, name, whole=False)
        for name in folders:
            self._look_at_package(f"{top.path}/{name}", name, whole=self._whole)

    def _look_at_package(self, path: str, name: str, *, whole: bool) -> None:
        owners = self._owners.get(name)
        if owners is None:
            self._look_inside(path, whole=whole)
        else:
            self._compare(path, name, owners, 0)

    def _compare(self, path: str, relative: str, owners: list[ArchiveId], depth: int) -> None:
        """Hold the names in a folder against those in the same folder of its archives."""
        listed = self._list(path)
        if listed is None:
            return
        known = [self._names.names(archive, relative) for archive in owners]
        expected = known[0].union(*known[1:])
        if listed.links:
            # One for all: are they those of the archives that have their names?
            self._link(f"{path}/{listed.links[0]}", path)
        for name in listed.links[1:]:
            if name not in expected:
                self._link(f"{path}/{name}", path)
        for name in listed.folders:
            if name not in expected:
                self._look_inside(f"{path}/{name}", whole=self._whole)
        if depth < _MAX_NAMESPACE_DEPTH and (len(owners) > 1 or _is_namespace(listed)):
            for name, inner in self._shared(listed.folders, relative, owners, known).items():
                self._compare(f"{path}/{name}", f"{relative}/{name}", inner, depth + 1)

    @staticmethod
    def _shared(
        folders: Iterable[str],
        relative: str,
        owners: list[ArchiveId],
        known: list[frozenset[str]],
    ) -> Mapping[str, list[ArchiveId]]:
        """Return which of a folder's archives each of its folders comes from."""
        pairs = list(zip(owners, known, strict=True))
        found = {name: [owner for owner, names in pairs if name in names] for name in folders}
        return {name: archives for name, archives in found.items() if archives}

    def _look_inside(self, path: str, *, whole: bool) -> None:
        """Look for links in a folder that nothing explains, down to where its files begin."""
        waiting = [path]
        left = _MAX_FOLDERS_WHOLE if whole else _MAX_FOLDERS
        while waiting and not self._sightings.look_further:
            left -= 1
            self._left -= 1
            if left < 0 or self._left < 0:
                self._sightings.look_further = not self._borrowed
                return
            listed = self._list(waiting.pop())
            if listed is None:
                continue
            linked = [
                inner
                for name in listed.links
                for inner in self._link(f"{listed.path}/{name}", listed.path)
            ]
            if whole or not (listed.files or (listed.links and not linked)):
                waiting += [f"{listed.path}/{name}" for name in listed.folders]
                waiting += linked

    def _link(self, path: str, folder: str) -> tuple[str, ...]:
        """Note a link; return where it leads, when that is a folder outside of every cache."""
        located = self._sightings.note_unexplained(path, folder)
        if located is None or located.place is TargetPlace.INSIDE:
            return ()
        inner = self._sightings.locator.folder_behind(path)
        if inner is None:
            return ()
        self._sightings.note_folder_behind(inner)
        return (inner,)

    def _list(self, path: str) -> Listing | None:
        try:
            return list_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._sightings.problems.append(f"{path} can't be read: {failure(path, error).reason}")
            return None


def _is_namespace(listed: Listing) -> bool:
    return len(listed.folders) <= _MAX_NAMESPACE and _OF_NAMESPACES.issuperset(
        (*listed.files, *listed.links)
    )
