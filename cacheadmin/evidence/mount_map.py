"""What a path of another host is called here: by the folders that both have mounted.

The cache is the same folder on all its hosts (they know it by its token), so the
folders above it are the same too, as far up as both have them in one mount. Of
other network filesystems each host tells the server's number of the filesystem
and the inode of what is mounted: where both are equal, the same folder is
mounted. A path that another mount of that host covers is not in these folders.

Pure, but for ``shared_mounts``, which looks at this host.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cacheadmin.evidence.kinds import IDENTITY, NamedFolder
from cacheadmin.evidence.observations import SharedMount
from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.readers import Unreadable

if TYPE_CHECKING:
    from cacheadmin.evidence.observations import Observation, Reach
    from cacheadmin.evidence.questions import Questions
    from cacheadmin.readers import Readers

# A host of more has them made by an automounter, one for each account.
_MOST_MOUNTS = 1_000

_VOLUMES = "/proc/fs/nfsfs/volumes"
_VOLUMES_BYTES = 1024 * 1024


class MountMap:
    """Where the folders of other hosts are here."""

    def __init__(
        self, told: Iterable[Observation], cache: str, here: Sequence[SharedMount]
    ) -> None:
        """Take what hosts told; ``here`` are this host's mounts, the cache's first."""
        self._folders: dict[str, tuple[str | None, ...]] = {}
        ours = {(one.filesystem, one.root): one.mount_point for one in here if one.filesystem}
        for one in told:
            found = {
                mount.mount_point: ours.get((mount.filesystem, mount.root)) for mount in one.mounts
            }
            above = _above_cache(one.reach, cache, here[0].mount_point) if here else None
            if above is not None:
                # What lies in that mount and not below is not known to be here.
                found[one.reach.mount_point] = None
                found[above[0]] = above[1]
            for theirs, local in found.items():
                known = self._folders.get(theirs, ())
                self._folders[theirs] = tuple(dict.fromkeys((*known, local)))

    @property
    def is_empty(self) -> bool:
        """Whether no path of another host has another name here."""
        return not any(
            local not in (None, theirs)
            for theirs, places in self._folders.items()
            for local in places
        )

    def local(self, path: str) -> tuple[str, ...]:
        """Return what a path of another host may be called here; never the path itself."""
        folder = path
        while folder not in self._folders:
            if folder in ("", "/"):
                return ()
            folder = posixpath.dirname(folder)
        rest = path.removeprefix(folder).lstrip("/")
        places = [one for one in self._folders[folder] if one is not None]
        found = (posixpath.join(one, rest) if rest else one for one in places)
        return tuple(one for one in found if one != path)


def _above_cache(theirs: Reach, cache: str, mount_point: str) -> tuple[str, str] | None:
    """Return the highest folder above the cache that both hosts have in one mount."""
    levels = min(_depth(theirs.path, theirs.mount_point), _depth(cache, mount_point))
    if levels < 0:
        return None
    one, other = theirs.path, cache
    for _ in range(levels):
        one, other = posixpath.dirname(one), posixpath.dirname(other)
    return one, other


def _depth(path: str, above: str) -> int:
    """Return how many folders a path lies below another; -1 where it does not."""
    prefix = f"{above.rstrip('/')}/"
    if path == above:
        return 0
    return path.removeprefix(prefix).count("/") + 1 if path.startswith(prefix) else -1


def shared_mounts(
    cache: str, environments: Iterable[str], readers: Readers, questions: Questions
) -> tuple[SharedMount, ...]:
    """Return the mounts that the cache and environments lie on, the cache's first."""
    table = read_mounts()
    found: dict[str, Mount] = {}
    folders = dict.fromkeys(os.path.dirname(path) for path in environments)
    for folder in (cache, *folders):
        mount = mount_of(folder, table)
        found.setdefault(mount.mount_point, mount)
    mounts = list(found.values())[:_MOST_MOUNTS]
    numbers = _filesystems()
    asked = [mount for mount in mounts if mount.device in numbers]
    roots = readers.ask_all(IDENTITY, [NamedFolder(mount.mount_point) for mount in asked])
    inodes = {
        mount.mount_point: root[1]
        for mount, root in zip(asked, roots, strict=True)
        if root is not None and not isinstance(root, Unreadable)
    }
    return tuple(
        SharedMount(
            mount.mount_point,
            mount.kind,
            mount.source,
            numbers.get(mount.device, "") if mount.mount_point in inodes else "",
            inodes.get(mount.mount_point, 0),
        )
        for mount in mounts
    )


def _filesystems() -> dict[int, str]:
    """Return by device number how servers of NFS number the filesystems mounted here."""
    content = read_file(_VOLUMES, _VOLUMES_BYTES)
    if isinstance(content, ReadFailure):
        return {}
    found = {}
    for line in content.decode("ascii", "replace").splitlines()[1:]:
        fields = line.split()
        if len(fields) < 5:
            continue
        major, _, minor = fields[3].partition(":")
        if major.isdecimal() and minor.isdecimal():
            found[os.makedev(int(major), int(minor))] = f"nfs:{fields[4]}"
    return found
