"""How pins look: the rows of ``pin list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.tables import table
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.evidence.facts import Pin
    from cacheadmin.text.documents import Document

_COLUMNS = ("target", "author", "status", "expires", "reason", "created")


def pin_json(pin: Pin, author: str, status: str) -> dict[str, Any]:
    """Return one pin as a row of the document."""
    return {
        "target": pin.target,
        "path": pin.path,
        "package": pin.package,
        "package_version": pin.version,
        "author": author,
        "uid": pin.uid,
        "reason": pin.reason,
        "status": status,
        "created_at": rfc3339(pin.created_ns),
        "expires_at": None if pin.expires_ns is None else rfc3339(pin.expires_ns),
        "file": pin.file,
    }


@frozen
class PinsReport(Report):
    """What is pinned, by whom, and until when."""

    header: Document
    """How the document begins."""
    pins: Sequence[tuple[Pin, str, str]]
    """(the pin, its author's account, its status) of each."""
    unread: int = 0
    """How many pins, or folders of pins, could not be read."""

    def document(self) -> Document:
        """Return the document of ``pin list``."""
        return {**self.header, "pins": self._records()}

    def rows(self) -> Rows:
        """Return a pin a row."""
        cells = [
            (
                pin.target,
                author,
                _status_words(status),
                rfc3339(pin.expires_ns) if pin.expires_ns is not None else None,
                pin.reason or None,
                rfc3339(pin.created_ns),
            )
            for pin, author, status in self.pins
        ]
        return Rows(_COLUMNS, cells, self._records())

    def text(self, view: View) -> str:
        """Return the table of them."""
        rows = self.rows()
        if rows.cells:
            return table(rows.columns, rows.cells)
        return "no pin could be read" if self.unread else "nothing is pinned"

    def _records(self) -> list[dict[str, Any]]:
        return [pin_json(*one) for one in self.pins]


def _status_words(status: str) -> str:
    return {
        "active": "kept",
        "expired": "expired, keeps nothing",
        "overdue": "kept: due by the calendar, not yet seen for that long",
    }[status]
