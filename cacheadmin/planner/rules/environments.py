"""Cached tool, script and project environments: gone when idle and unused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.cached_environments import cached_name
from cacheadmin.planner.rules.ruling import Ruling, keep, remove
from cacheadmin.timestamps import age_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.planner.case import Case
    from cacheadmin.planner.marks import Liveness


def environments(case: Case, live: Liveness) -> Iterator[Ruling]:
    """Rule on the environments in buckets that stay."""
    for environment in case.inventory.environments:
        if not live.buckets[environment.bucket]:
            continue
        # What could hide a link to an archive could hide a `.venv` that is a
        # link to this environment as well.
        uses = [*live.entries.get(environment.path, ()), *live.hidden_uses]
        name, version = cached_name(case, environment)
        if uses:
            yield keep(EntryKind.ENVIRONMENT, environment.path, uses, package=name, version=version)
        else:
            age = age_words(environment.changed_ns, case.now_ns)
            reason = f"no process or project uses it, unchanged for {age}"
            yield remove(
                EntryKind.ENVIRONMENT,
                environment.path,
                "environment.idle",
                reason,
                package=name,
                version=version,
            )
