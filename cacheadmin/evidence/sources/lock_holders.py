"""Who holds the cache's ``.lock``, also one that was deleted since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.look import Facts, Look

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import LockHolder


class LockHolders:
    """Holders of uv's lock, and those who wait for it."""

    id = "lock"

    def collect(self, look: Look) -> Facts:
        """Return all of them."""
        return Facts(lock_holders=_holders(look))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return those who hold a lock that was deleted: the cache's own stops them no more."""
        planned = {holder.pid for holder in before.lock_holders if holder.unlinked}
        return Facts(
            lock_holders=tuple(
                holder for holder in _holders(look) if holder.unlinked and holder.pid not in planned
            )
        )


def _holders(look: Look) -> tuple[LockHolder, ...]:
    return lock_holders(look.inventory.cache.path, look.readers, look.deadline_seconds)
