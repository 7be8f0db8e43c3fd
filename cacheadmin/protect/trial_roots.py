"""Roots for what is on trial: always, whether archives in use are protected or not.

Without them any user's prune takes tripwires away, or deletes what they lead
to. They are planted before an entry goes on trial, for it, the decoys and the
folder they lie in, and removed when its trial is over: which ones were planted
for trials alone is in the ledger, so a protection of archives in use that was
begun by hand is told from them.

What lies in ``environments-v*`` is cleared by every prune; no root helps there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, Refused
from cacheadmin.inventory.entries import ArchiveId, archive_path
from cacheadmin.protect.planted_roots import PlantedBucket, plant, planted_archives
from cacheadmin.protect.roots import ARCHIVES, TRIALS, WantedRoots, root_buckets
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.trial.folder import existing_trial_folder
from cacheadmin.trial.trials import trials_or_none
from cacheadmin.trial.tripwires import Tripwires
from cacheadmin.trial.ways_back import ways_back

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy
    from cacheadmin.trial.trials import Shield


def on_trial(cache: OpenCache) -> frozenset[ArchiveId]:
    """Return what needs roots because of trials: tripwires, decoys, and their folder."""
    try:
        with existing_trial_folder(cache) as folder:
            if folder is None:
                return frozenset()
            with Tripwires(folder) as tripwires:
                ids = _ids(tripwires.entries())
            # Ways back lie there, too.
            return ids or (frozenset({TRIALS}) if ways_back(folder) else ids)
    except Refused:
        return _maybe_on_trial(cache)


def _maybe_on_trial(cache: OpenCache) -> frozenset[ArchiveId]:
    """Return what has roots and may be on trial, where our folder can't be taken for ours.

    Its owner or mode was changed, perhaps: what links lead to is still there, and in use.
    """
    links = frozenset(one for one in planted_archives(cache.fd) if _is_link(cache, one))
    return links | {TRIALS} if links else links


def _is_link(cache: OpenCache, archive: ArchiveId) -> bool:
    try:
        status = os.stat(archive_path(archive), dir_fd=cache.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return stat.S_ISLNK(status.st_mode)


def with_trials(cache: OpenCache, wanted: WantedRoots) -> WantedRoots:
    """Return what is wanted, with what a run has put on trial since the look it comes from."""
    since = on_trial(cache) - wanted.archives
    return WantedRoots(wanted.buckets, wanted.archives | since) if since else wanted


def planted_for_trials(cache: OpenCache) -> frozenset[ArchiveId]:
    """Return what has roots, or had, for no other reason than a trial."""
    with trials_or_none(cache) as trials:
        return frozenset() if trials is None else _ids(trials.ledger.rooted) | {TRIALS}


def shield_of(policy: Policy, cache: OpenCache, learned: Iterable[str] = ()) -> Shield:
    """Return what plants roots for entries that are about to go on trial; it removes none.

    Call that under the run lock. ``learned`` are bucket names beyond the table.
    """
    buckets = root_buckets(policy.protect.ahead, learned)

    def shield(entries: Iterable[str]) -> str:
        try:
            wanted = WantedRoots(buckets, planted_archives(cache.fd) | _ids(entries))
            done = _plant(policy, cache, wanted, frozenset())
        except (OSError, CacheadminError) as error:
            return f"no roots could be planted: {error}"
        problems = [f"{bucket.name}: {bucket.problem}" for bucket in done if bucket.problem]
        return f"no roots could be planted in {problems[0]}" if problems else ""

    return shield


def renew_trial_roots(policy: Policy, cache: OpenCache, learned: Iterable[str] = ()) -> None:
    """Plant what trials need and remove what they need no more, where nothing else is protected.

    Call it under the run lock. Raises OSError when the archives can't be listed.
    """
    before, needed = planted_archives(cache.fd), on_trial(cache)
    if before or needed:
        wanted = WantedRoots(root_buckets(policy.protect.ahead, learned), needed)
        _plant(policy, cache, wanted, before & planted_for_trials(cache))
        note_trial_roots(cache)


def note_trial_roots(cache: OpenCache) -> None:
    """Remember which roots trials need, once those they need no more were removed."""
    with trials_or_none(cache) as trials:
        if trials is not None:
            trials.note_roots()


def _plant(
    policy: Policy, cache: OpenCache, wanted: WantedRoots, removable: frozenset[ArchiveId]
) -> tuple[PlantedBucket, ...]:
    """Plant, with folders made in quarantine where there is one: they appear complete."""
    with existing_quarantine(policy, cache) as quarantine:
        workshop_fd = None if quarantine is None else quarantine.fd
        return plant(cache.fd, wanted, removable=removable, workshop_fd=workshop_fd)


def _ids(entries: Iterable[str]) -> frozenset[ArchiveId]:
    names = (entry.partition("/") for entry in entries)
    found = frozenset(ArchiveId(name) for bucket, _, name in names if bucket == ARCHIVES)
    return found | {TRIALS} if found else frozenset()
