"""The other hosts of a cache: who told of itself, when, of what, and who is silent."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.evidence.observations import host_name, of_hosts
from cacheadmin.evidence.sources.observed_hosts import is_named
from cacheadmin.policy.host_names import expected_hosts
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.observations import Observation
    from cacheadmin.planner.plan_input import PlanInput


class HostStanding(StrEnum):
    """How far what a host told can be relied on (public, in JSON)."""

    FRESH = "fresh"
    STALE = "stale"
    AHEAD = "ahead"
    MISSING = "missing"


# The gap that says so.
_BY_GAP = {
    "hosts.missing": HostStanding.MISSING,
    "hosts.stale": HostStanding.STALE,
    "hosts.clock": HostStanding.AHEAD,
}


@frozen
class KnownHost:
    """One other host that uses, or is expected to use, a cache."""

    name: str
    """Its name: as it calls itself, or of one that told nothing, as the policy has it."""
    standing: HostStanding
    """Whether what it told can be relied on."""
    expected: bool
    """Whether ``hosts.expect`` names it."""
    told_ns: int | None = None
    """When it told of itself, by its own clock; None: never."""
    releases: tuple[str, ...] = ()
    """The uv releases that are in use there, as far as they are known exactly."""
    environments: int = 0
    """How many environments it looked at."""
    uses: int = 0
    """How many environments, processes and files of it use the cache."""
    path: str = ""
    """Where it reaches the cache."""
    filesystem: str = ""
    """On what kind of filesystem, and from where."""
    read_only: bool = False
    """Whether it can't write there."""
    gaps: tuple[str, ...] = ()
    """Where it could not look itself, a sentence each."""


def known_hosts(case: PlanInput) -> tuple[KnownHost, ...]:
    """Return the other hosts of a cache, by name; those that can't be relied on come first."""
    expected, _ = expected_hosts(case.policy.hosts.expect)
    standings = {gap.host: _BY_GAP[gap.id] for gap in case.evidence.gaps if gap.id in _BY_GAP}
    told = of_hosts(case.evidence.hosts)
    found = [
        _told(host, observations[0], standings.get(host, HostStanding.FRESH), expected)
        for host, observations in told.items()
    ]
    found += [
        KnownHost(name, HostStanding.MISSING, expected=True)
        for name in expected
        if not is_named(host_name(), name) and not any(is_named(host, name) for host in told)
    ]
    return tuple(sorted(found, key=lambda one: (one.standing is HostStanding.FRESH, one.name)))


def _told(
    host: str, newest: Observation, standing: HostStanding, expected: tuple[str, ...]
) -> KnownHost:
    reach = newest.reach
    return KnownHost(
        name=host,
        standing=standing,
        expected=any(is_named(host, name) for name in expected),
        told_ns=newest.at_ns,
        releases=tuple(sorted({one.version for one in newest.releases if one.version})),
        environments=newest.environments,
        uses=len(newest.uses),
        path=reach.path,
        filesystem=f"{reach.kind} ({reach.source})",
        read_only=reach.read_only,
        gaps=tuple(gap.detail for gap in newest.gaps),
    )
