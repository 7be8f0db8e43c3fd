"""Jupyter kernels, units and crontabs that name an entry of the cache, or an environment."""

from __future__ import annotations

from itertools import chain

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, NamedEntry, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.named_in_files import (
    crontab_places,
    kernel_places,
    named_in_files,
    unit_places,
)
from cacheadmin.evidence.traces import homes_of_accounts


class NamedInFiles:
    """Files in the usual places of this host and of its accounts' homes."""

    id = "named"

    def collect(self, look: Look) -> Facts:
        """Return the entries and the environments that these files name."""
        homes = sorted(homes_of_accounts(look))
        places = chain(kernel_places(homes), unit_places(homes), crontab_places())
        candidates, named, unseen = [], [], []
        for one in named_in_files(places, look.locator):
            if isinstance(one, Unseen):
                unseen.append(one)
            elif one.entry is not None:
                named.append(NamedEntry(one.entry, one.file, one.uid))
            elif one.environment is not None:
                path = one.environment
                candidates.append(Candidate(path, EnvironmentKind.VENV, (self.id,), one.uid))
        return Facts(candidates=tuple(candidates), named=tuple(named), unseen=tuple(unseen))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what they name since; not under the lock."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)
