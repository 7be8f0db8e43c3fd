"""Find the folders of an environment that hold ``*.dist-info``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from cacheadmin.fs.reading import failure

_LIBRARIES = ("lib", "lib64")
_PACKAGES = ("site-packages", "dist-packages")
_DIST_INFO = ".dist-info"


@dataclass(slots=True)
class PackageFolders:
    """What was found below one environment.

    ``links`` are those on the way that are links themselves: they may lead
    into a cache. ``watched`` maps folders to their mtime in ns: a change to
    one of them may bring a new folder of packages.
    """

    paths: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    watched: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_package_folders(path: str, *, target: bool) -> PackageFolders:
    """Return the package folders of an environment, each once.

    ``target``: packages lie in the environment's own folder. Whatever is said,
    an environment may be both, so both places are looked at.
    """
    found = PackageFolders()
    seen: set[tuple[int, int]] = set()
    if target or _holds_packages(path, found):
        found.paths.append(path)
    for library in _LIBRARIES:
        for folder in _in_library(path, library, found, seen):
            found.paths.append(folder)
    return found


def _holds_packages(path: str, found: PackageFolders) -> bool:
    try:
        return any(name.endswith(_DIST_INFO) for name in os.listdir(path))
    except OSError as error:
        found.problems.append(f"it can't be read: {failure(path, error).reason}")
        return False


def _in_library(
    path: str, library: str, found: PackageFolders, seen: set[tuple[int, int]]
) -> Iterator[str]:
    base = f"{path}/{library}"
    try:
        status = os.stat(base)
        # `lib64` usually is a link to `lib`.
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        names = os.listdir(base)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        found.problems.append(f"{library} can't be read: {failure(base, error).reason}")
        return
    # Before the listing: what changes during it must look changed later.
    found.watched[base] = status.st_mtime_ns
    _note_link(base, found)
    for name in names:
        if not name.startswith(("python", "pypy", "graalpy")):
            continue
        for packages in _PACKAGES:
            folder = f"{base}/{name}/{packages}"
            try:
                status = os.stat(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                reason = failure(folder, error).reason
                found.problems.append(f"{library}/{name}/{packages} can't be read: {reason}")
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                _note_link(f"{base}/{name}", found)
                _note_link(folder, found)
                yield folder


def _note_link(path: str, found: PackageFolders) -> None:
    if os.path.islink(path):
        found.links.append(path)
