"""What a run does with trials beside beginning them: watch, bring back, end.

Before anything else is looked at, all tripwires are: what sprang is back in its
place when the look begins. What the look then finds to be used comes back as
well. Silent trials that are over end last, when the lock is given back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.errors import Refused
from cacheadmin.evidence.client_memory import client_memory_seconds
from cacheadmin.evidence.observations import host_name
from cacheadmin.hosts.sight import blind_hosts
from cacheadmin.planner.budget import Room, lacking
from cacheadmin.planner.gaps import PROOF
from cacheadmin.prune.kept_open import undeleted
from cacheadmin.prune.known_by_now import known_by_now
from cacheadmin.prune.on_trial import TrialResult, trial_rules, used_on_trial
from cacheadmin.prune.room import is_pressed
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.text.timestamps import nanoseconds, now_ns
from cacheadmin.trial.absences import absences_of
from cacheadmin.trial.blindness import blindness
from cacheadmin.trial.kin import kin_of
from cacheadmin.trial.trials import Ended, Trials, existing_trials, open_trials
from cacheadmin.trial.tripwires import TripwireStanding, has_orphans
from cacheadmin.trial.verdicts import ended_early, over
from cacheadmin.trial.witnesses import witnesses

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.fs.removal import Removed
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.planner.plan import Plan
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.sizing import Sizing
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.trial.ledger import Trial
    from cacheadmin.trial.trials import Shield, Watched

# A lookup that had found a tripwire before it was renamed away is over by then.
_WAIT_SECONDS = 1.0


def watch(
    policy: Policy, cache: OpenCache, shield: Shield | None, fence: Callable[[], None] | None
) -> Watched | None:
    """Look at all tripwires, bring back what sprang; None where nothing is on trial.

    ``shield`` plants roots for decoys that have to be made again. Call it under
    the run lock, whose ``fence`` is asked before every move. Raises Refused where our
    folder is not ours.
    """
    with existing_trials(cache) as trials:
        if trials is None:
            _clear_orphans(cache)
            return None
        trials.shield, trials.fence = shield, fence
        left = tuple(undeleted(trials.mend()))
        rules = trial_rules(policy, cache.identity.path)
        found = trials.watch(now_ns, rules, witnesses(cache, policy.aliases))
        return replace(found, undeleted=left)


def _clear_orphans(cache: OpenCache) -> None:
    """Clear tripwires whose folder a user has deleted, with all that was in it."""
    if has_orphans(cache.fd):
        with open_trials(cache) as trials:
            trials.mend()
            trials.note_roots()


@contextmanager
def trials_of_run(
    policy: Policy, cache: OpenCache, plan: Plan, warnings: list[str]
) -> Iterator[Trials | None]:
    """Open the trials that a run may need; made where there are none yet and it begins some.

    None where they can't be had: a user who may write to the bucket can put
    something in our folder's place, and must not stop all pruning by that.
    """
    begins = policy.prune.trial != "never" and any(d.rests_on != PROOF for d in plan.removals)
    with ExitStack() as stack:
        try:
            trials = stack.enter_context(open_trials(cache) if begins else existing_trials(cache))
        except Refused as refusal:
            warnings.append(f"nothing goes on trial: {refusal.message}; {refusal.hint}")
            trials = None
        yield trials


def bring_back_used(case: PlanInput, plan: Plan, trials: Trials, result: TrialResult) -> list[str]:
    """Put back what is known to be used; return what could not be, in words."""
    found = used_on_trial(case, plan.removals)
    used = {entry: who for entry, who in found.items() if entry not in trials.ledger.decoys}
    if not used:
        return []
    springs, stuck = trials.bring_back(
        dict.fromkeys(used, "linked"),
        max(case.now_ns, trials.moment(now_ns())),
        lambda entries: {entry: (used[entry],) for entry in entries},
    )
    result.linked += [spring.entry for spring in springs]
    return [f"{entry} is used and could not come back from trial: {why}" for entry, why in stuck]


def end_trials(
    snapshot: Snapshot, plan: Plan, trials: Trials, result: TrialResult, *, full: bool = False
) -> list[str]:
    """Delete what stayed silent to the end of its trial; return what people should know.

    Under pressure of the budget, and of a ``full`` disk, silent trials end early,
    the longest first. Before anything ends, what is known to be used by now comes back.
    """
    policy = snapshot.policy
    rules = trial_rules(policy, snapshot.cache.identity.path)
    gaps = snapshot.case.gaps
    absent = absences_of(gaps, snapshot.evidence.hosts, snapshot.now_ns)
    moment_ns = min(snapshot.now_ns, trials.moment(now_ns()))
    by = f"policy {policy.name} of {host_name()}"
    away = trials.note_absences(absent, moment_ns, rules.lasts_ns, by)
    begun = frozenset(result.planted)
    silent = _silent(trials, begun)
    due = over(trials.ledger, silent, moment_ns)
    early: tuple[Trial, ...] = ()
    trial = policy.prune.trial
    if (policy.prune.budget.is_set or full) and trial != "never":
        ending = {one.entry for one in due}
        others = [one for one in trials.current() if one.entry in set(silent) - ending]
        lacks = _lacks(snapshot.policy, snapshot.cache, snapshot.sizing, due, full=full)
        early = ended_early(others, moment_ns, nanoseconds(trial.at_least), lacks)
    if not due and not early:
        return []
    case = known_by_now(snapshot)
    told = bring_back_used(case, plan, trials, result)
    # With their kin.
    entries = [one.entry for one in (*due, *early) if one.entry in trials.ledger.trials]
    if not entries:
        return told
    unread = case.unread_pins
    if unread:
        why = f"the pin {unread[0].path} can't be read ({unread[0].reason})"
        return [*told, f"no trial ends: {why}"]
    blind = away
    if not blind and not policy.venvs.complete:
        blind = blindness(trials.folder, snapshot.cache.identity) or blind_hosts(
            snapshot.evidence.hosts
        )
    if blind:
        count = len(entries)
        ended = f"{format_count(count, 'trial')} {verb(count, 'is', 'are')} over"
        return [*told, f"{ended}, but silence proves nothing: {blind}"]
    lock_seconds = 0.0 if policy.lock.busy == "skip" else policy.lock.timeout.total_seconds()
    done = trials.end(
        entries,
        _unseen_seconds(snapshot.policy, snapshot.cache, snapshot.evidence) + _WAIT_SECONDS,
        lock_seconds,
    )
    result.ended += [one.entry for one in done.deleted]
    result.ended_bytes += done.removed.allocated_bytes
    words = [f"{entry}: its trial could not be ended: {why}" for entry, why in done.stuck]
    return told + words + _undeleted(done.removed)


def _silent(trials: Trials, begun: Collection[str]) -> list[str]:
    """Return the entries on trial that no process uses, by what is seen now; none of ``begun``.

    What has sprung since the run's first look comes back with the next one: with its kin.
    """
    seen = {one.entry: one.standing for one in trials.look()}
    silent = [entry for entry, standing in seen.items() if standing is TripwireStanding.SILENT]
    sprung = [
        entry
        for entry, standing in seen.items()
        if standing is TripwireStanding.SPRUNG and entry not in trials.ledger.decoys
    ]
    kin = kin_of(trials.folder, sprung, silent)
    return [entry for entry in silent if entry not in begun and entry not in kin]


def begun_by(cache: OpenCache, runs: Collection[str]) -> bool:
    """Whether anything that one of these runs put on trial still is."""
    with existing_trials(cache) as trials:
        return trials is not None and any(one.run_id in runs for one in trials.current())


def known_uses(snapshot: Snapshot) -> dict[str, str]:
    """Return what is on trial and is known to be used, or could be pinned; each with why."""
    unread = snapshot.case.unread_pins
    if unread:
        why = f"the pin {unread[0].path} can't be read ({unread[0].reason})"
        return dict.fromkeys(snapshot.inventory.on_trial, why)
    found = used_on_trial(snapshot.case, snapshot.plan().removals)
    return {entry: f"it is used by {who}" for entry, who in found.items()}


def end_now(
    policy: Policy,
    cache: OpenCache,
    runs: Collection[str],
    fence: Callable[[], None],
    used: Mapping[str, str],
) -> tuple[int, list[str]]:
    """End the trials of some runs at once; return how many ended, and what people should know.

    What is ``used``, as far as is known, each with why, stays on trial: the
    next run brings it back. Of others a use in the last moment brings the entry back
    all the same, and the last moment is long enough to see clients of a network
    filesystem. Call it under the run lock.
    """
    with existing_trials(cache) as trials:
        if trials is None:
            return 0, []
        trials.fence = fence
        wanted = [trial.entry for trial in trials.current() if trial.run_id in runs]
        mine = [entry for entry in wanted if entry not in used]
        for entry in mine:
            # Asked for by name: what it had seen before does not count.
            trials.tripwires.set_back(entry)
        if mine:
            time.sleep(client_memory_seconds(cache.identity.path, alone=policy.hosts.is_alone))
        lock_seconds = policy.lock.timeout.total_seconds()
        done = trials.end(mine, _WAIT_SECONDS, lock_seconds) if mine else Ended()
    words = [
        f"{entry} stays on trial: {used[entry]}; the next prune puts it back"
        for entry in wanted
        if entry in used
    ]
    words += [f"{entry} was used at the last moment, and is back" for entry in done.came_back]
    words += [f"{entry}: its trial could not be ended: {why}" for entry, why in done.stuck]
    return len(done.deleted), words + _undeleted(done.removed)


def _undeleted(removed: Removed) -> list[str]:
    return [f"{path} could not be deleted: {why}" for path, why in undeleted(removed)]


def _unseen_seconds(policy: Policy, cache: OpenCache, evidence: Evidence) -> float:
    """Return for how long clients of a network filesystem may go by what they remember."""
    return client_memory_seconds(
        cache.identity.path,
        alone=policy.hosts.is_alone,
        others=[host.reach.options for host in evidence.hosts],
    )


def _lacks(
    policy: Policy, cache: OpenCache, sizing: Sizing, due: Sequence[Trial], *, full: bool
) -> Callable[[Sequence[Trial]], bool]:
    """Return what tells whether the budget, or a full disk, lacks something after trials' end."""
    cache_fd = cache.fd
    whole = sizing.of_cache()
    free = os.fstatvfs(cache_fd)

    def lacks(chosen: Sequence[Trial]) -> bool:
        ending = (*due, *chosen)
        freed = sum(one.bytes for one in ending)
        files = sum(one.files for one in ending)
        if full and is_pressed(cache_fd, freed, files):
            return True
        room = Room(
            whole.allocated_bytes - freed,
            whole.files - files,
            free.f_bavail * free.f_frsize + freed,
            free.f_blocks * free.f_frsize,
        )
        return bool(lacking(policy.prune.budget, room))

    return lacks
