"""How the audit rules themselves look: ``audit --list-rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.audit.rule import Rule

    # By rule id: (threshold, its default in words, what may be written there).
    Thresholds = Mapping[str, Sequence[tuple[str, str, str]]]


def rules_json(rules: Sequence[type[Rule]], thresholds: Thresholds) -> list[dict[str, Any]]:
    """Return the rules as JSON rows."""
    return [
        {
            "id": rule.id,
            "severity": rule.severity.value,
            "title": rule.title,
            "rationale": rule.rationale,
            "fix": rule.fix,
            "thresholds": [
                {"name": name, "default": default, "type": kind}
                for name, default, kind in thresholds[rule.id]
            ],
        }
        for rule in rules
    ]


def rules_text(rules: Sequence[type[Rule]], thresholds: Thresholds) -> str:
    """Return the rules to read, a paragraph each."""
    parts = []
    for rule in rules:
        lines = [f"{rule.id} ({rule.severity.value}): {rule.title}", f"  {rule.rationale}"]
        lines += [f"  {name}: {default} ({kind})" for name, default, kind in thresholds[rule.id]]
        lines.append(f"  fix: {rule.fix}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
