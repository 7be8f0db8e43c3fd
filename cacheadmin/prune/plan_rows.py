"""A plan as rows of JSON: in documents, in saved plans and in a run's journal.

Keys are public API (cacheadmin(1), JSON).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheadmin.accounting import Measured, Size
    from cacheadmin.planner.plan import Decision, Limit, Plan


def decisions_json(
    decisions: Iterable[Decision], sizes: Mapping[str, Size]
) -> Iterator[dict[str, Any]]:
    """Yield decisions as the contract's rows; sizes null where none was measured."""
    for decision in decisions:
        yield _decision_json(decision, sizes.get(decision.path))


def _decision_json(decision: Decision, size: Size | None) -> dict[str, Any]:
    return {
        "kind": decision.kind.value,
        "path": decision.path,
        "package": decision.package,
        "version": decision.version,
        "bytes": None if size is None else size.allocated_bytes,
        "reclaimable_bytes": None if size is None else size.reclaimable_bytes,
        "files": None if size is None else size.files,
        "rule": decision.rule,
        "reason": decision.reason,
        "used_by": list(decision.used_by),
        **({} if decision.rests_on is None else {"rests_on": decision.rests_on}),
    }


def totals_json(plan: Plan, sizes: Measured[str]) -> dict[str, Any]:
    """Return what all removals come to together, and the number kept.

    That is not the sum of the rows: two entries may share what comes back
    only when both go.
    """
    removed = sizes.together(decision.path for decision in plan.removals)
    return {
        "removals": len(plan.removals),
        "kept": len(plan.kept),
        "bytes": removed.allocated_bytes,
        "reclaimable_bytes": removed.reclaimable_bytes,
        "files": removed.files,
    }


def plan_json(plan: Plan, sizes: Measured[str]) -> dict[str, Any]:
    """Return the part of the document that ``plan`` and ``prune`` share.

    Its rows are made as they are printed: there may be very many.
    """
    return {
        "verdict": plan.verdict.value,
        "removals": decisions_json(plan.removals, sizes),
        "kept": decisions_json(plan.kept, sizes),
        "totals": totals_json(plan, sizes),
        "limits": limits_json(plan.limits),
    }


def limits_json(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    """Return why a verdict is less than safe, as JSON rows."""
    return [
        {
            "id": limit.id,
            "verdict": limit.verdict.value,
            "detail": limit.detail,
            "fix": limit.fix,
        }
        for limit in limits
    ]
