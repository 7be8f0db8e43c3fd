"""How findings look: the rows of ``audit``, ``doctor`` and ``verify``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cacheadmin.findings import Severity
from cacheadmin.report.tables import Cell, count_words, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.findings import Finding

COLUMNS = ("severity", "rule", "owner", "subject", "detail", "fix")


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return one finding as the contract's row."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "owner": finding.owner,
        "team": finding.team,
        "detail": finding.detail,
        "fix": finding.fix,
        "count": finding.count,
    }


def finding_row(finding: Finding) -> tuple[Cell, ...]:
    """Return one finding as a row, in the order of ``COLUMNS``."""
    return (
        finding.severity.value,
        finding.rule,
        finding.owner,
        finding.subject,
        finding.detail,
        finding.fix,
    )


def count_by_severity(findings: Sequence[Finding]) -> str:
    """Return ``2 errors, 1 warning``, or ``no findings``."""
    counts = Counter(finding.severity for finding in findings)
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}
    return (
        ", ".join(
            count_words(counts[severity], words[severity])
            for severity in Severity
            if counts[severity]
        )
        or "no findings"
    )


def findings_table(findings: Sequence[Finding]) -> str:
    """Return findings as a plain table."""
    return table(COLUMNS, [finding_row(finding) for finding in findings])
