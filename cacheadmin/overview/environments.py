"""The environments of a report: how each links, and what it, its owner and its team hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.overview.facts import Holder, KnownEnvironment
from cacheadmin.planner.holdings import Holding, holdings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.accounting import Measured
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.planner.case import Case
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.situation import Situation


def known_environments(
    situation: Situation, live: Liveness, sizes: Measured[ArchiveId | None]
) -> tuple[KnownEnvironment, ...]:
    """Return every environment by path; those inside the cache hold nothing of their own."""
    held = holdings(situation.case, live, lambda environment: environment.path)
    return tuple(
        _known(
            situation,
            environment,
            _holder(environment.path, held[environment.path], sizes)
            if environment.path in held
            else None,
        )
        for environment in sorted(situation.evidence.environments, key=lambda e: e.path)
    )


def all_holders(
    case: Case,
    live: Liveness,
    sizes: Measured[ArchiveId | None],
    name: Callable[[Environment], str | None],
) -> tuple[Holder, ...]:
    """Return what owners or teams hold by all their environments, the most first."""
    found = [_holder(who, held, sizes) for who, held in holdings(case, live, name).items()]
    return tuple(
        sorted(
            (holder for holder in found if holder.archives),
            key=lambda h: (-h.alone.reclaimable_bytes, -h.held.allocated_bytes, h.name or ""),
        )
    )


def _holder(name: str | None, held: Holding, sizes: Measured[ArchiveId | None]) -> Holder:
    return Holder(
        name,
        held.environments,
        len(held.archives),
        sizes.together(held.archives),
        sizes.together(held.alone),
        sizes.together(held.freed).reclaimable_bytes,
    )


def _known(
    situation: Situation, environment: Environment, holder: Holder | None
) -> KnownEnvironment:
    return KnownEnvironment(
        path=environment.path,
        kind=environment.kind.value,
        status=environment.status,
        owner=situation.owner_of(environment),
        team=situation.team_of(environment),
        uv_version=environment.uv_version,
        link_modes=environment.link_modes,
        broken_links=environment.broken_links,
        broken_packages=environment.broken_packages,
        reason=environment.reason,
        changed_ns=environment.changed_ns,
        holder=holder,
    )
