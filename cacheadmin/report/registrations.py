"""How registered environments look: the rows of ``venv list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.tables import table
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.registration import Registration
    from cacheadmin.text.documents import Document

_COLUMNS = ("path", "how", "uid", "exists", "last seen")


@frozen
class RegistrationsReport(Report):
    """The environments that are registered or remembered."""

    header: Document
    """How the document begins."""
    registrations: Sequence[Registration]
    """What is known of each."""

    def document(self) -> Document:
        """Return the document of ``venv list``."""
        return {**self.header, "registrations": self._records()}

    def rows(self) -> Rows:
        """Return an environment a row."""
        cells = [
            (one.path, one.how, one.uid, "yes" if one.exists else "no", one.seen_at)
            for one in self.registrations
        ]
        return Rows(_COLUMNS, cells, self._records())

    def text(self, view: View) -> str:
        """Return the table of them."""
        rows = self.rows()
        if not rows.cells:
            return "no environment is registered or remembered"
        return table(rows.columns, rows.cells)

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "path": one.path,
                "how": one.how,
                "uid": one.uid,
                "exists": one.exists,
                "seen_at": one.seen_at,
            }
            for one in self.registrations
        ]
