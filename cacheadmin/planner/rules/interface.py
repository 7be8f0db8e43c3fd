"""A rule's answer about one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.planner.marks import Liveness, Use
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.text.lists import first_few

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import EntryKind
    from cacheadmin.planner.reasons import Reason


Rule = Callable[[PlanInput, Liveness], Iterator[Decision]]


def keep(
    kind: EntryKind,
    path: str,
    uses: list[Use],
    *,
    package: str | None = None,
    version: str | None = None,
) -> Decision:
    """Keep an entry for the first of ``uses``, naming the users of all."""
    first = uses[0]
    users, more = ((first.user,), 0) if len(uses) == 1 else first_few([use.user for use in uses])
    return Decision(kind, path, package, version, first.reason, first.detail, users, more)


def remove(
    kind: EntryKind,
    path: str,
    reason: Reason,
    detail: str = "",
    *,
    package: str | None = None,
    version: str | None = None,
) -> Decision:
    """Remove an entry; ``detail`` is what ``reason.found`` leaves open."""
    return Decision(kind, path, package, version, reason, detail)
