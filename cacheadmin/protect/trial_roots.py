"""Roots for what is on trial: always, whether archives in use are protected or not.

Without them any user's prune takes tripwires away, or deletes what they lead
to. They are planted before an entry goes on trial, for it, the decoys and the
folder they lie in, and removed when its trial is over: which ones were planted
for trials alone is in the ledger, so a protection of archives in use that was
begun by hand is told from them.

What lies in ``environments-v*`` is cleared by every prune; no root helps there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.protect.planting import PlantedBucket, plant, planted_archives
from cacheadmin.protect.roots import ARCHIVES, TRIALS, WantedRoots, root_buckets
from cacheadmin.trial.trials import existing_trials

if TYPE_CHECKING:
    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.policy.model import Policy


def on_trial(cache: OpenCache) -> frozenset[ArchiveId]:
    """Return what needs roots because of trials: tripwires, decoys, and their folder.

    Raises Refused where something that is not ours has our folder's name.
    """
    with existing_trials(cache) as trials:
        if trials is None:
            return frozenset()
        return _ids(trials.tripwires.entries())


def planted_for_trials(cache: OpenCache) -> frozenset[ArchiveId]:
    """Return what has roots, or had, for no other reason than a trial."""
    with existing_trials(cache) as trials:
        return frozenset() if trials is None else _ids(trials.ledger.rooted)


def shield(
    policy: Policy, cache: OpenCache, entries: Iterable[str], learned: Iterable[str] = ()
) -> tuple[PlantedBucket, ...]:
    """Plant roots for entries that are about to go on trial; removes none.

    Call it under the run lock. Raises OSError when the archives can't be listed.
    """
    buckets = root_buckets(policy.protect.ahead, learned)
    wanted = planted_archives(cache.fd) | _ids(entries)
    return plant(cache.fd, WantedRoots(buckets, wanted), removable=())


def _ids(entries: Iterable[str]) -> frozenset[ArchiveId]:
    names = (entry.partition("/") for entry in entries)
    found = frozenset(ArchiveId(name) for bucket, _, name in names if bucket == ARCHIVES)
    return found | {TRIALS} if found else frozenset()
