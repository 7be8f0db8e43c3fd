"""Find the folders of an environment that hold its packages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.fs.held_folder import below, below_unfollowed, is_gone_from
from cacheadmin.fs.small_files import failure

if TYPE_CHECKING:
    from cacheadmin.evidence.targets import CacheLocator

# The last one: where Debian's own Python, whose prefix is /usr, installs.
_LIBRARIES = ("lib", "lib64", "local/lib", "local/lib64")

#: How names of Pythons begin, and what the folders of their packages are called.
PYTHONS = ("python", "pypy", "graalpy")
PACKAGES = ("site-packages", "dist-packages")

_DIST_INFO = ".dist-info"


def prefix_of(packages: str) -> str | None:
    """Return the prefix that a folder of packages lies in, by the names on the way; None for none.

    ``PREFIX/lib/python3.12/site-packages``. A folder that is only called so (``--target
    /opt/app/site-packages``) is no part of what lies three folders above.
    """
    python, _, name = packages.rpartition("/")
    library, _, version = python.rpartition("/")
    prefix, _, word = library.rpartition("/")
    is_one = name in PACKAGES and version.startswith(PYTHONS) and word in ("lib", "lib64")
    return (prefix or "/") if is_one else None


@dataclass(slots=True)
class PackageFolders:
    """What was found below one environment."""

    paths: list[str] = field(default_factory=list)
    """Paths of the folders that hold packages, each folder once."""
    links: list[str] = field(default_factory=list)
    """Paths on the way that are links themselves: they may lead into a cache."""
    watched: dict[str, int] = field(default_factory=dict)
    """Modification time (ns) of each folder in which a new folder of packages may come, by path."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, each in words."""
    libraries: list[str] = field(default_factory=list)
    """Every folder that was listed on the way, relative to the environment."""
    vanished: bool = False
    """Whether one of them was removed meanwhile: what comes in its place is for a later look."""


def find_package_folders(
    path: str, locator: CacheLocator | None = None, *, target: bool
) -> PackageFolders:
    """Return the package folders of an environment, each once, links on the way followed.

    ``target``: packages lie in the environment's own folder. Whatever is said,
    an environment may be both, so both places are looked at; where there is no
    other place, they can only lie in the folder itself. With a ``locator``,
    links seen through a process with other mounts are followed as it means them.
    """
    search = _Search(path, locator)
    if target or search.holds_distributions():
        search.found.paths.append(path)
    for library in _LIBRARIES:
        search.found.paths += search.in_library(library)
    if not search.found.paths and not search.found.problems:
        search.found.paths.append(path)
    return search.found


class _Search:
    def __init__(self, path: str, locator: CacheLocator | None) -> None:
        self.found = PackageFolders()
        self._path = path
        self._locator = locator
        self._seen: set[tuple[int, int]] = set()

    def holds_distributions(self) -> bool:
        """Whether the environment's own folder is a package folder by its names."""
        try:
            return any(name.endswith(_DIST_INFO) for name in os.listdir(below(self._path)))
        except OSError as error:
            self.found.problems.append(f"it can't be read: {failure(self._path, error).reason}")
            return False

    def in_library(self, library: str) -> Iterator[str]:
        """Yield the package folders of one ``lib``."""
        base = self._enter(f"{self._path}/{library}", library)
        if base is None:
            return
        try:
            names = sorted(os.listdir(below(base)))
        except OSError as error:
            self._note(library, base, error)
            return
        self.found.libraries.append(library)
        for name in names:
            if not name.startswith(PYTHONS):
                continue
            version = self._behind(f"{base}/{name}")
            self.found.libraries.append(f"{library}/{name}")
            for packages in PACKAGES:
                words = f"{library}/{name}/{packages}"
                folder = self._enter(f"{version}/{packages}", words, watch=False)
                if folder is not None:
                    if os.path.islink(below_unfollowed(f"{base}/{name}")):
                        self.found.links.append(f"{base}/{name}")
                    yield folder

    def _enter(self, path: str, words: str, *, watch: bool = True) -> str | None:
        """Return the folder at or behind a path; None when it was entered before, or is none."""
        folder = self._behind(path)
        try:
            status = os.stat(below(folder))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._note(words, folder, error)
            return None
        # `lib64` usually is a link to `lib`.
        identity = (status.st_dev, status.st_ino)
        if not stat.S_ISDIR(status.st_mode) or identity in self._seen:
            return None
        self._seen.add(identity)
        if watch:
            # Before the listing: what changes during it must look changed later.
            self.found.watched[folder] = status.st_mtime_ns
        if os.path.islink(below_unfollowed(path)):
            self.found.links.append(path)
        return folder

    def _behind(self, path: str) -> str:
        """Return the path itself, or where it leads when only a process with other mounts can."""
        if self._locator is None or not os.path.islink(below_unfollowed(path)):
            return path
        return self._locator.folder_behind(path) or path

    def _note(self, words: str, path: str, error: OSError) -> None:
        problem = failure(path, error)
        if problem.missing and is_gone_from(self._path, path):
            self.found.vanished = True
        else:
            self.found.problems.append(f"{words} can't be read: {problem.reason}")
