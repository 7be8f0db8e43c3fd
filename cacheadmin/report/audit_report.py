"""The audit of one or many caches, for every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.summary import by_team
from cacheadmin.report.audits import AUDIT_COLUMNS, audit_document, audit_row, audit_text
from cacheadmin.report.findings import finding_json
from cacheadmin.report.formats import FindingsReport, MarkdownReport, Rows, View
from cacheadmin.report.markdown import audit_markdown
from cacheadmin.report.sarif import sarif_log
from cacheadmin.report.terminal import Style
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.audit.one_cache import Audit
    from cacheadmin.findings import Severity
    from cacheadmin.text.documents import Document

_STYLES = {"error": Style.BAD, "warning": Style.WARN}


@frozen
class AuditReport(FindingsReport, MarkdownReport):
    """What audits found."""

    audits: Sequence[Audit]
    """The audit of each cache."""
    several: bool
    """Whether more than one cache was asked for."""

    def document(self) -> Document:
        """Return the document of ``audit``."""
        return audit_document(self.audits, by_team, several=self.several)

    def rows(self) -> Rows:
        """Return a finding a row, with its policy and cache."""
        found = [(audit, finding) for audit in self.audits for finding in audit.findings]
        cells = [audit_row(audit, finding) for audit, finding in found]
        records = [
            {"policy": row[0], "cache": row[1], **finding_json(finding)}
            for row, (_, finding) in zip(cells, found, strict=True)
        ]
        return Rows(AUDIT_COLUMNS, cells, records)

    def text(self, view: View) -> str:
        """Return findings by severity, teams, and a line of counts."""

        def coloured(text: str, severity: Severity) -> str:
            style = _STYLES.get(severity.value)
            return view.paint(text, style) if style else text

        several, verbose = self.several, view.verbose
        return audit_text(self.audits, by_team, coloured, several=several, verbose=verbose)

    def sarif(self) -> dict[str, Any]:
        """Return the findings of all caches as one log."""
        return sarif_log(self.audits, RULES)

    def markdown(self) -> str:
        """Return headings, a table of findings a cache, and one of teams."""
        return audit_markdown(self.audits, by_team, several=self.several)
