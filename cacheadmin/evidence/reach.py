"""Whether a process in a container can open the cache at all, told by its mounts.

A uv that names no cache may have found ours in a ``uv.toml``. A site's other
containers are full of such uv, though, and have no way to our cache: unless
that is seen, the older ones, which take no lock, hold up every prune.

It is proven from tables of mounts (proc_pid_mountinfo(5)) by what they are, a
device and a folder of its filesystem, never by where. Whatever the tables do
not tell for sure counts as a way to the cache.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.owners import owner_of_process
from cacheadmin.evidence.proc_files import in_other_mounts, own_mount_namespace, read_process
from cacheadmin.fs.mounted_places import MountedPlace, UnknownPlaceError, layers_of, place_of
from cacheadmin.fs.mounts import mount_of, read_mounts
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.mounts import Mount

# Filesystems that show what lies on their own device, and nothing else.
_OF_ONE_DEVICE = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "jfs", "reiserfs", "bcachefs"),
        *("vfat", "exfat", "ntfs3", "iso9660", "udf", "squashfs", "erofs"),
        *("tmpfs", "ramfs", "devtmpfs", "hugetlbfs"),
        *("sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "cpuset", "securityfs", "selinuxfs"),
        *("debugfs", "tracefs", "configfs", "bpf", "pstore", "efivarfs", "binfmt_misc"),
        *("fusectl", "nsfs", "rpc_pipefs"),
    }
)


def can_not_reach(pid: int, cache: str) -> bool:
    """Whether no mount that a process sees leads to a cache (resolved absolute path).

    False whenever the mounts leave a doubt: network and FUSE filesystems on
    either side, a layer of an overlay that can't be told, a ``/proc`` with
    processes of ours (it leads to their roots), a root that is no mount of its own.
    """
    try:
        ours = read_mounts()
        theirs = read_mounts(pid)
        if mount_of(cache, ours).kind not in _OF_ONE_DEVICE:
            return False
        place = place_of(cache, ours)
        if not any(mount.mount_point == "/" for mount in theirs):
            return False
        shows_us = {mount.device for mount in ours if mount.kind == "proc"}
        if os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid"):
            shows_us |= {mount.device for mount in theirs if mount.kind == "proc"}
        return not any(
            mount.device in shows_us if mount.kind == "proc" else _may_show(mount, place, ours)
            for mount in theirs
        )
    except (OSError, ValueError, UnknownPlaceError):
        return False


def _may_show(mount: Mount, place: MountedPlace, ours: tuple[Mount, ...]) -> bool:
    """Whether a mount shows a folder, a part of it, or what can't be told."""
    if mount.kind == "overlay":
        return any(_may_overlap(layer, place, ours) for layer in layers_of(mount))
    if mount.kind not in _OF_ONE_DEVICE:
        return True
    return place.overlaps(MountedPlace(mount.device, mount.root))


def _may_overlap(layer: str, place: MountedPlace, ours: tuple[Mount, ...]) -> bool:
    if mount_of(layer, ours).kind not in _OF_ONE_DEVICE:
        raise UnknownPlaceError(layer)
    return place.overlaps(place_of(layer, ours))


@frozen
class Container:
    """A process with a root of its own, whose mounts may lead to the cache."""

    pid: int
    """Id of one of its processes."""
    uid: int
    """The account of that process; -1 where that is not known."""
    command: str
    """Command line of that process, or why it could not be read."""
    host: str
    """What the container calls itself; empty where it does not say."""


@frozen
class Namespace:
    """A mount namespace to look at, by one of its processes."""

    pid: int
    """Id of that process."""
    cache: str
    """The cache's absolute path here."""


def containers_that_reach(cache: str, readers: Readers | None = None) -> tuple[Container, ...]:
    """Return one process of each container that may see a cache, by its mounts.

    A container is a mount namespace of its own with another root folder: a
    service with private mounts sees the folders that we see, and is none. Those
    that the caller may not look at are said elsewhere (unseen processes); one
    that no reader could look at may see the cache.
    """
    if readers is None:
        with Readers() as own:
            return containers_that_reach(cache, own)
    spaces = [Namespace(pid, cache) for pid in in_other_mounts()]
    answers = readers.ask_all(CONTAINER, spaces)
    return tuple(
        container
        for space, answer in zip(spaces, answers, strict=True)
        for container in ((_unread(space, answer),) if isinstance(answer, Unreadable) else answer)
    )


def _unread(space: Namespace, failed: Unreadable) -> Container:
    uid = -1 if failed.uid is None else failed.uid
    return Container(space.pid, uid, f"it could not be read: {failed.reason}", "")


def read_container(space: Namespace) -> tuple[Container, ...]:
    """Return the container that a namespace is; nothing for what is none, or sees no cache."""
    pid = space.pid
    try:
        root = os.stat(f"/proc/{pid}/root/")
    except OSError:
        return ()
    here = os.stat("/")
    if (root.st_dev, root.st_ino) == (here.st_dev, here.st_ino) or can_not_reach(pid, space.cache):
        return ()
    process = read_process(pid, own_mount_namespace())
    if process is None:
        return ()
    return (Container(pid, process.uid, process.command, process.variable("HOSTNAME")),)


def _owner_of(space: Namespace) -> int | None:
    return owner_of_process(space.pid)


CONTAINER: Question[Namespace, tuple[Container, ...]] = Question(
    read_container, tuple[Container, ...], blame=_owner_of
)
