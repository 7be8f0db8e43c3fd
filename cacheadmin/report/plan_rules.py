"""The reasons of plans themselves, to read and as JSON rows: ``plan --list-rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.text.documents import Document, header
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cacheadmin.planner.reasons import Reason


@frozen
class PlanRulesReport(Report):
    """Why entries are kept and removed, by rule."""

    reasons: Collection[Reason]
    """The reasons, in the order of the rules."""

    def document(self) -> Document:
        """Return the document of ``plan --list-rules``."""
        return {**header("plan-rules", None, None), "rules": plan_rules_json(self.reasons)}

    def rows(self) -> Rows:
        """Return a reason a row."""
        return rows_of(plan_rules_json(self.reasons), ("id", "decision", "means", "to_change"))

    def text(self, view: View) -> str:
        """Return a reason a paragraph."""
        return plan_rules_text(self.reasons)


def plan_rules_json(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Return the reasons as JSON rows."""
    return [
        {
            "id": one.id,
            "decision": _decision(one),
            "means": one.means,
            "to_change": _changed(one),
        }
        for one in reasons
    ]


def plan_rules_text(reasons: Iterable[Reason]) -> str:
    """Return the reasons to read, a paragraph each."""
    parts = []
    for one in reasons:
        lines = [f"{one.id} ({_decision(one)}): {one.means}"]
        if one.change:
            lines.append(f"  to change it: {_changed(one)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _decision(reason: Reason) -> str:
    return "keep" if reason.keeps else "remove"


def _changed(reason: Reason) -> str:
    return reason.change.replace("{who}", "USER")
