"""How the audit rules themselves look: ``audit --list-rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.text.documents import Document, header
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.audit.rule import Rule

    # By rule id: (threshold, its default in words, what may be written there).
    Thresholds = Mapping[str, Sequence[tuple[str, str, str]]]


@frozen
class AuditRulesReport(Report):
    """What audits check, and why."""

    rules: Sequence[type[Rule]]
    """The rules, in the order in which they are checked."""
    thresholds: Thresholds
    """The numbers of each, by its id."""

    def document(self) -> Document:
        """Return the document of ``audit --list-rules``."""
        return {**header("audit-rules", None, None), "rules": self._records()}

    def rows(self) -> Rows:
        """Return a rule a row."""
        shown = rows_of(self._records(), ("id", "severity", "title", "rationale", "fix"))
        thresholds = [
            "; ".join(f"{name}: {default}" for name, default, _ in self.thresholds[rule.id]) or None
            for rule in self.rules
        ]
        cells = [(*row, more) for row, more in zip(shown.cells, thresholds, strict=True)]
        return Rows((*shown.columns, "thresholds"), cells, shown.records)

    def text(self, view: View) -> str:
        """Return a rule a paragraph."""
        return rules_text(self.rules, self.thresholds)

    def _records(self) -> list[dict[str, Any]]:
        return rules_json(self.rules, self.thresholds)


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
