"""Where a policy has removals of its cache wait, and what lies beside them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.fs.mounts import is_mount_point
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy


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
        return QuarantinePlace(f"{path}.cacheadmin/quarantine")
    return QuarantinePlace(
        f"{path}/.cacheadmin/quarantine",
        f"{why}, so quarantine lies inside the cache ({path}/.cacheadmin): any "
        "user's `uv cache prune` empties it, and a prune can then not be undone",
    )


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
