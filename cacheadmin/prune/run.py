"""One prune from beginning to end.

``recover_interrupted`` comes before anything is looked at: what a killed run
left in quarantine belongs into the cache. ``run_prune`` then carries out the
plan of a snapshot under the run lock, deletes what is due in quarantine, and
remembers what was seen of environments.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheBusy, Refused
from cacheadmin.evidence.lock_holders import describe_holders
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.planner.plan import Verdict
from cacheadmin.policy.quarantine_place import choose_quarantine, other_quarantines
from cacheadmin.prune.concurrent import prune_concurrently
from cacheadmin.prune.execution import terminable, transact
from cacheadmin.prune.journal import read_journal
from cacheadmin.prune.quarantine import QuarantineFolder, existing_quarantine, open_quarantine
from cacheadmin.prune.recovery import Recovered, recover
from cacheadmin.prune.result import Before, PruneResult
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.runs import purge, purge_due, restore
from cacheadmin.prune.trial_upkeep import bring_back_used, end_trials, trials_of_run, watch
from cacheadmin.snapshot.memory import remember_run
from cacheadmin.state.store import open_state
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count
from cacheadmin.trial.trials import existing_trials, trials_or_none
from cacheadmin.trial.tripwires import TripwireStanding, has_orphans
from cacheadmin.uv.cache_lock import SharedLock

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.planner.plan import Plan
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.restoration import PutBack
    from cacheadmin.prune.result import ShieldOf
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.trial.trials import Shield, Watched


_FULL = (
    "the cache's filesystem is full: what was removed on proof was deleted at once, and can't be "
    "put back"
)
_OTHER_QUARANTINE = (
    "this cache has another quarantine, {other}: a run that uses that one, by another path of the "
    "cache, by another quarantine.path or as its owner, does not wait for this one, and is not "
    "ended by it when it was killed; name the cache and its quarantine alike in all policies, and "
    "remove the other folder when its runs are purged"
)


def known_runs(policy: Policy) -> frozenset[str]:
    """Return the runs of a cache's quarantine: take it before looking, for ``run_prune``."""
    with open_cache(policy.cache) as cache, existing_quarantine(policy, cache) as quarantine:
        return frozenset() if quarantine is None else frozenset(quarantine.run_ids())


def _require_no_other_run(cache: OpenCache, quarantine: QuarantineFolder, before: Before) -> None:
    """Refuse a plan whose cache another run has changed since the look that it rests on."""
    if before.runs is None:
        return
    for run_id in sorted(set(quarantine.run_ids()) - before.runs):
        run_fd = quarantine.open_run(run_id)
        try:
            journal = read_journal(run_fd)
        finally:
            os.close(run_fd)
        # Several caches may share one quarantine.
        if journal is not None and journal.is_of(cache.identity):
            raise CacheBusy(
                f"another cacheadmin run changed this cache since this one looked: {run_id} on "
                f"host {journal.run.get('host', '')}",
                details=("nothing was removed",),
                hint="run it again",
            )


@contextmanager
def _begin(
    policy: Policy, cache: OpenCache
) -> Iterator[tuple[QuarantineFolder, tuple[Recovered, ...]]]:
    """Open quarantine, take the run lock, and end what a killed run left."""
    timeout = 0.0 if policy.lock.busy == "skip" else _timeout(policy)
    # A newer release's state must not be found when a run was ended already.
    open_state(policy.state, cache=cache.identity).require_known()
    with (
        open_quarantine(policy, cache) as found,
        run_lock(policy, cache, found, timeout) as quarantine,
    ):
        yield quarantine, recover(cache, quarantine)


def recover_interrupted(policy: Policy) -> tuple[Recovered, ...]:
    """Put back what a killed run left in quarantine; nothing is made where none is.

    Raises CacheBusy while another run is at work, NotACache, Refused.
    """
    with open_cache(policy.cache) as cache:
        with existing_quarantine(policy, cache) as quarantine:
            if quarantine is None:
                return ()
        with _begin(policy, cache) as (_, recovered):
            return recovered


