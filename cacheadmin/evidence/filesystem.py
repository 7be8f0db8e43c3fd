"""What the cache's filesystem can do: locks that reach other hosts, times, attributes."""

from __future__ import annotations

from cacheadmin.evidence.facts import Filesystem
from cacheadmin.fs.attributes import keeps_attribute
from cacheadmin.fs.mounts import Mount, mount_of

# Where flock reaches other hosts, and the mount options that keep it at home.
_REACHING = frozenset({"nfs", "nfs4", "ceph", "gpfs", "gfs2", "ocfs2"})
_NFS_LOCAL = frozenset({"nolock", "local_lock=all", "local_lock=flock"})
_CLUSTER_LOCAL = frozenset({"localflocks", "lockproto=lock_nolock"})
_LOCAL_LOCKS = {
    "nfs": _NFS_LOCAL,
    "nfs4": _NFS_LOCAL,
    "cifs": frozenset({"nobrl"}),
    "smb3": frozenset({"nobrl"}),
    "gfs2": _CLUSTER_LOCAL,
    "ocfs2": _CLUSTER_LOCAL,
    "lustre": frozenset({"localflock", "noflock"}),
}
# They have no locks of their own: the kernel grants them, to one host.
_WITHOUT_LOCKS = frozenset({"fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"})
_UNCERTAIN = {
    "cifs": "a CIFS server sees flock since Linux 5.4, and may not honour it",
    "smb3": "an SMB server sees flock since Linux 5.4, and may not honour it",
    "9p": "9p servers, QEMU's among them, may grant every lock to every user",
    "virtiofs": "virtiofsd leaves flock to each guest unless it is told otherwise",
    "beegfs": "BeeGFS keeps flock on each client unless tuneUseGlobalFileLocks is set",
}


def describe_filesystem(path: str) -> Filesystem:
    """Describe the filesystem below a resolved absolute path. Writes nothing."""
    return describe_mount(mount_of(path), path)


def describe_mount(mount: Mount, path: str) -> Filesystem:
    """Describe a mount; ``path`` is what lies on it, and is asked for what no table tells."""
    network = mount.is_network
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
        lock_note=note,
    )


def _locks(mount: Mount) -> tuple[bool | None, str]:
    """Say whether ``flock`` reaches other hosts (None: unknown), and what says otherwise.

    nfs(5): flock is sent to the server as a byte-range lock (version 3 too),
    unless ``nolock`` or ``local_lock=flock|all``. Lustre needs the ``flock``
    option. mount.cifs(8): ``nobrl`` sends no byte-range locks.
    """
    local = _LOCAL_LOCKS.get(mount.kind, frozenset()) & set(mount.options)
    if local:
        return False, f"mount option {min(local)}"
    if mount.kind == "lustre":
        if "flock" in mount.options:
            return True, ""
        return False, "mounted without the option flock"
    if mount.kind in _REACHING:
        return True, ""
    if mount.kind in _WITHOUT_LOCKS:
        return False, f"{mount.kind.removeprefix('fuse.')} has no locks of its own"
    return None, _UNCERTAIN.get(mount.kind, f"nothing is known of locks on {mount.kind}")


def _keeps_user_xattrs(path: str) -> bool | None:
    try:
        return keeps_attribute(path, "user.cacheadmin.probe")
    except OSError:
        return None
