"""Comma-separated values (RFC 4180), for spreadsheets."""

from __future__ import annotations

from cacheadmin.report.formats.interface import Format, Report, View
from cacheadmin.report.tables import comma_separated


class Csv(Format):
    """Every row under the names of its columns; no cell becomes a formula."""

    name = "csv"

    def render(self, report: Report, view: View) -> str:
        """Return the report's rows."""
        rows = report.rows()
        return comma_separated(rows.columns, rows.cells)
