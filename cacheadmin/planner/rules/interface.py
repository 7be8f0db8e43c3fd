"""A rule's answer about one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.planner.marks import Liveness, Use
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.text.lists import join_some
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import EntryKind
    from cacheadmin.planner.reasons import Reason


@frozen
class Ruling:
    """One decision, and whether it is a removal."""

    removal: bool
    """Whether the entry is removed; else it is kept."""
    decision: Decision
    """The entry, the rule and the reason."""


Rule = Callable[[PlanInput, Liveness], Iterator[Ruling]]


def keep(
    kind: EntryKind,
    path: str,
    uses: list[Use],
    *,
    package: str | None = None,
    version: str | None = None,
) -> Ruling:
    """Keep an entry for the first of ``uses``, naming all users."""
    first = uses[0]
    users = join_some([use.who for use in uses])
    return Ruling(
        False, Decision(kind, path, package, version, first.reason.id, first.words, users)
    )


def remove(
    kind: EntryKind,
    path: str,
    reason: Reason,
    words: str,
    *,
    package: str | None = None,
    version: str | None = None,
) -> Ruling:
    """Remove an entry."""
    return Ruling(True, Decision(kind, path, package, version, reason.id, words))
