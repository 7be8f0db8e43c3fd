"""How findings look: the rows of ``audit``, ``doctor`` and ``verify``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cacheadmin.findings import Severity
from cacheadmin.report.width import wrapped, wrapped_fix
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheadmin.findings import Finding


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


FINDING_COLUMNS = ("severity", "rule", "owner", "team", "subject", "detail", "fix", "count")

_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}


def count_by_severity(findings: Sequence[Finding]) -> str:
    """Return ``2 errors, 1 warning``, or ``no findings``."""
    counts = Counter(finding.severity for finding in findings)
    return (
        ", ".join(
            format_count(counts[severity], _WORDS[severity])
            for severity in Severity
            if counts[severity]
        )
        or "no findings"
    )


def findings_text(
    findings: Sequence[Finding], colour: Callable[[str, Severity], str] | None = None
) -> str:
    """Return findings grouped by severity: a line for what was seen, an indented one for its fix.

    ``colour`` paints the headings.
    """
    lines: list[str] = []
    for severity in Severity:
        group = [finding for finding in findings if finding.severity is severity]
        if group:
            heading = format_count(len(group), _WORDS[severity])
            lines.append(colour(heading, severity) if colour else heading)
        for finding in group:
            lines.append(wrapped(printable(finding_line(finding)), "  ", "    "))
            # On one line: a newline in it is a file name's.
            lines += [wrapped_fix(printable(finding.fix), "      ")] if finding.fix else []
    return "\n".join(lines)


def finding_line(finding: Finding) -> str:
    """Return ``RULE: what was seen (subject, owner)``, without saying anything twice."""
    said = [finding.subject] if finding.subject not in finding.detail else []
    if finding.owner is not None and finding.owner not in finding.detail.split():
        said.append(finding.owner)
    return f"{finding.rule}: {finding.detail}" + (f" ({', '.join(said)})" if said else "")
