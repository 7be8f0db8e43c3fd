"""The mount table: which filesystem a path lies on, and with which options."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from cacheadmin.values import frozen

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
_MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)

# Filesystems that other hosts may write to.
_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "virtiofs",
        "vboxsf",
        "lustre",
        "ceph",
        "gpfs",
        "beegfs",
        "gfs2",
        "ocfs2",
        "afs",
        "coda",
        "orangefs",
        "glusterfs",
        "panfs",
        "wekafs",
    }
)
# FUSE filesystems that lie on this host alone.
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.bindfs", "fuse.mergerfs", "fuse.unionfs"})


@frozen
class Mount:
    """One line of ``/proc/PID/mountinfo``."""

    mount_point: str
    """Absolute path where it is mounted, as the process sees it."""
    device: int
    """Device number of the filesystem."""
    kind: str
    """Kind of the filesystem: ``ext4``, ``fuse.sshfs``; ``unknown`` where no mount fits."""
    source: str
    """What is mounted: a device, ``server:/export``, or any text that was given to mount(8)."""
    options: tuple[str, ...]
    """Options of the mount, then those of the filesystem, each once."""
    root: str = "/"
    """The folder of the filesystem that is seen there: "/", or another for bind mounts."""

    @property
    def is_shared_with_hosts(self) -> bool:
        """Whether this is a network filesystem by its very kind (FUSE: unknown, no)."""
        return self.kind in _NETWORK

    @property
    def is_network(self) -> bool:
        """Whether other hosts may write to a filesystem of this kind (unknown FUSE: yes)."""
        if self.kind in _LOCAL_FUSE:
            return False
        return self.kind in _NETWORK or self.kind.startswith("fuse")


def read_mounts(process: int | str = "self") -> tuple[Mount, ...]:
    """Return the mounts a process sees below its root, in the order they were made."""
    with open(f"/proc/{process}/mountinfo", "rb") as file:
        return tuple(parse_mount(line) for line in file)


@lru_cache(4096)
def parse_mount(line: bytes) -> Mount:
    """Parse one line (see proc_pid_mountinfo(5)); names carry octal escapes.

    The table is read twenty times in a run, and hardly a line of it changes.
    """
    left, _, right = line.rstrip(b"\n").partition(b" - ")
    fields = left.split()
    major, _, minor = fields[2].partition(b":")
    # By single spaces: a filesystem may have been mounted from "", which leaves two.
    kind, source, *super_options = right.split(b" ")
    options = [*fields[5].split(b","), *(super_options[0].split(b",") if super_options else ())]
    return Mount(
        mount_point=_text(fields[4]),
        device=os.makedev(int(major), int(minor)),
        kind=_text(kind),
        source=_text(source),
        options=tuple(dict.fromkeys(_text(option) for option in options)),
        root=_text(fields[3]),
    )


def _text(field: bytes) -> str:
    if b"\\" not in field:
        return os.fsdecode(field)
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field))


def mount_of(path: str, mounts: tuple[Mount, ...] | None = None) -> Mount:
    """Return the mount that a resolved absolute path lies on.

    The longest mount point that is a parent wins, the latest among equals
    (one mount hides another on the same point).
    """
    best: Mount | None = None
    for mount in read_mounts() if mounts is None else mounts:
        point = mount.mount_point.rstrip("/") + "/"
        if (path.rstrip("/") + "/").startswith(point) and (
            best is None or len(mount.mount_point) >= len(best.mount_point)
        ):
            best = mount
    if best is None:
        # A chroot without its root in the table: nothing better is known.
        return Mount("/", os.stat(path).st_dev, "unknown", "unknown", ())
    return best


def mount_id(fd: int) -> int | None:
    """Return the identity of the mount that a descriptor was opened through.

    Unlike the device number it tells a bind mount from a folder of the same
    filesystem. None where ``/proc`` does not say (see proc_pid_fdinfo(5)).
    """
    try:
        info = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = _MOUNT_ID.search(os.read(info, 4096))
    except OSError:
        return None
    finally:
        os.close(info)
    return int(found[1]) if found else None


class MountPoints:
    """Where anything is mounted now; made once for many folders."""

    def __init__(self) -> None:
        self._devices = {mount.mount_point: mount.device for mount in read_mounts()}
        self._points: dict[int, str] = {}
        for point, device in self._devices.items():
            # What was mounted first is there to stay; bind mounts of it come and go.
            self._points.setdefault(device, point)

    def of(self, path: str, device: int | None = None) -> str:
        """Return where the filesystem is mounted that a folder lies on, "/" where that is unknown.

        ``path`` is absolute; where it is a link, the folder's ``device`` tells (as ``stat`` does).
        """
        folder = os.path.dirname(path)
        while folder not in self._devices and folder not in ("", "/"):
            folder = os.path.dirname(folder)
        if device is None or self._devices.get(folder) == device:
            return folder or "/"
        # btrfs tells another device of its folders than of its mounts.
        return self._points.get(device, folder or "/")


def is_mount_point(path: str) -> bool:
    """Whether something, a bind mount included, is mounted on a resolved path."""
    return path == "/" or mount_of(path).mount_point == path.rstrip("/")