def watch_trials(policy: Policy, shield: ShieldOf) -> Watched | None:
    """Bring back what sprang, before anything is looked at; None where nothing is on trial.

    ``shield`` gives what plants roots in a cache. Raises CacheBusy while another
    run is at work, NotACache, Refused.
    """
    with open_cache(policy.cache) as cache:
        try:
            with existing_trials(cache) as trials:
                nothing_there = trials is None and not has_orphans(cache.fd)
        except Refused:
            # Not ours, or of a newer release: the run says so, and puts nothing on trial.
            return None
        if nothing_there:
            return None
        timeout = 0.0 if policy.lock.busy == "skip" else _timeout(policy)
        with (
            open_quarantine(policy, cache) as found,
            run_lock(policy, cache, found, timeout) as quarantine,
        ):
            return watch(policy, cache, shield(policy, cache), quarantine.fence)


def take_off_trial(
    policy: Policy, entries: Collection[str], shield: ShieldOf
) -> list[tuple[str, str]]:
    """Put entries back in their places that no user has used on trial; return (entry, why not).

    Each is looked at once more. Raises CacheBusy while another run is at work, NotACache,
    Refused.
    """
    with open_cache(policy.cache) as cache:
        timeout = 0.0 if policy.lock.busy == "skip" else _timeout(policy)
        with (
            open_quarantine(policy, cache) as found,
            run_lock(policy, cache, found, timeout) as quarantine,
            existing_trials(cache) as trials,
        ):
            if trials is None:
                return []
            trials.shield, trials.fence = shield(policy, cache), quarantine.fence
            silent = {one.entry for one in trials.look() if one.standing is TripwireStanding.SILENT}
            stuck = trials.put_back([entry for entry in sorted(entries) if entry in silent])
            return [*stuck, *((entry, "it was used") for entry in sorted(set(entries) - silent))]


def run_prune(
    snapshot: Snapshot,
    plan: Plan,
    sizes: Measured[str],
    *,
    before: Before | None = None,
    shield: Shield | None = None,
    concurrent: bool = True,
    at_once: bool = False,
) -> PruneResult:
    """Carry out a plan. A refused one changes nothing; an empty one takes no cache lock.

    ``shield`` plants roots for what goes on trial. ``concurrent`` False: under the
    exclusive lock, whatever the policy says. ``at_once``: what goes on proof is
    deleted as soon as it is verified, as it is where room had to be made first.
    Raises CacheBusy when the lock is not free in time, NoRoom when nothing can be
    written.
    """
    policy, cache = snapshot.policy, snapshot.cache
    place = choose_quarantine(policy, cache)
    before = before or Before()
    room = before.room
    result = PruneResult("nothing_to_do", quarantine=place.path, recovered=before.recovered)
    result.dropped = list(before.dropped)
    result.room = room
    result.trial.watched = before.watched
    result.warnings += [_recovery_words(one) for one in before.recovered]
    if plan.verdict is Verdict.REFUSED:
        result.outcome = "refused"
        return result
    if place.warning:
        result.warnings.append(place.warning)
    result.warnings += [
        _OTHER_QUARANTINE.format(other=other) for other in other_quarantines(policy, cache)
    ]
    if room is not None:
        result.warnings.append(_FULL)
        result.warnings += [f"{path} could not be deleted: {why}" for path, why in room.left]
        result.outcome = "committed" if room.removed else result.outcome
    # First of all, so that even a prune that fails has saved what an older
    # uv's prune may erase tonight: the environments named in the cache.
    result.warnings += remember_run(snapshot)
    if plan.removals or snapshot.inventory.on_trial:
        with _begin(policy, cache) as (quarantine, _), terminable():
            _require_no_other_run(cache, quarantine, before)
            _work(
                snapshot,
                plan,
                sizes,
                quarantine,
                result,
                shield,
                concurrent=concurrent,
            )
            if (at_once or room is not None) and result.run_id is not None:
                _delete(quarantine, cache.identity, result.run_id, result)
        return result
    with existing_quarantine(policy, cache) as found:
        if found is not None:
            try:
                with run_lock(policy, cache, found, 0.0) as quarantine:
                    _purge_due(snapshot.policy, snapshot.cache, snapshot.now_ns, quarantine, result)
            except CacheBusy:
                # The run that is at work purges what is due itself.
                pass
    return result


