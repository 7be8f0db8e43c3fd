"""Places of the policy's trees and patterns that are not mounted now.

An empty mount point looks like a folder in which no user has anything: a disk
that was not plugged in, a server that did not answer when this host started.
Environments there are known only if an earlier look saw them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch, fnmatchcase
from glob import has_magic
from itertools import takewhile

from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.fs.fstab import fstab_mount_points
from cacheadmin.fs.mounts import is_mount_point

# Nothing of these is kept from one mount to the next.
_EMPTY = frozenset({"devpts", "devtmpfs", "iso9660", "proc", "ramfs", "swap", "sysfs", "tmpfs"})


def unmounted_places(pattern: str, excluded: tuple[str, ...] = ()) -> Iterator[Gap]:
    """Yield a gap for each filesystem of /etc/fstab that is not mounted, and concerns a pattern.

    It concerns the pattern of a path, or of a tree, where it lies above or below.
    """
    for named, kind in fstab_mount_points():
        point = named.rstrip("/")
        if kind in _EMPTY or not _concerns(point, pattern) or _is_excluded(point, excluded):
            continue
        if not is_mount_point(point):
            yield Gap(
                "search.unmounted",
                GapKind.AWAY,
                point,
                f"nothing is mounted on {point}, where /etc/fstab has a filesystem: environments "
                f"that {pattern} in the policy would find there are not seen",
                "mount it; or, if it is gone for good, take it out of /etc/fstab; only if no "
                "environment lies there, leave it out by exclude in venvs.discover",
            )


def literal_start(pattern: str) -> str:
    """Return the folder that a pattern names before anything is matched."""
    return "/".join(takewhile(lambda part: not has_magic(part), pattern.split("/"))) or "/"


def _concerns(point: str, pattern: str) -> bool:
    parts = zip(_parts(point), _parts(pattern), strict=False)
    return all(fnmatchcase(name, part) for name, part in parts)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _is_excluded(point: str, excluded: tuple[str, ...]) -> bool:
    names = _parts(point)
    above = ["/" + "/".join(names[: number + 1]) for number in range(len(names))]
    return any(
        fnmatch(name, part) or fnmatch(path, part)
        for name, path in zip(names, above, strict=True)
        for part in excluded
    )
