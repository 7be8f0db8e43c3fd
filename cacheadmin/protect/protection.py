"""Protect one cache: plant for what a look found in use, or take everything away.

A prune of ours and a planting never work at once where there is a quarantine:
both take the run lock in it. Without one nothing was ever pruned here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.entries import archive_path
from cacheadmin.planner.in_use import archives_in_use
from cacheadmin.protect.folders import Obstacle
from cacheadmin.protect.planted_roots import (
    PlantedBucket,
    examine,
    leading_somewhere,
    plant,
    planted_archives,
    withdraw,
)
from cacheadmin.protect.roots import ARCHIVES, TRIALS, WantedRoots, root_buckets
from cacheadmin.protect.trial_roots import (
    note_trial_roots,
    on_trial,
    planted_for_trials,
    renew_trial_roots,
    with_trials,
)
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.run_lock import run_lock, run_lock_of_host
from cacheadmin.state.store import StateUnusable
from cacheadmin.uv.prune_words import prune_changed
from cacheadmin.uv.releases import buckets_of
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.fs.rights import Rights
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.snapshot.snapshot import Snapshot


@frozen
class Protection:
    """How well a cache's archives in use are protected from uv's own prune."""

    archives: int
    """How many archives are in use; those on trial are not counted."""
    buckets: tuple[PlantedBucket, ...]
    """What each bucket holds of the roots."""
    note: str = ""
    """Why more may count as used than are, in words; empty where everything was seen."""
    unclaimed: tuple[str, ...] = ()
    """Releases in use here whose prune is not known, each with why (``uv 0.99.0: ...``)."""

    @property
    def missing(self) -> int:
        """How many roots are not where they should be."""
        return sum(bucket.missing for bucket in self.buckets)

    @property
    def planted(self) -> int:
        """How many roots were planted."""
        return sum(bucket.planted for bucket in self.buckets)

    @property
    def removed(self) -> int:
        """How many roots were removed."""
        return sum(bucket.removed for bucket in self.buckets)

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """(bucket, what went wrong)."""
        return tuple((bucket.name, bucket.problem) for bucket in self.buckets if bucket.problem)

    @property
    def is_there(self) -> bool:
        """Whether anything is planted at all."""
        return any(bucket.since_ns is not None for bucket in self.buckets)

    @property
    def since_ns(self) -> int | None:
        """When the roots last changed; None when not all are there."""
        moments = [bucket.since_ns for bucket in self.buckets if bucket.since_ns is not None]
        return max(moments) if moments and not self.missing else None


def wanted_roots(snapshot: Snapshot) -> tuple[WantedRoots, str]:
    """Return what should be planted, and why that may be more than is used (or nothing)."""
    learned = {name for names in snapshot.evidence.learned.values() for name in names}
    buckets = root_buckets(snapshot.policy.protect.ahead, learned)
    found = archives_in_use(snapshot.case)
    return WantedRoots(buckets, found.archives | on_trial(snapshot.cache)), found.note


def check_protection(snapshot: Snapshot) -> Protection:
    """Return what is planted of what should be. Changes nothing."""
    wanted, note = wanted_roots(snapshot)
    in_use = len(wanted.archives - on_trial(snapshot.cache))
    unclaimed = unclaimed_releases(snapshot.evidence)
    planted = examine(snapshot.cache.fd, wanted)
    try:
        leading_somewhere(snapshot.cache.fd, wanted)
    except Obstacle as obstacle:
        planted = (_in_place_of_archives(obstacle, wanted), *planted)
    return Protection(in_use, planted, note, unclaimed)


def _in_place_of_archives(obstacle: Obstacle, wanted: WantedRoots) -> PlantedBucket:
    """Return what is said where the archives can't be listed, and so none is protected."""
    return PlantedBucket(ARCHIVES, None, len(wanted.archives), problem=str(obstacle.strerror))


def protect(snapshot: Snapshot, before: Collection[ArchiveId]) -> Protection:
    """Plant what is missing and remove what is stale.

    ``before`` is ``planted_before`` of this cache, from before the look that
    the snapshot is. Raises CacheBusy while a prune of ours goes on for
    longer than ``lock.timeout``, and what opening a quarantine raises.
    """
    wanted, note = wanted_roots(snapshot)
    timeout = snapshot.policy.lock.timeout.total_seconds()
    removable = before
    if snapshot.rests_on_memory:
        # A root that goes lets uv delete, and nothing is verified then as after our moves.
        removable = frozenset(one for one in before if _is_gone(snapshot.cache, one))
    return Protection(
        len(wanted.archives - on_trial(snapshot.cache)),
        plant_wanted(snapshot.policy, snapshot.cache, wanted, removable, timeout),
        note,
        unclaimed_releases(snapshot.evidence),
    )


