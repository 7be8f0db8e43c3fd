"""One prune from beginning to end.

``recover_interrupted`` comes before anything is looked at: what a killed run
left in quarantine belongs into the cache. ``run_prune`` then carries out the
plan of a situation under the run lock, deletes what is due in quarantine, and
remembers what was seen of environments.
"""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin import __version__
from cacheadmin.errors import CacheadminError, CacheBusy, NotACache
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.inventory.opening import open_cache
from cacheadmin.planner.plan import Verdict
from cacheadmin.prune.quarantine import (
    Quarantine,
    choose_quarantine,
    new_run_id,
    open_quarantine,
)
from cacheadmin.prune.recheck import Rechecker
from cacheadmin.prune.recovery import Recovered, recover
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.runs import discard_empty, purge_due, restore
from cacheadmin.prune.transaction import Steps, carry_out
from cacheadmin.prune.verification import Verified, verify
from cacheadmin.report.locks import account_name, holder_words
from cacheadmin.report.plans import decisions_json
from cacheadmin.timestamps import now_ns, rfc3339
from cacheadmin.uv.cache_lock import ExclusiveLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.fs.measuring import Size
    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.putting_back import PutBack
    from cacheadmin.situation import Situation


@dataclass(slots=True)
class PruneResult:
    """What a prune did. ``outcome`` as in the contract; pairs are (path, why)."""

    outcome: str
    run_id: str | None = None
    done: list[Decision] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    verified: Verified | None = None
    lock_mode: str = "exclusive"
    wait_seconds: float = 0.0
    held_seconds: float = 0.0
    quarantine: str = ""
    warnings: list[str] = field(default_factory=list)
    purged: tuple[str, ...] = ()
    recovered: tuple[Recovered, ...] = ()


@contextmanager
def _begin(policy: Policy, cache: OpenCache) -> Iterator[tuple[Quarantine, tuple[Recovered, ...]]]:
    """Open quarantine, take the run lock, and end what a killed run left."""
    timeout = 0.0 if policy.lock.busy == "skip" else policy.lock.timeout.total_seconds()
    with open_quarantine(policy, cache) as quarantine, run_lock(quarantine, timeout):
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


@contextmanager
def existing_quarantine(policy: Policy, cache: OpenCache) -> Iterator[Quarantine | None]:
    """Open a quarantine for looking at it; None when nothing was pruned yet."""
    try:
        manager = open_quarantine(policy, cache, create=False)
        quarantine = manager.__enter__()
    except NotACache:
        yield None
        return
    try:
        yield quarantine
    finally:
        manager.__exit__(None, None, None)


def run_prune(
    situation: Situation,
    plan: Plan,
    sizes: Mapping[str, Size],
    *,
    recovered: tuple[Recovered, ...] = (),
    dropped: Sequence[tuple[str, str]] = (),
) -> PruneResult:
    """Carry out a plan. A refused one changes nothing; an empty one takes no cache lock.

    Raises CacheBusy when the lock is not free in time.
    """
    policy, cache = situation.policy, situation.cache
    place = choose_quarantine(policy, cache)
    result = PruneResult("nothing_to_do", quarantine=place.path, recovered=recovered)
    result.dropped = list(dropped)
    result.warnings += [_recovery_words(one) for one in recovered]
    if plan.verdict is Verdict.REFUSED:
        result.outcome = "refused"
        return result
    if place.warning:
        result.warnings.append(place.warning)
    # First of all, so that even a prune that fails has saved what an older
    # uv's prune may erase tonight: the environments named in the cache.
    situation.state.remember(situation.evidence.environments, situation.now_ns)
    if plan.removals:
        with _begin(policy, cache) as (quarantine, _), _terminable():
            _transact(situation, plan, sizes, quarantine, result)
            result.purged = purge_due(quarantine, policy.quarantine.keep)
        return result
    with existing_quarantine(policy, cache) as found:
        if found is not None:
            try:
                with run_lock(found, 0.0):
                    result.purged = purge_due(found, policy.quarantine.keep)
            except CacheBusy:
                # The run that is at work purges what is due itself.
                pass
    return result


