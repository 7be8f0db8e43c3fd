"""Numbers for metrics, taken from what a command saw and did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.hosts.fleet import HostStanding, known_hosts
from cacheadmin.operations.exposition import Sample
from cacheadmin.planner.bucket_needs import is_active
from cacheadmin.planner.plan import Verdict
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.runs import list_runs
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.summary import trial_summary
from cacheadmin.uv.releases import takes_cache_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cacheadmin.findings import Finding
    from cacheadmin.hosts.fleet import KnownHost
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.result import PruneResult
    from cacheadmin.snapshot.snapshot import Snapshot


def of_snapshot(snapshot: Snapshot) -> Iterator[Sample]:
    """Yield numbers of environments, their links, users of a uv without lock, and other hosts."""
    case = snapshot.case
    environments = case.outside_environments
    statuses = Counter(environment.status for environment in environments)
    for status in EnvironmentStatus:
        labels = {"status": status.value}
        yield Sample("cacheadmin_environments", statuses[status], labels)
    yield Sample("cacheadmin_links", sum(e.links for e in environments))
    yield Sample("cacheadmin_broken_links", sum(e.broken_links for e in environments))
    yield Sample("cacheadmin_users_without_lock", _users_without_lock(case))
    for host in known_hosts(case):
        yield from _of_host(host)


def _of_host(host: KnownHost) -> Iterator[Sample]:
    labels = {"host": host.name}
    for standing in HostStanding:
        held = float(host.standing is standing)
        yield Sample("cacheadmin_host_standing", held, {**labels, "standing": standing.value})
    if host.told_ns is None:
        return
    seconds = round(host.told_ns / NANOSECONDS, 3)
    yield Sample("cacheadmin_host_observed_timestamp_seconds", seconds, labels)
    yield Sample("cacheadmin_host_environments", host.environments, labels)
    yield Sample("cacheadmin_host_uses", host.uses, labels)
    yield Sample("cacheadmin_host_gaps", len(host.gaps), labels)


def of_verdict(verdict: Verdict, kept: int) -> Iterator[Sample]:
    """Yield the verdict of a plan, and how many entries it keeps."""
    for possible in Verdict:
        labels = {"verdict": possible.value}
        yield Sample("cacheadmin_verdict", float(verdict is possible), labels)
    yield Sample("cacheadmin_kept_entries", kept)


def of_prune(result: PruneResult, removed_bytes: int) -> Iterator[Sample]:
    """Yield how long a prune waited for locks (s) and what it removed: 0 where it was undone."""
    undone = result.outcome in ("refused", "rolled_back")
    yield Sample("cacheadmin_lock_wait_seconds", round(result.wait_seconds, 6))
    yield Sample("cacheadmin_lock_held_seconds", round(result.held_seconds, 6))
    yield Sample("cacheadmin_removed_entries", 0 if undone else len(result.done))
    yield Sample("cacheadmin_removed_bytes", 0 if undone else removed_bytes)
    yield Sample("cacheadmin_deferred_entries", len(result.deferred))
    yield Sample("cacheadmin_failed_entries", len(result.failed))


def of_quarantine(policy: Policy, cache: OpenCache) -> Iterator[Sample]:
    """Yield bytes and entries in quarantine and on trial; nothing where they can't be read."""
    try:
        with existing_quarantine(policy, cache) as quarantine:
            found = () if quarantine is None else list_runs(quarantine, cache.identity)
            runs = [run for run in found if run.holds]
    except (CacheadminError, OSError):
        return
    yield Sample("cacheadmin_quarantine_runs", len(runs))
    yield Sample("cacheadmin_quarantine_bytes", sum(run.quarantined_bytes for run in runs))
    trial = trial_summary(cache)
    yield Sample("cacheadmin_trial_entries", trial.entries)
    yield Sample("cacheadmin_trial_bytes", trial.bytes)
    yield Sample("cacheadmin_trial_came_back", trial.came_back)


def of_findings(findings: Iterable[Finding]) -> Iterator[Sample]:
    """Yield the number of findings by rule and severity."""
    counts = Counter((finding.rule, finding.severity) for finding in findings)
    for (rule, severity), number in sorted(counts.items()):
        labels = {"rule": rule, "severity": severity.value}
        yield Sample("cacheadmin_findings", number, labels)


def _users_without_lock(case: PlanInput) -> int:
    return len(
        {
            trace.uid
            for trace in case.evidence.releases
            if trace.version is not None
            and takes_cache_lock(trace.version) is False
            and is_active(case, trace)
        }
    )