def _is_gone(cache: OpenCache, archive: ArchiveId) -> bool:
    try:
        os.stat(archive_path(archive), dir_fd=cache.fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def unclaimed_releases(evidence: Evidence) -> tuple[str, ...]:
    """Return the releases learned or seen here of whose prune nothing is known, with why."""
    words = {seen.version: seen.prune for seen in evidence.seen_releases}
    words.update(evidence.learned_prunes)
    return tuple(
        f"uv {version}: {changed}"
        for version, said in sorted(words.items())
        if buckets_of(version) is None and (changed := prune_changed(said))
    )


def was_protected(snapshot: Snapshot, before: frozenset[ArchiveId]) -> frozenset[ArchiveId] | None:
    """Return what to give ``protect_after_prune``; None: nothing in use is to be protected.

    ``before`` is as for ``protect``: what a guard has planted since the look is newer
    knowledge than ours.
    """
    others = before - planted_for_trials(snapshot.cache) - {TRIALS}
    return before if others or snapshot.policy.protect.enabled else None


def protect_after_prune(
    snapshot: Snapshot, outcome: str, before: frozenset[ArchiveId] | None
) -> Protection | None:
    """Plant again after a prune of ours that changed the cache, or could have.

    A bucket that went took its roots with it. Where a protection was begun
    by hand it goes on, whatever ``protect.enabled`` says.
    """
    if outcome == "refused":
        return None
    if before is None:
        _renew_trial_roots(snapshot.policy, snapshot.cache, snapshot.evidence)
        return None
    return protect(snapshot, before)


def _renew_trial_roots(policy: Policy, cache: OpenCache, evidence: Evidence) -> None:
    learned = {name for names in evidence.learned.values() for name in names}
    timeout = policy.lock.timeout.total_seconds()
    if planted_archives(cache.fd) or on_trial(cache):
        with _undisturbed(policy, cache, timeout):
            renew_trial_roots(policy, cache, learned)


def plant_wanted(
    policy: Policy,
    cache: OpenCache,
    wanted: WantedRoots,
    removable: Collection[ArchiveId],
    timeout_seconds: float,
    bucket_rights: Mapping[str, Rights] | None = None,
) -> tuple[PlantedBucket, ...]:
    """Plant under the run lock; see ``protect``.

    ``bucket_rights`` are those that buckets had which may be gone now. A database that
    should tell whose turn it is, and does not answer, takes no protection away: then
    roots are only added.
    """
    rights = bucket_rights or {}
    try:
        with _undisturbed(policy, cache, timeout_seconds) as quarantine:
            return _plant(cache, wanted, removable, quarantine, rights)
    except StateUnusable:
        with existing_quarantine(policy, cache) as quarantine:
            if quarantine is None:
                raise
            with run_lock_of_host(quarantine, timeout_seconds):
                return _plant(cache, wanted, (), quarantine, rights)


def _plant(
    cache: OpenCache,
    wanted: WantedRoots,
    removable: Collection[ArchiveId],
    quarantine: QuarantineFolder | None,
    bucket_rights: Mapping[str, Rights],
) -> tuple[PlantedBucket, ...]:
    try:
        there = leading_somewhere(cache.fd, with_trials(cache, wanted))
    except Obstacle as obstacle:
        # A member can have put it there, and keeps roots from being planted; no more than that.
        return (_in_place_of_archives(obstacle, wanted),)
    planted = plant(
        cache.fd,
        there,
        removable=removable,
        workshop_fd=None if quarantine is None else quarantine.fd,
        bucket_rights=bucket_rights,
    )
    note_trial_roots(cache)
    return planted


def unprotect(policy: Policy, cache: OpenCache) -> Protection:
    """Remove every root, and the folders that were made for them. Raises as ``protect``."""
    with _undisturbed(policy, cache, policy.lock.timeout.total_seconds()):
        needed = on_trial(cache)
        if not needed:
            return Protection(0, withdraw(cache.fd))
        # What is on trial keeps its roots, whether the rest is protected or not.
        wanted = WantedRoots(root_buckets(policy.protect.ahead), needed)
        return Protection(0, plant(cache.fd, wanted, removable=planted_archives(cache.fd)))


def withdraw_dangling(cache: OpenCache) -> None:
    """Remove the roots of archives that are gone: they end prunes of uv before 0.2.28.

    Call it under the run lock. Raises OSError.
    """
    planted, needed = planted_archives(cache.fd), on_trial(cache)
    try:
        there = leading_somewhere(cache.fd, WantedRoots((), planted)).archives
    except Obstacle:
        # Which of them lead nowhere can't be told: all stay.
        return
    if not needed:
        # Our folder goes with the last trial.
        there -= {TRIALS}
    if planted != there:
        _remove_roots(cache, planted, there, needed)


def withdraw_of_trials(policy: Policy, cache: OpenCache) -> None:
    """Remove the roots of what is not on trial any more, where nothing in use is protected.

    Call it under the run lock. Raises OSError.
    """
    planted, needed = planted_archives(cache.fd), on_trial(cache)
    others = planted - planted_for_trials(cache) - {TRIALS}
    if not (others or policy.protect.enabled or planted <= needed):
        _remove_roots(cache, planted, planted & needed, needed)


def _remove_roots(
    cache: OpenCache,
    planted: frozenset[ArchiveId],
    kept: frozenset[ArchiveId],
    needed: frozenset[ArchiveId],
) -> None:
    """Remove what is planted but ``kept``; ``needed`` is what is on trial."""
    buckets = tuple(bucket.name for bucket in examine(cache.fd, WantedRoots((), frozenset())))
    plant(cache.fd, WantedRoots(buckets, kept), removable=planted - kept)
    if kept <= needed:
        note_trial_roots(cache)


def planted_before(policy: Policy) -> frozenset[ArchiveId]:
    """Return what has roots now: take it before looking, for ``protect``.

    Raises NotACache and NotPermitted as opening the cache does.
    """
    with open_cache(policy.cache) as cache:
        return planted_archives(cache.fd)


@contextmanager
def _undisturbed(
    policy: Policy, cache: OpenCache, timeout_seconds: float
) -> Iterator[QuarantineFolder | None]:
    with existing_quarantine(policy, cache) as quarantine:
        if quarantine is None:
            yield None
            return
        with run_lock(policy, cache, quarantine, timeout_seconds) as locked:
            yield locked