def restore_run(policy: Policy, cache: OpenCache, quarantine: Quarantine, run_id: str) -> PutBack:
    """Undo a run under the cache's lock. Call it under the run lock.

    Raises CacheBusy when the cache's lock is not free within lock.timeout,
    Refused when the run can't be restored.
    """
    path = cache.identity.path

    @contextmanager
    def locked() -> Iterator[None]:
        lock = ExclusiveLock(cache.fd, path)
        lock.acquire(policy.lock.timeout.total_seconds(), lambda: _holders(path, account_name))
        try:
            yield
        finally:
            lock.release()

    return restore(cache, quarantine, run_id, locked())


def _transact(
    situation: Situation,
    plan: Plan,
    sizes: Mapping[str, Size],
    quarantine: Quarantine,
    result: PruneResult,
) -> None:
    run_id = new_run_id(now_ns())
    rechecker = Rechecker(situation, plan.removals)
    environments = situation.evidence.environments
    identity = situation.cache.identity

    def check(moved: Sequence[str], in_quarantine: Callable[[str], bool]) -> Verified:
        return verify(environments, identity, moved, in_quarantine)

    steps = Steps(acquire=_acquire(situation), recheck=rechecker.look, verify=check)
    lock = ExclusiveLock(situation.cache.fd, identity.path)
    rows = decisions_json(plan.removals, sizes)
    removals = list(zip(plan.removals, rows, strict=True))
    try:
        done = carry_out(
            run_id, _header(situation, run_id), removals, situation.cache, quarantine, lock, steps
        )
    except BaseException as error:
        # Everything is back, or nothing ever moved: no run worth remembering.
        discard_empty(quarantine, run_id)
        if isinstance(error, OSError):
            raise _unwritable(quarantine, error) from None
        raise
    result.wait_seconds, result.held_seconds = lock.wait_seconds, lock.held_seconds
    result.outcome, result.done, result.failed = done.outcome, done.done, done.failed
    result.dropped += done.dropped
    result.verified = done.verified
    result.warnings += [f"{path} could not be put back: {why}" for path, why in done.stuck]
    if done.done or done.outcome == "rolled_back":
        result.run_id = run_id
    else:
        discard_empty(quarantine, run_id)


def _acquire(situation: Situation) -> Callable[[ExclusiveLock], None]:
    policy = situation.policy
    skip = policy.lock.busy == "skip"
    timeout = 0.0 if skip else policy.lock.timeout.total_seconds()

    path = situation.cache.identity.path

    def acquire(lock: ExclusiveLock) -> None:
        try:
            lock.acquire(timeout, lambda: _holders(path, situation.case.user))
        except CacheBusy as busy:
            if skip:
                busy.message = "the cache's lock is held, and the policy says lock.busy: skip"
            raise

    return acquire


def _holders(path: str, user: Callable[[int | None], str]) -> tuple[str, ...]:
    return tuple(
        f"held {holder_words(holder, user)}"
        for holder in lock_holders(path)
        if not (holder.waiting or holder.unlinked)
    )


def _unwritable(quarantine: Quarantine, error: OSError) -> CacheadminError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return CacheadminError(
        f"the prune was given up, in quarantine {quarantine.path}: {error.strerror}",
        details=("nothing was removed",),
        hint="`cacheadmin runs purge --all` frees what earlier runs hold" if full else "",
    )


def _header(situation: Situation, run_id: str) -> dict[str, Any]:
    identity = situation.cache.identity
    return {
        "run_id": run_id,
        "version": __version__,
        "host": socket.gethostname(),
        "policy": situation.policy.name,
        "begun_at": rfc3339(now_ns()),
        "cache": {"path": identity.path, "device": identity.device, "inode": identity.inode},
    }


def _recovery_words(one: Recovered) -> str:
    if one.problem:
        return f"run {one.run_id} was interrupted; not all could be put back: {one.problem}"
    return f"run {one.run_id} was interrupted; {one.put_back} entries were put back"


@contextmanager
def _terminable() -> Iterator[None]:
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
        # Not in the main thread: whoever runs us there handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
