"""What a report shows, as values: no text is made here and nothing is cut off.

Sizes are in bytes, times in nanoseconds since the epoch. Names come from
users and files, and are escaped where they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentStatus, LinkMode
from cacheadmin.findings import Finding, Severity, any_at_least
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.trial.summary import TrialSummary
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.hosts.fleet import KnownHost
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.state.size_history import SizeRecord
    from cacheadmin.usage.groups import Group


@frozen
class Part:
    """What belongs to one bucket, package, owner or team."""

    group: Group
    """Which one it is."""
    size: Size
    """What it takes by itself."""
    archives: int
    """How many archives belong to it."""


@frozen
class Parts:
    """A cache in its parts, in four ways; the largest first."""

    buckets: tuple[Part, ...]
    """By bucket."""
    packages: tuple[Part, ...]
    """By package; what has none is in groups of its own."""
    owners: tuple[Part, ...]
    """By the owner of the files."""
    teams: tuple[Part, ...]
    """By team; what belongs to none has no name."""


@frozen
class Goal:
    """One size that ``prune.budget`` asks for."""

    key: str
    """The policy's key below ``prune.budget``: ``max_size``, ``max_files`` or ``min_free``."""
    value: int
    """What it is now, in ``unit``."""
    goal: int
    """What it should be, in ``unit``; a share of the filesystem is given in bytes."""
    unit: str
    """``bytes`` or ``files``."""
    at_least: bool = False
    """Whether ``value`` should be at least ``goal`` (free space); else at most."""

    @property
    def is_met(self) -> bool:
        """Whether the cache is within it."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@frozen
class Disk:
    """The cache's filesystem."""

    kind: str
    """Its type, such as ``ext4`` or ``nfs4``."""
    mount_point: str
    """Absolute path where it is mounted."""
    free_bytes: int
    """What is free for users other than root."""
    size_bytes: int
    """Its size in bytes."""


@frozen
class HolderFacts:
    """Who keeps archives in use: an environment, an owner or a team."""

    name: str | None
    """The environment's path, the account or the team; None for those without owner or team."""
    environments: int
    """How many environments that are."""
    archives: int
    """How many archives of this cache they lead to."""
    held: Size
    """The size of these archives together."""
    alone: Size
    """The size of those that no other environment, process or pin uses."""
    freed_bytes: int
    """What the next prune would free in addition if these environments were gone."""


@frozen
class EnvironmentFacts:
    """One environment and what it holds."""

    path: str
    """Its absolute path."""
    kind: str
    """What sort of environment it is, as in JSON (``venv``, ``cached``)."""
    status: EnvironmentStatus
    """What the last look at it found."""
    owner: str | None
    """Account name, or ``uid 1234``; None where unknown."""
    team: str | None
    """The team that it is attributed to; None for none."""
    uv_version: str | None
    """The release that created it; None where unknown."""
    link_modes: Mapping[LinkMode, int]
    """How many of its distributions are linked in which way."""
    broken_links: int
    """How many links into this cache lead nowhere."""
    broken_packages: tuple[str, ...]
    """Names of the distributions with such links."""
    reason: str
    """Why its status is not ``ok``, or which part of it could not be read; may be empty."""
    changed_ns: int | None
    """Newest change of ``pyvenv.cfg`` or site-packages (ns since the epoch); None: unknown."""
    holder: HolderFacts | None
    """What it holds; None for one inside the cache."""


@frozen
class ReleaseInUse:
    """A uv release, or a range of releases, and who uses it."""

    version: str
    """The release's number; for a range, the range in words."""
    users: tuple[str, ...]
    """Accounts that use it, or ``all users of this host``, by name."""
    takes_cache_lock: bool | None
    """Whether it locks the cache; None where unknown, or where releases of the range differ."""
    seen_ns: int
    """When its newest trace was left (ns since the epoch)."""


