"""Where a folder lies: a device and a path of its filesystem, and which mounts show it.

Told from tables of mounts (proc_pid_mountinfo(5)) by what they are, never by where
they are mounted: a bind mount gives a folder another path, never another place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.fs.mounts import mount_of
from cacheadmin.fs.resolution import resolve
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.fs.mounts import Mount

LOWER_LAYERS = ("lowerdir", "lowerdir+", "datadir+")
_ALL_LAYERS = (*LOWER_LAYERS, "upperdir")


class UnknownPlaceError(Exception):
    """Where something lies can't be told from a table of mounts."""


@frozen
class MountedPlace:
    """A folder, by where it lies."""

    device: int
    """Device number of its filesystem."""
    path: str
    """Its path from the root of that filesystem."""

    def overlaps(self, other: MountedPlace) -> bool:
        """Whether one lies in the other, or both are the same."""
        mine, theirs = (f"{place.path.rstrip('/')}/" for place in (self, other))
        return self.device == other.device and (mine.startswith(theirs) or theirs.startswith(mine))


def place_of(path: str, mounts: tuple[Mount, ...]) -> MountedPlace:
    """Return where a resolved absolute path lies. Raises UnknownPlaceError, OSError."""
    mount = mount_of(path, mounts)
    # Another device: a later mount hides this one. On btrfs each subvolume has its own.
    if mount.kind != "btrfs" and os.stat(path).st_dev != mount.device:
        raise UnknownPlaceError(path)
    below = os.path.relpath(path, mount.mount_point)
    return MountedPlace(mount.device, os.path.normpath(f"{mount.root.rstrip('/')}/{below}"))


def other_paths_of(path: str, mounts: tuple[Mount, ...]) -> Iterator[str]:
    """Yield the other paths by which mounts of a table show the folder at a resolved one.

    Nothing is opened there: another mount may hide the folder by now.
    """
    try:
        place = place_of(path, mounts)
    except (UnknownPlaceError, OSError):
        return
    for mount in mounts:
        root = mount.root.rstrip("/")
        if mount.device != place.device or not f"{place.path}/".startswith(f"{root}/"):
            continue
        other = os.path.normpath(f"{mount.mount_point}/{place.path[len(root) :]}")
        if other != path:
            yield other


def layers_of(overlay: Mount, which: tuple[str, ...] = _ALL_LAYERS) -> Iterator[str]:
    """Yield the folders an overlay shows, resolved, as they were named when it was mounted.

    They mean what they mean to us. Who mounts one in a namespace where they mean
    something else hides no uv but their own. Raises UnknownPlaceError.
    """
    found = False
    for option in overlay.options:
        name, _, value = option.partition("=")
        if name not in which:
            continue
        for layer in value.split(":"):
            # Relative to a folder of the past, or with signs of its own.
            if not os.path.isabs(layer) or "\\" in layer or not os.path.isdir(layer):
                raise UnknownPlaceError(layer)
            found = True
            yield resolve(layer)
    if not found:
        raise UnknownPlaceError(overlay.mount_point)
