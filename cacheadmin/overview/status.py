"""One cache in a dozen facts: what an administrator asks first, of every policy of a host.

A report describes a cache at length; a status says whether an admin has to read it.
A policy whose cache can't be looked at is a status too: of many, one that is
broken must not hide the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from cacheadmin.audit.one_cache import run_audit
from cacheadmin.errors import CacheadminError, ExitCode
from cacheadmin.findings import Severity
from cacheadmin.overview.collection import budget_goals, disk_of
from cacheadmin.overview.past_runs import quarantine_of
from cacheadmin.overview.timers import NextRun, next_prune
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.text.timestamps import nanoseconds
from cacheadmin.trial.folder import existing_trial_folder
from cacheadmin.trial.ledger import read_ledger
from cacheadmin.usage.measurement import measure_cache
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.overview.facts import Disk, Goal, PastPrunes
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Snapshot

# How bad each exit code is, the worst last.
_ORDER = (
    ExitCode.DONE,
    ExitCode.LIMITED,
    ExitCode.FINDINGS,
    ExitCode.REFUSED,
    ExitCode.NOT_FOUND,
    ExitCode.NOT_PERMITTED,
    ExitCode.POLICY_INVALID,
    ExitCode.UNEXPECTED,
)


@frozen
class TrialStatus:
    """What is on trial: removed, and put back as soon as a user touches it."""

    entries: int
    """How many entries are on trial."""
    bytes: int
    """Bytes that their deletion will free."""
    ends_ns: int | None
    """When the first of them ends (ns since the epoch); None where nothing is on trial."""
    sprung: int
    """How many entries came back within ``uv.active_within`` because they were used."""
    unread: str = ""
    """Why trials can't be looked at; empty where they can."""


@frozen
class CacheStanding:
    """What was found out about one cache that could be looked at."""

    cache: CacheIdentity
    """The cache's path, device and inode."""
    verdict: Verdict
    """Whether the cache may be pruned now."""
    limits: tuple[Limit, ...]
    """Why the verdict is less than safe."""
    removals: int
    """How many entries a prune would remove now."""
    size: Size
    """What the whole cache takes."""
    unread: int
    """How many paths could not be measured, and are in no number."""
    disk: Disk
    """The cache's filesystem, and what is free there."""
    budget: tuple[Goal, ...]
    """How the sizes stand to ``prune.budget``; empty where it is off."""
    quarantine: PastPrunes
    """Past prunes, and what of them can still be undone."""
    trial: TrialStatus
    """What is on trial, and how much came back of late."""
    gaps: tuple[Gap, ...]
    """Places where users may be, and that were not looked at."""
    findings: Mapping[Severity, int] = field(default_factory=dict)
    """How many findings of each severity an audit has."""


@frozen
class CacheStatus:
    """How one policy's cache is."""

    name: str
    """The policy's name, or how it was named where it could not be loaded."""
    loaded: LoadedPolicy | None
    """The policy; None where it could not be loaded."""
    standing: CacheStanding | None
    """What was found out; None where the cache could not be looked at."""
    next_run: NextRun | None = None
    """When the next prune is due, where a timer or cron line says so."""
    problem: CacheadminError | None = None
    """Why the cache could not be looked at; None where it could."""

    @property
    def exit_code(self) -> ExitCode:
        """Return the code that stands for this cache."""
        if self.standing is None:
            return self.problem.exit_code if self.problem is not None else ExitCode.UNEXPECTED
        if self.standing.verdict is Verdict.REFUSED:
            return ExitCode.REFUSED
        if self.standing.findings.get(Severity.ERROR):
            return ExitCode.FINDINGS
        return ExitCode.DONE if self.standing.verdict is Verdict.SAFE else ExitCode.LIMITED


def worst(statuses: tuple[CacheStatus, ...]) -> ExitCode:
    """Return the exit code of the worst of several."""
    codes = [status.exit_code for status in statuses]
    return max(codes, key=lambda code: _ORDER.index(code) if code in _ORDER else len(_ORDER))


def status_of(snapshot: Snapshot) -> CacheStatus:
    """Return how one cache is. Nothing is changed, and nothing remembered."""
    plan, measured, disk = (
        snapshot.plan(),
        measure_cache(snapshot),
        disk_of(snapshot.cache, snapshot.evidence),
    )
    audit = run_audit(snapshot, measured=measured.total)
    standing = CacheStanding(
        cache=snapshot.cache.identity,
        verdict=plan.verdict,
        limits=plan.limits,
        removals=len(plan.removals),
        size=measured.total,
        unread=len(measured.unread),
        disk=disk,
        budget=tuple(budget_goals(snapshot.policy, measured, disk)),
        quarantine=quarantine_of(snapshot.policy, snapshot.cache),
        trial=_on_trial(snapshot.policy, snapshot.cache, snapshot.now_ns),
        gaps=snapshot.case.gaps,
        findings=dict(Counter(finding.severity for finding in audit.findings)),
    )
    name = snapshot.policy.name
    return CacheStatus(name, snapshot.loaded, standing, next_prune(snapshot.loaded))


def _on_trial(policy: Policy, cache: OpenCache, now_ns: int) -> TrialStatus:
    since = now_ns - nanoseconds(policy.uv.active_within)
    try:
        with existing_trial_folder(cache) as folder:
            if folder is None:
                return TrialStatus(0, 0, None, 0)
            ledger = read_ledger(folder)
    except CacheadminError as error:
        return TrialStatus(0, 0, None, 0, unread=error.message)
    trials = [one for entry, one in ledger.trials.items() if entry not in ledger.decoys]
    return TrialStatus(
        len(trials),
        sum(one.bytes for one in trials),
        min((one.until_ns for one in trials), default=None),
        len(ledger.uses_since(since)),
    )


def failed_status(argument: str, problem: CacheadminError) -> CacheStatus:
    """Return the status of a policy whose cache could not be looked at."""
    return CacheStatus(argument, None, None, problem=problem)
