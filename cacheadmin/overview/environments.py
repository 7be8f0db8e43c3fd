"""The environments of a report: how each links, and what it, its owner and its team hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.overview.facts import EnvironmentFacts, HolderFacts
from cacheadmin.planner.holdings import Holding, holdings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.accounting import Measured
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.snapshot.snapshot import Snapshot


def known_environments(
    snapshot: Snapshot, live: Liveness, sizes: Measured[ArchiveId | None]
) -> tuple[EnvironmentFacts, ...]:
    """Return every environment by path; those inside the cache hold nothing of their own."""
    held = holdings(snapshot.case, live, lambda environment: environment.path)
    return tuple(
        _known(
            snapshot,
            environment,
            _holder(environment.path, held[environment.path], sizes)
            if environment.path in held
            else None,
        )
        for environment in sorted(snapshot.evidence.environments, key=lambda e: e.path)
    )


def all_holders(
    case: PlanInput,
    live: Liveness,
    sizes: Measured[ArchiveId | None],
    name: Callable[[Environment], str | None],
) -> tuple[HolderFacts, ...]:
    """Return what owners or teams hold by all their environments, the most first."""
    found = [_holder(who, held, sizes) for who, held in holdings(case, live, name).items()]
    return tuple(
        sorted(
            (holder for holder in found if holder.archives),
            key=lambda h: (-h.alone.reclaimable_bytes, -h.held.allocated_bytes, h.name or ""),
        )
    )


def _holder(name: str | None, held: Holding, sizes: Measured[ArchiveId | None]) -> HolderFacts:
    return HolderFacts(
        name,
        held.environments,
        len(held.archives),
        sizes.together(held.archives),
        sizes.together(held.alone),
        sizes.together(held.freed).reclaimable_bytes,
    )


def _known(
    snapshot: Snapshot, environment: Environment, holder: HolderFacts | None
) -> EnvironmentFacts:
    return EnvironmentFacts(
        path=environment.path,
        kind=environment.kind.value,
        status=environment.status,
        owner=snapshot.owner_of(environment),
        team=snapshot.team_of(environment),
        uv_version=environment.uv_version,
        link_modes=environment.link_modes,
        broken_links=environment.broken_links,
        broken_packages=environment.broken_packages,
        reason=environment.reason,
        changed_ns=environment.changed_ns,
        holder=holder,
    )
