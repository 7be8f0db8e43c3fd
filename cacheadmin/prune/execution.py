"""Carry removals out as one transaction: wires lock, last look, verification and journal."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin import __version__
from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.evidence.lock_holders import describe_holders
from cacheadmin.evidence.steady_time import host_time, recorded_moment
from cacheadmin.fs.free_space import is_full
from cacheadmin.hosts.leases import LeaseLost
from cacheadmin.inventory.entries import lies_in
from cacheadmin.prune.last_look import LastLook
from cacheadmin.prune.on_trial import Divided, divide_removals, new_trials, trial_rules
from cacheadmin.prune.plan_rows import decisions_json
from cacheadmin.prune.quarantine import new_run_id, no_room
from cacheadmin.prune.runs import discard_empty
from cacheadmin.prune.transaction import Steps, Transaction, carry_out
from cacheadmin.prune.verification import Verified, verify
from cacheadmin.text.timestamps import now_ns, rfc3339
from cacheadmin.uv.cache_lock import ExclusiveLock, SharedLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.accounting import Size
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.planner.plan import Decision
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.prune.result import PruneResult
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.trial.trials import Trials


def transact(
    snapshot: Snapshot,
    removals: Sequence[Decision],
    sizes: Mapping[str, Size],
    quarantine: QuarantineFolder,
    result: PruneResult,
    *,
    timeout_seconds: float,
    trials: Trials | None = None,
    beside: bool = False,
) -> None:
    """Move removals to quarantine, or on trial, and verify; tell ``result``.

    ``trials`` is where what rests on absence goes.

    Under uv's exclusive lock, waiting so long for it; ``beside`` others, under
    the shared one, what ``planner.grace`` allows. What is removed even in use breaks
    links, and that is no reason to put it back. Raises CacheBusy, Refused.
    """
    begun_ns = _begun_ns(snapshot)
    run_id = new_run_id(begun_ns)
    divided = divide_removals(snapshot.policy, snapshot.inventory, removals)
    result.dropped += divided.staying
    removals = divided.removals
    on_trial = divided.on_trial
    if trials is None:
        removals = tuple(decision for decision in removals if decision.path not in on_trial)
        result.dropped += [(path, "nothing can go on trial here") for path in sorted(on_trial)]
        on_trial = frozenset()
    elif on_trial:
        removals, on_trial = _prepare(snapshot, trials, run_id, divided, sizes, result)
    last = LastLook(snapshot, removals, beside=beside)
    forced = frozenset(decision.path for decision in removals if decision.even_in_use)
    environments = snapshot.collected.scanned
    identity = snapshot.cache.identity
    readers = snapshot.collected.look.readers

    def check(moved: Sequence[str], in_quarantine: Callable[[str], bool]) -> Verified:
        found = verify(environments, identity, moved, in_quarantine, readers)
        result.warnings += [
            f"after the moves, an environment could not be looked at: {one}" for one in found.unread
        ]
        return replace(
            found,
            broken=tuple(one for one in found.broken if not lies_in(one.entry, forced)),
            used={entry: link for entry, link in found.used.items() if entry not in forced},
        )

    acquire = _acquire(snapshot, timeout_seconds)
    steps = Steps(
        acquire,
        look=last.look,
        verify=check,
        trials=trials,
        on_trial=on_trial,
        # A shared lock keeps only prunes waiting.
        held_at_most=math.inf if beside else snapshot.policy.lock.held_at_most.total_seconds(),
    )
    lock = (SharedLock if beside else ExclusiveLock)(snapshot.cache.fd, identity.path)
    rows = list(decisions_json(removals, sizes))
    for row in rows:
        if row["path"] in on_trial:
            row["trial"] = True
    paired = list(zip(removals, rows, strict=True))
    try:
        done = carry_out(
            run_id,
            _header(snapshot.policy, snapshot.cache, run_id, begun_ns),
            paired,
            snapshot.cache,
            quarantine,
            lock,
            steps,
        )
    except BaseException as error:
        # Everything is back, or nothing ever moved: no run worth remembering. But where
        # another host has the turn now, it ends this run.
        if _has_turn(quarantine):
            discard_empty(quarantine, run_id)
            if trials is not None:
                trials.unprepare(on_trial)
        if isinstance(error, OSError):
            raise _unwritable(quarantine, error) from None
        raise
    result.wait_seconds, result.held_seconds = lock.wait_seconds, lock.held_seconds
    result.outcome, result.done, result.failed = done.outcome, done.done, done.failed
    result.dropped += done.dropped
    result.verified = done.verified
    result.warnings += [f"{path} could not be put back: {why}" for path, why in done.stuck]
    if trials is not None:
        _note_trials(trials, on_trial, done, result)
    if done.done or done.outcome == "rolled_back":
        result.run_id = run_id
    else:
        discard_empty(quarantine, run_id)


def _has_turn(quarantine: QuarantineFolder) -> bool:
    try:
        quarantine.fence(batch=True)
    except LeaseLost:
        return False
    return True


def _prepare(
    snapshot: Snapshot,
    trials: Trials,
    run_id: str,
    divided: Divided,
    sizes: Mapping[str, Size],
    result: PruneResult,
) -> tuple[tuple[Decision, ...], frozenset[str]]:
    """Make links and roots before the lock; return what goes, and which of it on trial."""
    rules = trial_rules(snapshot.policy, snapshot.cache.identity.path)
    # By the clock that trials end by; where the two differ, the later one keeps more.
    moment_ns = max(snapshot.now_ns, trials.moment(now_ns()))
    begun = new_trials(run_id, divided.removals, divided.on_trial, sizes, moment_ns, rules)
    try:
        failed = trials.prepare(begun, moment_ns)
    except OSError as error:
        failed = {one.entry: f"no tripwire could be made: {error.strerror}" for one in begun}
    ready = divided.on_trial.difference(failed)
    trials.unprepare(failed)
    result.dropped += failed.items()
    result.trial.ends_ns = moment_ns + rules.lasts_ns + rules.unseen_ns
    return tuple(d for d in divided.removals if d.path not in failed), ready


def _note_trials(
    trials: Trials, on_trial: frozenset[str], done: Transaction, result: PruneResult
) -> None:
    """Remember what the run put on trial, and what the look after the moves found used."""
    trials.unprepare(on_trial)
    there = {decision.path for decision in done.done}.intersection(on_trial)
    result.trial.planted = sorted(there)
    springs, stuck = trials.bring_back(
        dict.fromkeys(done.linked, "linked"),
        now_ns(),
        lambda entries: {entry: (done.linked[entry],) for entry in entries},
    )
    result.trial.linked += [spring.entry for spring in springs if spring.why == "linked"]
    result.warnings += [f"{entry} could not come back from trial: {why}" for entry, why in stuck]


def _acquire(snapshot: Snapshot, timeout_seconds: float) -> Callable[[ExclusiveLock], None]:
    path = snapshot.cache.identity.path

    def acquire(lock: ExclusiveLock) -> None:
        try:
            lock.acquire(timeout_seconds, lambda: describe_holders(path, snapshot.case.user))
        except CacheBusy as busy:
            if snapshot.policy.lock.busy == "skip":
                busy.message = "the cache's lock is held, and the policy says lock.busy: skip"
            raise

    return acquire


def _unwritable(quarantine: QuarantineFolder, error: OSError) -> CacheadminError:
    what = f"the prune was given up, in quarantine {quarantine.path}"
    if is_full(error):
        return no_room(what, error)
    return CacheadminError(f"{what}: {error.strerror}", details=("nothing was removed",))


def _begun_ns(snapshot: Snapshot) -> int:
    """Return when a run begins (ns): what it moves is deleted so long afterwards."""
    here = host_time()
    return recorded_moment(now_ns(), snapshot.state.clock(here.host), here)


def _header(policy: Policy, cache: OpenCache, run_id: str, begun_ns: int) -> dict[str, Any]:
    identity = cache.identity
    return {
        "run_id": run_id,
        "version": __version__,
        "host": socket.gethostname(),
        "policy": policy.name,
        "begun_at": rfc3339(begun_ns),
        "cache": {"path": identity.path, "device": identity.device, "inode": identity.inode},
    }


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and a lost terminal end a transaction as Ctrl-C does: all is put back first."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Under nohup it is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, interrupt)
    except ValueError:
        # Not in the main thread: the program that runs us there handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
