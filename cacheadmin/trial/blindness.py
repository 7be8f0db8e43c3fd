"""Where silence proves nothing: no access time moves, here or for some of the users.

A filesystem mounted noatime keeps no access times; that is tried with a link of
our own. But a container may see the cache through a mount of its own that is
read-only or noatime: then its lookups go unseen although ours are seen. So the
mounts of every process with another root are read. Mounts of other hosts can't
be read from here: over NFS the server's mount decides, and it is the one tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.trial.tripwires import access_is_seen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.trial.folder import TrialFolder

_BLIND_OPTIONS = frozenset({"ro", "noatime"})


def blindness(folder: TrialFolder, cache: CacheIdentity) -> str:
    """Return why silence proves nothing now, in words; "" where it does. Makes a link."""
    if not access_is_seen(folder):
        return f"{cache.path} lies on a filesystem that keeps no access times (noatime)"
    for pid, mount in _other_mounts(cache):
        how = ", ".join(sorted(_BLIND_OPTIONS.intersection(mount.options)))
        return f"process {pid} sees the cache through a mount that keeps no access times ({how})"
    return ""


def _other_mounts(cache: CacheIdentity) -> Iterator[tuple[int, Mount]]:
    """Yield mounts that show the cache to processes with another root, and hide their lookups."""
    ours = mount_of(cache.path)
    below = cache.path.removeprefix(ours.mount_point.rstrip("/"))
    place = _joined(ours.root, below)
    for pid in _with_another_root():
        try:
            mounts = read_mounts(pid)
        except (OSError, ValueError, IndexError):
            continue
        for mount in mounts:
            if mount.device != ours.device or not _BLIND_OPTIONS.intersection(mount.options):
                continue
            if _is_same_or_below(place, mount.root) or _is_same_or_below(mount.root, place):
                yield pid, mount


def _with_another_root() -> Iterator[int]:
    """Yield one process of each mount namespace whose root is not ours.

    A system service with a mount namespace of its own keeps the machine's root;
    it is hardened, and runs no user's environment.
    """
    root = os.stat("/")
    seen = {_namespace("self")}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        namespace = _namespace(name)
        if namespace is None or namespace in seen:
            continue
        try:
            other = os.stat(f"/proc/{name}/root")
        except OSError:
            continue
        if (other.st_dev, other.st_ino) != (root.st_dev, root.st_ino):
            seen.add(namespace)
            yield int(name)


def _namespace(process: str) -> str | None:
    try:
        return os.readlink(f"/proc/{process}/ns/mnt")
    except OSError:
        return None


def _joined(root: str, below: str) -> str:
    return f"{root.rstrip('/')}/{below.lstrip('/')}".rstrip("/") or "/"


def _is_same_or_below(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
