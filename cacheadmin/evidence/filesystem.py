"""What the cache's filesystem can do: locks that reach other hosts, times, attributes."""

from __future__ import annotations

import errno

from cacheadmin.evidence.facts import Filesystem
from cacheadmin.fs.mounts import Mount, is_mount_point, mount_of

_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "lustre",
        "ceph",
        "gpfs",
        "beegfs",
        "gfs2",
        "ocfs2",
        "afs",
        "glusterfs",
        "panfs",
        "wekafs",
    }
)
# FUSE filesystems that lie on this host alone.
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.bindfs", "fuse.mergerfs", "fuse.unionfs"})


def describe_filesystem(path: str) -> Filesystem:
    """Describe the filesystem below a resolved absolute path. Writes nothing."""
    mount = mount_of(path)
    network = is_network(mount.kind)
    reach, note = _locks(mount) if network else (None, "")
    return Filesystem(
        kind=mount.kind,
        mount_point=mount.mount_point,
        source=mount.source,
        options=mount.options,
        network=network,
        locks_reach_other_hosts=reach,
        read_only="ro" in mount.options,
        keeps_access_times="noatime" not in mount.options,
        keeps_user_xattrs=_keeps_user_xattrs(path),
        is_mount_point=is_mount_point(path),
        lock_note=note,
    )


def is_network(kind: str) -> bool:
    """Whether other hosts may write to a filesystem of this kind (unknown FUSE: yes)."""
    if kind in _LOCAL_FUSE:
        return False
    return kind in _NETWORK or kind.startswith("fuse")


def _locks(mount: Mount) -> tuple[bool, str]:
    """Say whether ``flock`` reaches other hosts, and what says otherwise.

    nfs(5): flock is sent to the server as a byte-range lock, unless
    ``nolock`` or ``local_lock=flock|all``. Lustre needs the ``flock`` option.
    """
    options = set(mount.options)
    if mount.kind in ("nfs", "nfs4"):
        local = options & {"nolock", "local_lock=all", "local_lock=flock"}
        return (False, f"mount option {min(local)}") if local else (True, "")
    if mount.kind == "lustre":
        if "flock" in options:
            return True, ""
        return False, "mounted without the option flock"
    if mount.kind in ("ceph", "gpfs", "gfs2", "ocfs2", "beegfs"):
        return True, ""
    return False, f"nothing is known of locks on {mount.kind}"


def _keeps_user_xattrs(path: str) -> bool | None:
    import xattr  # type: ignore[import-not-found]

    try:
        xattr.get(path, b"user.cacheadmin.probe", nofollow=True)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return True
        return False if error.errno == errno.EOPNOTSUPP else None
    return True
