"""What a prune did, and what was done before it: values that its steps fill in and reports show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.prune.on_trial import TrialResult
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.planner.plan import Decision
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.recovery import Recovered
    from cacheadmin.prune.verification import Verified
    from cacheadmin.trial.trials import Shield, Watched

ShieldOf = Callable[["Policy", "OpenCache"], "Shield"]


@dataclass(slots=True)
class MadeRoom:
    """What was deleted where it lay, to make room for a run."""

    removed: list[Decision] = field(default_factory=list)
    """Entries that were removed for good."""

    bytes: int = 0
    """Allocated bytes that became free."""

    failed: list[tuple[str, str]] = field(default_factory=list)
    """What could not be removed: (path, why)."""

    left: list[tuple[str, str]] = field(default_factory=list)
    """What was removed from its place and could not be deleted whole: (path, why)."""


@dataclass(slots=True)
class PruneResult:
    """What a prune did."""

    outcome: str
    """One of ``committed``, ``partial``, ``rolled_back``, ``nothing_to_do``, ``refused``."""
    run_id: str | None = None
    """The id by which it can be undone; None where nothing was moved."""
    done: list[Decision] = field(default_factory=list)
    """What was removed: moved to quarantine or put on trial."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """Removals of the plan that are kept after all: (path, why)."""
    deferred: list[Decision] = field(default_factory=list)
    """Removals that wait for a later run (``lock.busy: concurrent``)."""
    waits_for: tuple[str, ...] = ()
    """Whose end they wait for, in words."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """What could not be moved: (path, why)."""
    verified: Verified | None = None
    """What was checked after the moves; None where no transaction was made."""
    lock_mode: str = "exclusive"
    """``exclusive``, or ``concurrent`` when uv kept the lock meanwhile."""
    wait_seconds: float = 0.0
    """How long it waited for the cache's lock."""
    held_seconds: float = 0.0
    """How long it held the cache's lock."""
    quarantine: str = ""
    """Absolute path of the quarantine, which may not exist yet."""
    warnings: list[str] = field(default_factory=list)
    """What people should know, a sentence each."""
    purged: tuple[str, ...] = ()
    """Ids of earlier runs whose entries were deleted for good."""
    recovered: tuple[Recovered, ...] = ()
    """Interrupted runs that were ended first."""
    trial: TrialResult = field(default_factory=TrialResult)
    """What the run did with trials."""
    room: MadeRoom | None = None
    """What was deleted first to make room for the run; None: there was room."""
    deleted_bytes: int | None = None
    """Bytes freed at once, where nothing waits in quarantine; None: all waits there."""


@frozen
class Before:
    """What was done before a run, for its report."""

    recovered: tuple[Recovered, ...] = ()
    """Interrupted runs that were ended first."""

    dropped: tuple[tuple[str, str], ...] = ()
    """What of a saved plan is not removed any more: (path, why)."""

    watched: Watched | None = None
    """What ``watch_trials`` found; None where nothing is on trial."""

    room: MadeRoom | None = None
    """What was deleted first to make room for the run; None: there was room."""

    runs: frozenset[str] | None = None
    """Ids of the runs that were in quarantine before the look; None: not known."""
