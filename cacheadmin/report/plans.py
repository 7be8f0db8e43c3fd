"""How a plan, and a prune that carried one out, look as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.prune.plan_rows import decisions_json, plan_json
from cacheadmin.prune.room import RoomForRun, room_json, room_words
from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.report.width import wrapped
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.accounting import Measured, Size
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.text.documents import Document, Heading

# A person reads so many rows; the rest is counted, and whole in JSON.
_ROWS = 40


DECISION_COLUMNS = (
    *("decision", "kind", "path", "package", "version", "bytes", "reclaimable_bytes", "files"),
    *("rule", "rests_on", "reason", "used_by"),
)


@frozen
class PlanReport(Report):
    """A plan that was not carried out."""

    heading: Heading
    """How the document begins."""
    plan: Plan
    """What would be removed, and what is kept."""
    sizes: Measured[str]
    """What each removal takes, and for programs what is kept too."""
    room: RoomForRun
    """What is free on the filesystem, and what a run needs."""
    of_prune: bool = False
    """Whether it is that of ``prune --dry-run``."""

    def document(self) -> Document:
        """Return the document of ``plan``, or of ``prune --dry-run``."""
        content = {**plan_json(self.plan, self.sizes), "room": room_json(self.room)}
        if self.of_prune:
            content = {"run_id": None, "outcome": "dry_run", **content}
        return self.heading.over(content)

    def rows(self) -> Rows:
        """Return a decision a row, removals first."""
        return decision_rows(self.plan.removals, self.plan.kept, self.sizes)

    def text(self, view: View) -> str:
        """Return what would go, what stays and why, and whether there is room for a run."""
        words = plan_text(self.plan, self.sizes, every_row=view.verbose)
        return f"{words}\nroom: {room_words(self.room)}"


def decision_rows(
    removals: Sequence[Decision], kept: Sequence[Decision], sizes: Mapping[str, Size]
) -> Rows:
    """Return decisions as rows that say which of both each is."""
    return rows_of(
        [
            {"decision": word, **row}
            for word, decisions in (("remove", removals), ("keep", kept))
            for row in decisions_json(decisions, sizes)
        ],
        DECISION_COLUMNS,
    )


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