@frozen
class PastRun:
    """A prune of the past."""

    run_id: str
    """Its id, which ``cacheadmin runs restore`` takes."""
    state: str
    """How far it came, or what became of it since (``committed``, ``purged``)."""
    begun_at: str
    """When it began (RFC 3339); empty where its journal does not tell."""
    host: str
    """The host that ran it; empty where its journal does not tell."""
    entries: int
    """How many entries it moved."""
    size_bytes: int
    """The bytes that these entries had, where they were measured."""
    until_ns: int | None
    """Until when it can be undone (ns since the epoch); None: not any more."""


@frozen
class PastPrunes:
    """The past prunes of a cache."""

    path: str
    """Absolute path of the quarantine, which may not exist."""
    runs: tuple[PastRun, ...]
    """Past prunes, newest first."""
    unread: str = ""
    """Why they could not be read, or empty."""

    @property
    def waiting(self) -> tuple[PastRun, ...]:
        """The runs that can still be undone, and whose files still take room."""
        return tuple(run for run in self.runs if run.until_ns is not None)


@frozen
class Going:
    """What a prune would remove now."""

    entries: int
    """How many entries."""
    size: Size
    """Their size together."""


@frozen
class CacheReport:
    """One cache at one moment."""

    loaded: LoadedPolicy
    """The policy and where it comes from."""
    cache: CacheIdentity
    """The cache's path, device and inode."""
    taken_ns: int
    """When the look was taken (ns since the epoch)."""
    verdict: Verdict
    """Whether the cache may be pruned now."""
    limits: tuple[Limit, ...]
    """Why the verdict is not ``safe``."""
    going: Going
    """What a prune would remove now."""
    kept: int
    """How many entries a prune would keep."""
    total: Size
    """The size of the whole cache."""
    archives: int
    """How many archives it has."""
    unread: int
    """How many paths could not be measured; they are in no number."""
    disk: Disk
    """The cache's filesystem."""
    budget: tuple[Goal, ...]
    """How the cache stands to ``prune.budget``; empty where the policy sets none."""
    parts: Parts
    """The cache in its parts."""
    environments: tuple[EnvironmentFacts, ...]
    """Every known environment, by path."""
    holding_owners: tuple[HolderFacts, ...]
    """What each owner's environments hold, those with most of their own first."""
    holding_teams: tuple[HolderFacts, ...]
    """What each team's environments hold, those with most of their own first."""
    releases: tuple[ReleaseInUse, ...]
    """The uv releases in use, those known exactly first."""
    findings: tuple[Finding, ...]
    """What an audit found, worst first."""
    quarantine: PastPrunes
    """Past prunes."""
    history: tuple[SizeRecord, ...]
    """Sizes over time, oldest first; the last record is the present one."""
    trial: TrialSummary = field(default_factory=TrialSummary)
    """What is on trial."""
    hosts: tuple[KnownHost, ...] = ()
    """Other hosts that use the cache, or are expected to."""

    @property
    def link_modes(self) -> dict[LinkMode, int]:
        """How many installed distributions are linked in which way, in all environments."""
        return {
            mode: sum(one.link_modes.get(mode, 0) for one in self.environments) for mode in LinkMode
        }

    @property
    def broken(self) -> tuple[EnvironmentFacts, ...]:
        """Environments with links into this cache that lead nowhere."""
        return tuple(one for one in self.environments if one.broken_links)

    @property
    def is_well(self) -> bool:
        """Whether no admin has to do anything: safe to prune, nothing broken, over or found."""
        return (
            self.verdict is Verdict.SAFE
            and not self.broken
            and not self.unread
            and all(goal.is_met for goal in self.budget)
            and not any_at_least(self.findings, Severity.WARNING)
        )

    @property
    def holders(self) -> tuple[EnvironmentFacts, ...]:
        """Environments that hold archives, those with most of their own first."""
        holding = [one for one in self.environments if one.holder and one.holder.archives]
        return tuple(sorted(holding, key=_by_holding))


def _by_holding(environment: EnvironmentFacts) -> tuple[int, int, str]:
    holder = environment.holder
    alone = holder.alone.reclaimable_bytes if holder else 0
    held = holder.held.allocated_bytes if holder else 0
    return -alone, -held, environment.path
