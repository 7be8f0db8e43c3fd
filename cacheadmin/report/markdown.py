"""Audits as Markdown: a table of findings for each cache, and one of teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.audits import audit_title, closing_line
from cacheadmin.report.formats.markdown import (
    escaped,
    markdown_cell,
    markdown_code,
    markdown_table,
)
from cacheadmin.text.lists import join_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.audit.one_cache import Audit
    from cacheadmin.report.audits import Summaries

_COLUMNS = ("severity", "rule", "owner", "team", "what was found", "fix")


def audit_markdown(audits: Sequence[Audit], summaries: Summaries, *, several: bool) -> str:
    """Return headings, a table of findings a cache, and one of teams."""
    lines = [f"# {'Audit' if several else _title(audits[0])}", ""]
    for audit in audits:
        if several:
            lines += [f"## {escaped(audit_title(audit))}", ""]
        rows = [
            (
                *(f.severity.value, f.rule, f.owner, f.team),
                f.detail if f.subject in f.detail else f"{f.detail} ({f.subject})",
            )
            for f in audit.findings
        ]
        fixes = [markdown_code(finding.fix) for finding in audit.findings]
        cells = [(*map(markdown_cell, row), fix) for row, fix in zip(rows, fixes, strict=True)]
        lines += [*(markdown_table(_COLUMNS, cells) if cells else ["No findings."]), ""]
        if audit.suppressed:
            lines += ["Suppressed:", ""]
            for one in audit.suppressed:
                said = f"{one.finding.rule}: {one.finding.detail} ({one.finding.subject})"
                why = f"until {one.suppression.expires}: {one.suppression.reason}"
                lines.append(f"- {escaped(said)}, {escaped(why)}")
            lines.append("")
    teams = summaries(finding for audit in audits for finding in audit.findings)
    if len(teams) > 1:
        columns = ("team", "errors", "warnings", "remarks", "whose")
        found = [
            tuple(
                map(
                    markdown_cell,
                    (
                        team.team,
                        *map(str, (team.errors, team.warnings, team.infos)),
                        ", ".join(join_some(list(team.owners))) or None,
                    ),
                )
            )
            for team in teams
        ]
        lines += [*markdown_table(columns, found), ""]
    lines.append(f"**{escaped(closing_line(audits, several=several))}**")
    return "\n".join(lines)


def _title(audit: Audit) -> str:
    return f"Audit of {escaped(audit_title(audit))}"
