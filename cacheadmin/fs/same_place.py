"""Do two processes, perhaps on two hosts, see the same folder at a path?

The same path on another host may be another disk, a copy of one, or nothing: what is
not there is then no evidence of anything. So a folder is called the same only where
the kernel is the same and so are device and inode; or where it lies on a filesystem of
the network, mounted from the same server by the same name, and inode and change time
are the same as well. Whatever else is doubtful is another folder.
"""

from __future__ import annotations

import os
import re
from functools import cache

from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.values import frozen

# Those whose source names one server for every host. Tags of virtiofs and 9p name none.
_NAMES_ITS_SERVER = frozenset({"nfs", "nfs4", "cifs", "smb3", "lustre", "ceph", "glusterfs"})

# Another server on each host.
_OF_THIS_HOST = re.compile(r"^/*(?:localhost|127\.|\[?::1\]?|0\.)", re.IGNORECASE)


@frozen
class Place:
    """A folder, as one host sees it."""

    boot: str
    """The boot of the kernel that sees it; empty where that can't be told."""
    device: int
    """Device of the folder: means something to that kernel alone."""
    inode: int
    """Its inode."""
    changed_ns: int
    """Its change time, in ns since the epoch."""
    share: str
    """Kind and name of its network filesystem, and the way to it there; empty for others."""


def place_of(path: str, mounts: tuple[Mount, ...] | None = None) -> Place:
    """Return what the folder at an absolute path without links is here. Raises OSError."""
    status = os.lstat(path)
    mount = mount_of(path, read_mounts() if mounts is None else mounts)
    return Place(_boot(), status.st_dev, status.st_ino, status.st_ctime_ns, _share(path, mount))


def is_same_place(one: Place, other: Place) -> bool:
    """Whether these are one folder for sure."""
    if (one.inode, one.changed_ns) != (other.inode, other.changed_ns):
        return False
    if one.boot and one.boot == other.boot:
        return one.device == other.device
    return bool(one.share) and one.share == other.share


def _share(path: str, mount: Mount) -> str:
    if mount.kind not in _NAMES_ITS_SERVER or _OF_THIS_HOST.match(mount.source):
        return ""
    below = path[len(mount.mount_point.rstrip("/")) :]
    return "\0".join((mount.kind, mount.source, f"{mount.root.rstrip('/')}{below}".rstrip("/")))


@cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
