"""One JSON document, for programs: whole, with stable keys."""

from __future__ import annotations

from collections.abc import Iterable

from cacheadmin.report.formats.interface import Format, Report, View
from cacheadmin.text.documents import dumps
from cacheadmin.text.json_pieces import pieces


class Json(Format):
    """The document that ``docs/schemas`` describes."""

    name = "json"
    is_document = True

    def render(self, report: Report, view: View) -> str:
        """Return the report's document."""
        return dumps(report.document())

    def pieces(self, report: Report, view: View) -> Iterable[str]:
        """Yield the report's document row by row: there may be very many."""
        return pieces(report.document())