def _delete(
    quarantine: QuarantineFolder, cache: CacheIdentity, run_id: str, result: PruneResult
) -> None:
    """Delete at once what a run moved; what is on trial stays so."""
    removed = purge(quarantine, cache, run_id)
    result.deleted_bytes = removed.allocated_bytes
    result.warnings += [f"{path} could not be deleted: {why}" for path, why in removed.failures]


def _work(
    snapshot: Snapshot,
    plan: Plan,
    sizes: Measured[str],
    quarantine: QuarantineFolder,
    result: PruneResult,
    shield: Shield | None,
    *,
    concurrent: bool,
) -> None:
    policy = snapshot.policy
    with trials_of_run(policy, snapshot.cache, plan, result.warnings) as trials:
        if trials is not None:
            trials.shield, trials.fence = shield, quarantine.fence
            result.warnings += bring_back_used(snapshot.case, plan, trials, result.trial)
        if not plan.removals:
            pass
        elif policy.lock.busy == "concurrent" and concurrent:
            prune_concurrently(snapshot, plan.removals, sizes, quarantine, result, trials)
        else:
            timeout = 0.0 if policy.lock.busy == "skip" else _timeout(policy)
            transact(
                snapshot,
                plan.removals,
                sizes,
                quarantine,
                result,
                timeout_seconds=timeout,
                trials=trials,
            )
        if trials is not None:
            result.warnings += end_trials(
                snapshot, plan, trials, result.trial, full=result.room is not None
            )
    _purge_due(snapshot.policy, snapshot.cache, snapshot.now_ns, quarantine, result)


def restore_run(
    policy: Policy, cache: OpenCache, quarantine: QuarantineFolder, run_id: str
) -> PutBack:
    """Undo a run beside any uv at work. Call it under the run lock.

    What comes back replaces nothing, and comes before what leads to it, so only
    other prunes are kept out: the lock is shared. Raises CacheBusy when one of
    them holds it for longer than lock.timeout, Refused when the run can't be
    restored.
    """
    path = cache.identity.path

    @contextmanager
    def locked() -> Iterator[None]:
        lock = SharedLock(cache.fd, path)
        lock.acquire(_timeout(policy), lambda: describe_holders(path, account_name))
        try:
            yield
        finally:
            lock.release()

    with trials_or_none(cache) as trials:
        if trials is not None:
            trials.fence = quarantine.fence
        return restore(cache, quarantine, run_id, locked(), trials)


def _purge_due(
    policy: Policy, cache: OpenCache, now_ns: int, quarantine: QuarantineFolder, result: PruneResult
) -> None:
    seconds = policy.prune.limits.seconds
    with trials_or_none(cache) as trials:
        result.purged, left = purge_due(
            quarantine, cache.identity, policy.quarantine.keep, now_ns, seconds, trials=trials
        )
    result.warnings += [f"{path} could not be deleted: {why}" for path, why in left]


def _timeout(policy: Policy) -> float:
    return policy.lock.timeout.total_seconds()


def _recovery_words(one: Recovered) -> str:
    if one.problem:
        return f"run {one.run_id} was interrupted; not all could be put back: {one.problem}"
    words = format_count(one.put_back, "entry", "entries")
    return f"run {one.run_id} was interrupted; {words} put back"
