"""Gather everything that a report shows of one cache, measuring it once.

Nothing in the cache is changed. The state gets the sizes for the chart of the
next report; where it can't be written, that is a warning, never a failure.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.audit.one_cache import run_audit
from cacheadmin.errors import CacheadminError
from cacheadmin.hosts.fleet import known_hosts
from cacheadmin.overview.environments import all_holders, known_environments
from cacheadmin.overview.facts import CacheReport, Disk, Goal, Going, Part, Parts, ReleaseInUse
from cacheadmin.overview.past_runs import quarantine_of
from cacheadmin.planner.bucket_needs import is_active
from cacheadmin.planner.release_traces import describe_version, trace_takes_lock
from cacheadmin.policy.quantities import Share
from cacheadmin.state.size_history import open_size_history
from cacheadmin.trial.summary import trial_summary
from cacheadmin.usage.groupings import By
from cacheadmin.usage.history import remember_size, size_record
from cacheadmin.usage.measurement import MeasuredCache, measure_cache

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.planner.plan import Plan
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.sizing import Sizing
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.state.size_history import SizeRecord


def gather(snapshot: Snapshot) -> tuple[CacheReport, tuple[str, ...]]:
    """Return the overview of a cache, and what could not be had, as warnings.

    Raises StateUnusable where the state can't even be read.
    """
    measured = measure_cache(snapshot)
    case, plan = snapshot.case, snapshot.plan()
    history, warnings = _history(snapshot, measured)
    archives = measured.archives()
    buckets = measured.by(By.BUCKET)
    disk = disk_of(snapshot.cache, snapshot.evidence)
    overview = CacheReport(
        loaded=snapshot.loaded,
        cache=snapshot.cache.identity,
        taken_ns=snapshot.now_ns,
        verdict=plan.verdict,
        limits=plan.limits,
        going=_going(snapshot.sizing, plan),
        kept=len(plan.kept),
        total=measured.total,
        archives=sum(buckets.archives.values()),
        unread=len(measured.unread),
        disk=disk,
        budget=tuple(budget_goals(snapshot.policy, measured, disk)),
        parts=Parts(*(_parts(measured, by) for by in (By.BUCKET, By.PACKAGE, By.OWNER, By.TEAM))),
        environments=known_environments(snapshot, plan.live, archives),
        holding_owners=all_holders(case, plan.live, archives, snapshot.owner_of),
        holding_teams=all_holders(case, plan.live, archives, snapshot.team_of),
        releases=_releases(case),
        findings=run_audit(snapshot, measured=measured.total).findings,
        quarantine=quarantine_of(snapshot.policy, snapshot.cache),
        history=history,
        trial=trial_summary(snapshot.cache),
        hosts=known_hosts(case),
    )
    return overview, warnings


def _history(
    snapshot: Snapshot, measured: MeasuredCache
) -> tuple[tuple[SizeRecord, ...], tuple[str, ...]]:
    """Return the records of the past and the present one, and warnings."""
    present = size_record(snapshot.now_ns, measured)
    unsaved = dict.fromkeys((measured.warning, remember_size(snapshot, present)))
    try:
        past = open_size_history(snapshot.state).read()
    except CacheadminError as error:
        past = ()
        unsaved[error.message] = None
    earlier = tuple(record for record in past if record.taken_ns < present.taken_ns)
    return (*earlier, present), tuple(warning for warning in unsaved if warning)


def _going(sizing: Sizing, plan: Plan) -> Going:
    sizes = sizing.of_plan(plan, kept=False)
    return Going(len(plan.removals), sizes.together(sizes))


def disk_of(cache: OpenCache, evidence: Evidence) -> Disk:
    """Return the filesystem of a cache, and what is free there."""
    filesystem = evidence.filesystem
    room = os.fstatvfs(cache.fd)
    return Disk(
        filesystem.kind,
        filesystem.mount_point,
        room.f_bavail * room.f_frsize,
        room.f_blocks * room.f_frsize,
    )


def budget_goals(policy: Policy, measured: MeasuredCache, disk: Disk) -> list[Goal]:
    """Return how the sizes of a cache stand to what the policy's budget asks for."""
    budget, total = policy.prune.budget, measured.total
    goals = []
    if budget.max_size is not None:
        goals.append(Goal("max_size", total.allocated_bytes, budget.max_size, "bytes"))
    if budget.max_files is not None:
        goals.append(Goal("max_files", total.files, budget.max_files, "files"))
    if budget.min_free is not None:
        wanted = budget.min_free
        if isinstance(wanted, Share):
            wanted = wanted.of(disk.size_bytes)
        goals.append(Goal("min_free", disk.free_bytes, wanted, "bytes", at_least=True))
    return goals


def _parts(measured: MeasuredCache, by: By) -> tuple[Part, ...]:
    usage = measured.by(by)
    parts = [
        Part(group, size, usage.archives.get(group, 0)) for group, size in usage.groups.items()
    ]
    return tuple(
        sorted(parts, key=lambda p: (-p.size.allocated_bytes, p.group.sort, p.group.name or ""))
    )


def _releases(case: PlanInput) -> tuple[ReleaseInUse, ...]:
    """Return the releases in use: those known exactly first, the most recently seen first."""
    traces: dict[str, list[ReleaseTrace]] = {}
    for trace in case.evidence.releases:
        if is_active(case, trace):
            traces.setdefault(trace.version or describe_version(case, trace), []).append(trace)
    found = [
        ReleaseInUse(
            version,
            tuple(sorted({case.user_of_release(trace.uid) for trace in seen})),
            trace_takes_lock(seen[0]),
            max(trace.seen_ns for trace in seen),
        )
        for version, seen in traces.items()
    ]
    exact = {trace.version for trace in case.evidence.releases}
    return tuple(sorted(found, key=lambda r: (r.version not in exact, -r.seen_ns, r.version)))
