"""Cached tool, script and project environments: gone when idle and unused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.cached_environments import cached_name
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import OtherUser
from cacheadmin.text.timestamps import format_age
from cacheadmin.uv.layout import trial_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import CachedEnvironment
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput

_UNTRIABLE = Use(reasons.ENVIRONMENT_NO_TRIAL, OtherUser.UNSEEN_USERS)


def environments(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on the environments in buckets that stay."""
    for environment in case.inventory.environments:
        if not live.buckets[environment.bucket]:
            continue
        # What could hide a link to an archive could hide a `.venv` that is a
        # link to this environment as well.
        uses = [*live.entries.get(environment.path, ()), *live.hidden_uses]
        if not uses and case.absence_goes_on_trial and not _fits_trial(environment):
            uses = [_UNTRIABLE]
        name, version = cached_name(case, environment)
        if uses:
            yield keep(EntryKind.ENVIRONMENT, environment.path, uses, package=name, version=version)
        else:
            age = format_age(environment.changed_ns, case.now_ns)
            yield remove(
                EntryKind.ENVIRONMENT,
                environment.path,
                reasons.ENVIRONMENT_IDLE,
                age,
                package=name,
                version=version,
            )


def _fits_trial(environment: CachedEnvironment) -> bool:
    """Whether an environment can go on trial, or needs none: a link is no environment itself."""
    return environment.archive is not None or trial_name(environment.path) is not None
