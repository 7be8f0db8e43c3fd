"""What a report shows, as values: no text is made here and nothing is cut off.

Sizes are in bytes, times in nanoseconds since the epoch. Names come from
users and files, and are escaped where they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from cacheadmin.evidence.facts import EnvironmentStatus, LinkMode
from cacheadmin.findings import Finding, Severity, any_at_least
from cacheadmin.fs.accounting import Size
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.policy.loading import LoadedPolicy
from cacheadmin.state.size_history import SizeRecord
from cacheadmin.trial.summary import TrialSummary
from cacheadmin.usage.groups import Group
from cacheadmin.values import frozen


@frozen
class Part:
    """What belongs to one bucket, package, owner or team."""

    group: Group
    size: Size
    archives: int


@frozen
class Parts:
    """A cache in its parts, in four ways; the largest first."""

    buckets: tuple[Part, ...]
    packages: tuple[Part, ...]
    owners: tuple[Part, ...]
    teams: tuple[Part, ...]


@frozen
class Goal:
    """One size of ``prune.budget``: the policy's key, what it is, and what it should be.

    ``at_least`` is True for free space. ``unit`` is ``bytes`` or ``files``.
    """

    key: str
    value: int
    goal: int
    unit: str
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the cache is within it."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@frozen
class Disk:
    """The cache's filesystem, and how much of it is free to those who install."""

    kind: str
    mount_point: str
    free_bytes: int
    size_bytes: int


@frozen
class Holder:
    """Who keeps archives in use: an environment, an owner or a team.

    ``held`` of these archives, ``alone`` of those that nobody else uses;
    ``freed_bytes`` is what the next prune would free in addition if they went.
    """

    name: str | None
    environments: int
    archives: int
    held: Size
    alone: Size
    freed_bytes: int


@frozen
class KnownEnvironment:
    """One environment and what it holds; ``holder`` None for one inside the cache."""

    path: str
    kind: str
    status: EnvironmentStatus
    owner: str | None
    team: str | None
    uv_version: str | None
    link_modes: Mapping[LinkMode, int]
    broken_links: int
    broken_packages: tuple[str, ...]
    reason: str
    changed_ns: int | None
    holder: Holder | None


@frozen
class ReleaseInUse:
    """A uv release, or a range of them, and who uses it; newest trace last seen then."""

    version: str
    users: tuple[str, ...]
    takes_cache_lock: bool | None
    seen_ns: int


@frozen
class PastRun:
    """A prune of the past. ``until_ns``: for so long it can be undone; None: no more."""

    run_id: str
    state: str
    begun_at: str
    host: str
    entries: int
    size_bytes: int
    until_ns: int | None


@frozen
class Quarantine:
    """Past prunes, newest first; ``unread`` says why they could not be read, or is empty."""

    path: str
    runs: tuple[PastRun, ...]
    unread: str = ""

    @property
    def waiting(self) -> tuple[PastRun, ...]:
        """The runs that can still be undone, and whose files still take room."""
        return tuple(run for run in self.runs if run.until_ns is not None)


@frozen
class Going:
    """What a prune would remove now: how many entries, and their size together."""

    entries: int
    size: Size


@frozen
class Overview:
    """One cache at one moment. ``unread`` counts paths that are in no number.

    ``history`` has the present as its last record.
    """

    loaded: LoadedPolicy
    cache: CacheIdentity
    taken_ns: int
    verdict: Verdict
    limits: tuple[Limit, ...]
    going: Going
    kept: int
    total: Size
    archives: int
    unread: int
    disk: Disk
    budget: tuple[Goal, ...]
    parts: Parts
    environments: tuple[KnownEnvironment, ...]
    holding_owners: tuple[Holder, ...]
    holding_teams: tuple[Holder, ...]
    releases: tuple[ReleaseInUse, ...]
    findings: tuple[Finding, ...]
    quarantine: Quarantine
    history: tuple[SizeRecord, ...]
    trial: TrialSummary = field(default_factory=TrialSummary)
    """What is on trial."""

    @property
    def link_modes(self) -> dict[LinkMode, int]:
        """How many installed distributions are linked in which way, in all environments."""
        return {
            mode: sum(one.link_modes.get(mode, 0) for one in self.environments) for mode in LinkMode
        }

    @property
    def broken(self) -> tuple[KnownEnvironment, ...]:
        """Environments with links into this cache that lead nowhere."""
        return tuple(one for one in self.environments if one.broken_links)

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything: safe to prune, nothing broken, over or found."""
        return (
            self.verdict is Verdict.SAFE
            and not self.broken
            and not self.unread
            and all(goal.is_met for goal in self.budget)
            and not any_at_least(self.findings, Severity.WARNING)
        )

    @property
    def holders(self) -> tuple[KnownEnvironment, ...]:
        """Environments that hold archives, those with most of their own first."""
        holding = [one for one in self.environments if one.holder and one.holder.archives]
        return tuple(sorted(holding, key=_by_holding))


def _by_holding(environment: KnownEnvironment) -> tuple[int, int, str]:
    holder = environment.holder
    alone = holder.alone.reclaimable_bytes if holder else 0
    held = holder.held.allocated_bytes if holder else 0
    return -alone, -held, environment.path
