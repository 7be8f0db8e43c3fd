"""Where a policy has removals of its cache wait, and what lies beside them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cacheadmin.fs.mounted_places import other_paths_of
from cacheadmin.fs.mounts import is_mount_point, read_mounts
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy

# After the cache's name beside it, or in it.
_FOLDER = ".cacheadmin/quarantine"


@frozen
class QuarantinePlace:
    """Where a cache's quarantine is, or would be."""

    path: str
    """Absolute path of the folder; it may not exist yet."""
    warning: str = ""
    """Why a prune may not be undone, for every report; empty where it can."""
    is_named: bool = False
    """Whether the policy names it: then what lies beside it may be another cache's."""

    @property
    def observations(self) -> str:
        """The folder for what hosts tell of this cache, where no database keeps it."""
        return f"{self.path}.hosts" if self.is_named else f"{os.path.dirname(self.path)}/hosts"


def choose_quarantine(policy: Policy, cache: OpenCache) -> QuarantinePlace:
    """Return where removals of this cache go, without making or opening anything."""
    if policy.quarantine.path is not None:
        return QuarantinePlace(policy.quarantine.path, is_named=True)
    path = cache.identity.path
    if is_mount_point(path):
        why = "the cache is a mount point"
    elif _is_own_in_a_closed_folder(cache):
        why = f"you may not write to {os.path.dirname(path)}"
    else:
        return QuarantinePlace(f"{path}{_FOLDER}")
    return QuarantinePlace(
        f"{path}/{_FOLDER}",
        f"{why}, so quarantine lies inside the cache ({path}/.cacheadmin): any "
        "user's `uv cache prune` empties it, and a prune can then not be undone",
    )


def other_quarantines(policy: Policy, cache: OpenCache) -> list[str]:
    """Return the folders in which other policies of this host have, or had, this cache's removals.

    The run lock lies in them: by another path of the cache, another ``quarantine.path``, or as its
    owner, a run finds another.
    """
    path = cache.identity.path
    trusted = {0, os.geteuid(), os.fstat(cache.fd).st_uid}
    paths = dict.fromkeys([path, *other_paths_of(path, read_mounts())])
    places = [*(f"{one}{_FOLDER}" for one in paths), f"{path}/{_FOLDER}"]
    chosen = choose_quarantine(policy, cache).path
    return [one for one in places if one != chosen and _is_folder_of(one, trusted)]


def _is_folder_of(path: str, owners: Collection[int]) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid in owners


def _is_own_in_a_closed_folder(cache: OpenCache) -> bool:
    """Whether the caller owns a cache, and may make nothing beside it.

    Root's quarantine beside it, where there is one, is the caller's too: it is
    refused as that, and no second one is made.
    """
    path = cache.identity.path
    if os.geteuid() == 0 or os.fstat(cache.fd).st_uid != os.geteuid():
        return False
    if os.path.lexists(f"{path}.cacheadmin"):
        return False
    return not os.access(os.path.dirname(path), os.W_OK | os.X_OK, effective_ids=True)
