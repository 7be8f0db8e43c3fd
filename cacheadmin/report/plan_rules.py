"""The reasons of plans themselves, to read and as JSON rows: ``plan --list-rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.planner.reasons import Reason


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
