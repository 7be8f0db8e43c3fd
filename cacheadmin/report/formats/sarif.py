"""SARIF 2.1.0, for code-scanning pages and editors."""

from __future__ import annotations

from cacheadmin.report.formats.interface import FindingsReport, Format, Report, View
from cacheadmin.text.documents import dumps


class Sarif(Format):
    """Findings with their place on the disk."""

    name = "sarif"
    is_document = True

    def prints(self, report: type[Report]) -> bool:
        """Whether a report of this class has findings."""
        return issubclass(report, FindingsReport)

    def render(self, report: Report, view: View) -> str:
        """Return the report's log."""
        assert isinstance(report, FindingsReport)  # noqa: S101  --format offers no other
        return dumps(report.sarif())
