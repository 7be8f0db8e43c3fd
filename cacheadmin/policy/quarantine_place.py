"""Where a policy has removals of its cache wait, and what lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.fs.mounts import is_mount_point

if TYPE_CHECKING:
    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.policy.model import Policy


@dataclass(frozen=True, slots=True)
class QuarantinePlace:
    """Where quarantine is or would be; ``warning`` is for every report, or empty."""

    path: str
    warning: str = ""


def choose_quarantine(policy: Policy, cache: OpenCache) -> QuarantinePlace:
    """Return where removals of this cache go, without making or opening anything."""
    if policy.quarantine.path is not None:
        return QuarantinePlace(policy.quarantine.path)
    path = cache.identity.path
    if not is_mount_point(path):
        return QuarantinePlace(f"{path}.cacheadmin/quarantine")
    return QuarantinePlace(
        f"{path}/.cacheadmin/quarantine",
        f"the cache is a mount point, so quarantine lies inside it ({path}/.cacheadmin): any "
        "user's `uv cache prune` empties it, and a prune can then not be undone",
    )
