"""Prune beside a uv that never ends: ``lock.busy: concurrent``.

The lock is never waited for. Where it happens to be free, and no uv is at work
that takes none, the prune is an ordinary one. Otherwise what ``planner.grace``
allows goes now, and the rest begins, or goes on with, its grace period.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheBusy
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.look import Moment, grain_ns
from cacheadmin.evidence.processes import ask_for_processes
from cacheadmin.evidence.sources.processes import sees_other_accounts, sees_whole_machine
from cacheadmin.hosts.leases import LeaseLost
from cacheadmin.planner.grace import Period, divide, marks, remaining
from cacheadmin.prune.execution import transact
from cacheadmin.prune.grace_file import moment_of, read_periods, write_periods
from cacheadmin.text.lists import join_some
from cacheadmin.text.timestamps import now_ns

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.evidence.facts import LockHolder, Process
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.prune.result import PruneResult
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.trial.trials import Trials


def prune_concurrently(
    snapshot: Snapshot,
    removals: Sequence[Decision],
    sizes: Measured[str],
    quarantine: QuarantineFolder,
    result: PruneResult,
    trials: Trials | None = None,
) -> None:
    """Remove what may go now, and let the rest wait. Call it under the run lock.

    Raises CacheBusy when another program holds the lock exclusively: that is
    no ``uvx``, but another prune.
    """
    if not snapshot.case.lock_free_uv:
        try:
            transact(
                snapshot,
                removals,
                sizes,
                quarantine,
                result,
                timeout_seconds=0.0,
                trials=trials,
            )
        except LeaseLost:
            raise
        except CacheBusy:
            pass
        else:
            write_periods(quarantine, ())
            return
    evidence = snapshot.evidence
    blind = who_is_not_seen(snapshot.case)
    moment = moment_of(evidence.processes, evidence.lock_holders)
    periods = read_periods(quarantine)
    division = divide(removals, snapshot.inventory, evidence, periods, moment, reclaim=not blind)
    result.lock_mode = "concurrent"
    if division.now:
        transact(
            snapshot,
            division.now,
            sizes,
            quarantine,
            result,
            timeout_seconds=0.0,
            trials=trials,
            beside=True,
        )
    gone = {decision.path for decision in result.done}
    result.deferred = [d for d in removals if d.path not in gone and d in division.later]
    if blind:
        result.waits_for = (blind,)
    elif result.outcome != "rolled_back":
        result.waits_for = _begin_period(snapshot, result.deferred, periods, quarantine)


def who_is_not_seen(case: PlanInput) -> str:
    """Return why not every user who may know an entry can be seen from here; empty: all can."""
    if case.evidence.filesystem.network or _is_exported(case):
        return "processes of other hosts, which can't be seen from here: the lock must be free"
    if not sees_whole_machine():
        return "processes outside this container, which can't be seen: run it on the host itself"
    if not sees_other_accounts():
        return "processes of other accounts, which can't be seen: run it as root"
    for holder in case.evidence.lock_holders:
        if holder.is_uv is None and not holder.waiting:
            return f"process {holder.pid}, which holds the lock and can't be looked at from here"
    return ""


def _is_exported(case: PlanInput) -> bool:
    """Whether other hosts may use a cache that lies on a disk of this one."""
    if case.policy.hosts.expect:
        # What they told of themselves says what they use, not what a uv there is about to link.
        return True
    return any(gap.id == "hosts.exported" for gap in case.gaps)


def _begin_period(
    snapshot: Snapshot,
    deferred: Sequence[Decision],
    periods: Sequence[Period],
    quarantine: QuarantineFolder,
) -> tuple[str, ...]:
    """Write down who may know what waits; return them in words.

    The order matters: folders' times first, processes afterwards. What is
    published in between is then either seen as a change, or its reader is on
    the list.
    """
    inventory = snapshot.inventory
    begun_ns = now_ns()
    times = dict(_times(snapshot.cache, snapshot.inventory))
    fresh = marks(
        deferred,
        inventory,
        times,
        now_ns=begun_ns,
        grain_ns=max(map(grain_ns, times.values()), default=0),
    )
    look = snapshot.collected.look.later(Moment.BEFORE_LOCK)
    processes, _ = ask_for_processes(look.readers, look.questions.process, look.binaries)
    holders = lock_holders(inventory.cache.path, look.readers)
    moment = moment_of(processes, holders)
    now = marks(deferred, inventory, times, now_ns=None)
    kept, waiting = remaining(periods, moment, now)
    new = {path: mark for path, mark in fresh.items() if path not in waiting}
    all_periods = (*kept, Period(moment, new)) if new else kept
    write_periods(quarantine, all_periods)
    knowers = {pid for period in all_periods for pid, _ in period.begun.working & moment.working}
    return _named(snapshot.case, knowers, (*holders, *processes))


def _times(cache: OpenCache, inventory: Inventory) -> Iterator[tuple[str, int]]:
    for folder in inventory.watched:
        try:
            status = os.stat(folder, dir_fd=cache.fd, follow_symlinks=False)
        except OSError:
            # It went with what was unpublished.
            continue
        yield folder, status.st_mtime_ns


def _named(
    case: PlanInput, pids: set[int], seen: Iterable[Process | LockHolder]
) -> tuple[str, ...]:
    words = {one.pid: f"process {one.pid} of {case.user(one.uid)} ({one.command})" for one in seen}
    return join_some([words[pid] for pid in sorted(pids)])
