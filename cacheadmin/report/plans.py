"""How a plan, and a prune that carried one out, look as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cacheadmin.report.fitting import wrapped
from cacheadmin.report.tables import count_words, size_words, table
from cacheadmin.text.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cacheadmin.fs.accounting import Measured, Size
    from cacheadmin.planner.plan import Decision, Limit, Plan

# A person reads so many rows; the rest is counted, and whole in JSON.
_ROWS = 40


def decisions_json(
    decisions: Iterable[Decision], sizes: Mapping[str, Size]
) -> list[dict[str, Any]]:
    """Return decisions as the contract's rows; sizes null where none was measured."""
    return [_decision_json(decision, sizes.get(decision.path)) for decision in decisions]


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
    """Return the part of the document that ``plan`` and ``prune`` share."""
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


def plan_text(plan: Plan, sizes: Measured[str], *, every_row: bool = False) -> str:
    """Return the plan for people: what goes, what stays and why, what limits it."""
    parts = [*verdict_lines(plan), ""]
    parts.append(_removals_text(plan.removals, sizes, every_row=every_row))
    if plan.kept:
        parts.append("")
        parts.append(_kept_text(plan.kept, sizes, every_row=every_row))
    return "\n".join(parts)


def verdict_lines(plan: Plan) -> list[str]:
    """Return the verdict for people, and what limits it."""
    limits = [
        wrapped(f"{limit.id}: {printable(limit.detail)}", "  ", "    ") for limit in plan.limits
    ]
    return [f"verdict: {plan.verdict.value}", *limits]


def _removals_text(removals: Sequence[Decision], sizes: Measured[str], *, every_row: bool) -> str:
    if not removals:
        return "nothing to remove"
    shown = removals if every_row else removals[:_ROWS]
    rows = [
        (
            decision.kind.value,
            _name(decision),
            size_words(sizes[decision.path].reclaimable_bytes) if decision.path in sizes else None,
            decision.path,
            decision.reason,
        )
        for decision in shown
    ]
    lines = [
        table(
            ("remove", "what", "frees", "path", "because"), rows, right=("frees",), spare=("path",)
        )
    ]
    if len(shown) < len(removals):
        lines.append(f"... and {len(removals) - len(shown)} more (--verbose shows all)")
    total = sizes.together(decision.path for decision in removals)
    entries = count_words(len(removals), "entry", "entries")
    freed = size_words(total.reclaimable_bytes)
    lines.append(f"{entries}, {count_words(total.files, 'file')}, {freed} to be freed")
    return "\n".join(lines)


def _kept_text(kept: Sequence[Decision], sizes: Mapping[str, Size], *, every_row: bool) -> str:
    if every_row:
        rows = [(d.kind.value, _name(d), d.path, d.reason, ", ".join(d.used_by)) for d in kept]
        return table(
            ("keep", "what", "path", "because", "used by"), rows, spare=("used by", "path")
        )
    counts = Counter((d.kind.value, d.rule) for d in kept)
    examples: dict[tuple[str, str], Decision] = {}
    for decision in kept:
        examples.setdefault((decision.kind.value, decision.rule), decision)
    rows_by_rule = [
        (kind, number, rule, examples[kind, rule].reason, ", ".join(examples[kind, rule].used_by))
        for (kind, rule), number in sorted(counts.items())
    ]
    columns = ("keep", "count", "rule", "for example because", "used by")
    return table(columns, rows_by_rule, right=("count",), spare=("used by", "rule"))


def _name(decision: Decision) -> str | None:
    if decision.package is None:
        return None
    return f"{decision.package} {decision.version}" if decision.version else decision.package
