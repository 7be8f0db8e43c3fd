"""How the audit of one or many caches looks: as JSON, as rows, and to people."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from cacheadmin.findings import Severity
from cacheadmin.report.findings import count_by_severity, finding_json, findings_text
from cacheadmin.report.gaps import gaps_json, unseen_words
from cacheadmin.report.tables import Cell, comma_separated, table
from cacheadmin.text.accounts import account_name
from cacheadmin.text.documents import Document, header
from cacheadmin.text.escapes import printable
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cacheadmin.audit.one_cache import Audit
    from cacheadmin.audit.summary import TeamSummary
    from cacheadmin.audit.suppressions import Suppressed
    from cacheadmin.findings import Finding

    Summaries = Callable[[Iterable[Finding]], Sequence[TeamSummary]]
    Colour = Callable[[str, Severity], str]

AUDIT_COLUMNS = (
    *("policy", "cache", "severity", "rule", "owner", "team"),
    *("subject", "detail", "fix", "count"),
)


def audit_document(audits: Sequence[Audit], summaries: Summaries, *, several: bool) -> Document:
    """Return one document: of the one cache, or of all with a list of ``caches``."""
    if not several:
        (audit,) = audits
        return {**header("audit", audit.loaded, audit.cache), **_content([audit], summaries)}
    return {
        **header("audit", None, None),
        **_content(audits, summaries),
        "caches": [_one_of_many(audit, summaries) for audit in audits],
    }


def _one_of_many(audit: Audit, summaries: Summaries) -> dict[str, Any]:
    whole = header("audit", audit.loaded, audit.cache)
    # One whose policy could not be read still has the path it was looked for at.
    policy = whole["policy"] or {"name": None, "path": audit.subject}
    return {"policy": policy, "cache": whole["cache"], **_content([audit], summaries)}


def _content(audits: Sequence[Audit], summaries: Summaries) -> dict[str, Any]:
    findings = [finding for audit in audits for finding in audit.findings]
    suppressed = [one for audit in audits for one in audit.suppressed]
    counts = Counter(finding.severity for finding in findings)
    return {
        "findings": [finding_json(finding) for finding in findings],
        "suppressed": [_suppressed_json(one) for one in suppressed],
        "counts": {
            **{severity.value: counts[severity] for severity in Severity},
            "suppressed": len(suppressed),
        },
        "gaps": gaps_json(
            [gap for audit in audits for gap in audit.gaps], socket.gethostname(), account_name
        ),
        "off": sorted({name for audit in audits for name in audit.off}),
        "teams": [
            {
                "team": summary.team,
                "owners": list(summary.owners),
                "error": summary.errors,
                "warning": summary.warnings,
                "info": summary.infos,
            }
            for summary in summaries(findings)
        ],
    }


def _suppressed_json(one: Suppressed) -> dict[str, Any]:
    return {
        **finding_json(one.finding),
        "reason": one.suppression.reason,
        "expires": one.suppression.expires.isoformat(),
    }


def audit_csv(audits: Sequence[Audit]) -> str:
    """Return every finding as one row, with its policy and cache."""
    rows = [audit_row(audit, f) for audit in audits for f in audit.findings]
    return comma_separated(AUDIT_COLUMNS, rows)


def _names(audit: Audit) -> tuple[Cell, Cell]:
    policy = audit.subject if audit.loaded is None else audit.loaded.policy.name
    if audit.cache is not None:
        return policy, audit.cache.path
    return policy, None if audit.loaded is None else audit.loaded.policy.cache


def audit_row(audit: Audit, finding: Finding) -> tuple[Cell, ...]:
    """Return a finding as the cells of ``AUDIT_COLUMNS``."""
    return (
        *_names(audit),
        *(finding.severity.value, finding.rule, finding.owner, finding.team),
        *(finding.subject, finding.detail, finding.fix, finding.count),
    )


def audit_text(
    audits: Sequence[Audit], summaries: Summaries, colour: Colour, *, several: bool, verbose: bool
) -> str:
    """Return what people read: findings by severity, teams, and a line of counts."""
    parts = []
    for audit in audits:
        lines = [audit_title(audit)] if several else []
        if several and not audit.findings:
            lines.append("  no findings")
        if audit.findings:
            lines.append(findings_text(audit.findings, colour))
        if verbose and audit.suppressed:
            lines.append(_suppressed_text(audit.suppressed))
        if lines:
            parts.append("\n".join(lines))
    findings = [finding for audit in audits for finding in audit.findings]
    teams = summaries(findings)
    owners = {finding.owner for finding in findings if finding.owner is not None}
    if len(teams) > 1 or len(owners) > 1:
        parts.append(_teams_table(teams))
    parts.append(closing_line(audits, several=several))
    return "\n\n".join(parts)


def audit_title(audit: Audit) -> str:
    """Return the line that says which cache, of several, is spoken of."""
    policy, cache = _names(audit)
    return printable(str(policy) + (f": {cache}" if cache is not None else ""))


def closing_line(audits: Sequence[Audit], *, several: bool) -> str:
    """Return ``2 errors, 1 warning in 3 caches; 4 findings suppressed``."""
    line = count_by_severity([finding for audit in audits for finding in audit.findings])
    if several:
        line += f" in {format_count(len(audits), 'cache')}"
    suppressed = sum(len(audit.suppressed) for audit in audits)
    line += f"; {format_count(suppressed, 'finding')} suppressed" if suppressed else ""
    unseen = unseen_words(sum(len(audit.gaps) for audit in audits))
    first = next((one.loaded for one in audits if one.gaps and one.loaded is not None), None)
    if unseen and first is not None:
        line += f"; {unseen}: `{first.command('scan')}` names them"
    return line


def _suppressed_text(suppressed: Sequence[Suppressed]) -> str:
    lines = ["suppressed"]
    for one in suppressed:
        finding, suppression = one.finding, one.suppression
        lines.append(printable(f"  {finding.rule}: {finding.detail} ({finding.subject})"))
        lines.append(printable(f"      until {suppression.expires}: {suppression.reason}"))
    return "\n".join(lines)


def _teams_table(teams: Sequence[TeamSummary]) -> str:
    columns = ("team", "errors", "warnings", "remarks", "whose")
    rows = [
        (s.team, s.errors, s.warnings, s.infos, ", ".join(join_some(list(s.owners))) or None)
        for s in teams
    ]
    return table(columns, rows, right=columns[1:4])
