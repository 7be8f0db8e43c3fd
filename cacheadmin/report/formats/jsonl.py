"""JSON Lines: one object a row, for programs that read as they go."""

from __future__ import annotations

import json

from cacheadmin.report.formats.interface import Format, Report, View


class JsonLines(Format):
    """Every row on a line of its own, with the keys that the document gives it."""

    name = "jsonl"

    def render(self, report: Report, view: View) -> str:
        """Return the report's rows; nothing where it has none."""
        return "\n".join(json.dumps(record) for record in report.rows().records)
