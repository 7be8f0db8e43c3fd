"""What earlier looks saw: environments are looked at again by path, whatever names them now."""

from __future__ import annotations

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.inventory.archives import stands_on_trial


class Remembered:
    """Environments on record in the state, and those registered there by hand."""

    id = "remembered"

    def collect(self, look: Look) -> Facts:
        """Return all of them."""
        return Facts(
            candidates=tuple(
                Candidate(
                    memory.path,
                    memory.kind,
                    (self.id,),
                    memory.uid,
                    memory.seen_ns,
                    memory.mount_point,
                )
                for memory in look.known
                if not stands_on_trial(look.cache, memory.path)
            )
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return nothing: only a look adds to the state, and ours is under the run lock."""
        return Facts()
