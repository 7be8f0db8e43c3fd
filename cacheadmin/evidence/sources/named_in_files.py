"""Jupyter kernels, systemd units and crontabs that name the cache or an environment."""

from __future__ import annotations

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import NamedEntry, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.named_in_files import named_in_files, usual_places
from cacheadmin.evidence.traces import homes_of_accounts


class NamedInFiles:
    """What files in the usual places will start one day, although nothing runs from it now."""

    id = "file"

    def collect(self, look: Look) -> Facts:
        """Return what the files of the system, and of accounts with a home, name."""
        places = usual_places(sorted(homes_of_accounts(look)))
        found = tuple(named_in_files(places, look.locator, self.id))
        return Facts(
            candidates=tuple(one for one in found if isinstance(one, Candidate)),
            named=tuple(one for one in found if isinstance(one, NamedEntry)),
            unseen=tuple(one for one in found if isinstance(one, Unseen)),
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what files name since; nothing under the lock: users write them."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)
