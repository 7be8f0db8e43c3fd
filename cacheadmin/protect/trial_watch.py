"""The guard looks at tripwires each minute: what sprang comes back at once.

The sooner after a use, the likelier that its process is still there to be
named; and the shorter the time between two looks, the less of a trial a backup
that walks the cache takes away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.protect.trial_roots import shield_of
from cacheadmin.prune.quarantine import open_quarantine
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.trial_upkeep import watch
from cacheadmin.text.numbers import format_count
from cacheadmin.trial.summary import trial_warnings
from cacheadmin.trial.trials import trials_or_none
from cacheadmin.trial.ways_back import ways_back

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy
    from cacheadmin.trial.trials import Watched

_EVERY_SECONDS = 60.0
_TRY_AGAIN_SECONDS = 2.0


class TrialWatch:
    """When to look next, and what was said last."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: list[str] = []
        self.next_at = time.monotonic()

    def look(self, policy: Policy, cache: OpenCache) -> bool:
        """Look at all tripwires, if there are any; whether something came back."""
        self.next_at = time.monotonic() + _EVERY_SECONDS
        try:
            with trials_or_none(cache) as trials:
                if trials is None:
                    return False
                if not (trials.tripwires.entries() or ways_back(trials.folder)):
                    return False
            # Only now: a guard of a cache without trials stays small.

            with (
                open_quarantine(policy, cache) as found,
                run_lock(policy, cache, found, 0.0) as quarantine,
            ):
                watched = watch(policy, cache, shield_of(policy, cache), quarantine.fence)
        except CacheBusy:
            # A run of ours is at work, and looks itself.
            self.next_at = time.monotonic() + _TRY_AGAIN_SECONDS
            return False
        except (CacheadminError, OSError) as error:
            self._tell([f"could not look at tripwires: {error}"])
            return False
        return watched is not None and self._report(watched)

    def _report(self, watched: Watched) -> bool:
        for spring in watched.springs:
            who = f" ({', '.join(spring.who)})" if spring.who else ""
            self._say(f"{spring.entry} came back from trial: {spring.why}{who}")
        if watched.doubtful:
            trials = format_count(len(watched.doubtful), "trial")
            self._say(f"something walked the cache, so that {trials} will take longer")
        self._tell(trial_warnings(watched))
        return bool(watched.springs)

    def _tell(self, problems: list[str]) -> None:
        """Say problems once, not each minute."""
        for problem in problems:
            if problem not in self._told:
                self._say(problem)
        self._told = problems
