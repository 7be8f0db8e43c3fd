"""Audits as Markdown, for issues, wikis and mail.

File names and account names are users' words: whatever Markdown or HTML would
make of them is escaped, so that no name becomes a link, an image or a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cacheadmin.findings import Severity
from cacheadmin.report.audits import audit_title, closing_line
from cacheadmin.text.escaping import printable
from cacheadmin.text.joining import join_some

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cacheadmin.audit.running import Audit
    from cacheadmin.report.audits import Summaries

_SPECIAL = re.compile(r"([\\`*_\[\]|~>$])")
_COLUMNS = ("severity", "rule", "owner", "team", "what was found", "fix")


def audit_markdown(audits: Sequence[Audit], summaries: Summaries, *, several: bool) -> str:
    """Return headings, a table of findings a cache, and one of teams."""
    lines = [f"# {'Audit' if several else _title(audits[0])}", ""]
    for audit in audits:
        if several:
            lines += [f"## {_escaped(audit_title(audit))}", ""]
        rows = [
            (
                *(f.severity.value, f.rule, f.owner, f.team),
                f.detail if f.subject in f.detail else f"{f.detail} ({f.subject})",
            )
            for f in audit.findings
        ]
        fixes = [_code(finding.fix) for finding in audit.findings]
        cells = [(*map(_cell, row), fix) for row, fix in zip(rows, fixes, strict=True)]
        lines += [*(_table(_COLUMNS, cells) if cells else ["No findings."]), ""]
        if audit.suppressed:
            lines += ["Suppressed:", ""]
            for one in audit.suppressed:
                said = f"{one.finding.rule}: {one.finding.detail} ({one.finding.subject})"
                why = f"until {one.suppression.expires}: {one.suppression.reason}"
                lines.append(f"- {_escaped(said)}, {_escaped(why)}")
            lines.append("")
    teams = summaries(finding for audit in audits for finding in audit.findings)
    if len(teams) > 1:
        columns = ("team", "errors", "warnings", "remarks", "whose")
        found = [
            tuple(
                map(
                    _cell,
                    (
                        team.team,
                        *map(str, (team.errors, team.warnings, team.infos)),
                        ", ".join(join_some(list(team.owners))) or None,
                    ),
                )
            )
            for team in teams
        ]
        lines += [*_table(columns, found), ""]
    lines.append(f"**{_escaped(closing_line(audits, several=several))}**")
    return "\n".join(lines)


def _title(audit: Audit) -> str:
    return f"Audit of {_escaped(audit_title(audit))}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _cell(value: str | None) -> str:
    if value is None:
        return "-"
    return value if value in tuple(Severity) else _escaped(value)


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    shown = _SPECIAL.sub(r"\\\1", printable(text))
    # An @ or a URL would become a mention or a link by itself.
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return shown.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def _code(text: str) -> str:
    """Return a command as code, in a table's cell; longer fences hold its own backquotes."""
    if not text:
        return ""
    shown = printable(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"
