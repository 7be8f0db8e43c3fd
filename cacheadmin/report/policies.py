"""How an effective policy looks: every key, its value, and where that came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.tables import table
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.text.documents import Document


@frozen
class PolicyReport(Report):
    """A policy as it is applied."""

    header: Document
    """How the document begins."""
    values: Sequence[tuple[str, Any, str]]
    """(dotted key, value, where it came from) of every key."""
    keep_matches: Mapping[str, int] | None
    """How many archives each pattern of prune.keep names; None: the cache can't be read."""

    def document(self) -> Document:
        """Return the document of ``policy show``."""
        values = {key: {"value": value, "origin": origin} for key, value, origin in self.values}
        return {**self.header, "values": values, "keep_matches": self.keep_matches}

    def rows(self) -> Rows:
        """Return a key a row."""
        cells = [(key, json.dumps(value), origin) for key, value, origin in self.values]
        records = [
            {"key": key, "value": value, "origin": origin} for key, value, origin in self.values
        ]
        return Rows(("key", "value", "from"), cells, records)

    def text(self, view: View) -> str:
        """Return the table of keys, and what prune.keep names now."""
        rows = self.rows()
        words = table(rows.columns, rows.cells)
        if not self.keep_matches:
            return words
        kept = table(("prune.keep", "archives it names now"), list(self.keep_matches.items()))
        return f"{words}\n\n{kept}"
