"""How a plan, and a prune that carried one out, look as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.report.fitting import wrapped
from cacheadmin.report.tables import table
from cacheadmin.text.counting import format_count
from cacheadmin.text.escaping import printable
from cacheadmin.text.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.accounting import Measured, Size
    from cacheadmin.planner.plan import Decision, Plan

# A person reads so many rows; the rest is counted, and whole in JSON.
_ROWS = 40


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
            format_size(sizes[decision.path].reclaimable_bytes) if decision.path in sizes else None,
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
    entries = format_count(len(removals), "entry", "entries")
    freed = format_size(total.reclaimable_bytes)
    lines.append(f"{entries}, {format_count(total.files, 'file')}, {freed} to be freed")
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
