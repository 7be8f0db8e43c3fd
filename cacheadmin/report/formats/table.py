"""Text for people: tables and sentences, fitted to the terminal."""

from __future__ import annotations

from cacheadmin.report.formats.interface import Format, Report, View


class Table(Format):
    """What is printed without ``--format``."""

    name = "table"

    def render(self, report: Report, view: View) -> str:
        """Return the report's text."""
        return report.text(view)
