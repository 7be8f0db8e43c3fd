"""How a uv binary that was read looks."""

from __future__ import annotations

from collections.abc import Collection

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.text.documents import Document, header
from cacheadmin.values import frozen

_COLUMNS = ("uv", "buckets", "in_table", "agrees_with_table", "stored", "prune_changed")


@frozen
class LearnedReleaseReport(Report):
    """What a uv binary says of itself."""

    version: str
    """Its version."""
    buckets: Collection[str]
    """The buckets that it names."""
    in_table: bool
    """Whether the release table has this version."""
    agrees_with_table: bool
    """Whether both name the same buckets; true where the table does not have it."""
    stored: bool
    """Whether it was remembered."""
    prune_changed: str
    """How its prune differs from all that are known; "" where it does not."""

    def document(self) -> Document:
        """Return the document of ``uv learn``."""
        return {**header("uv-learn", None, None), **self._record()}

    def rows(self) -> Rows:
        """Return it as one row."""
        return rows_of([self._record()], _COLUMNS)

    def text(self, view: View) -> str:
        """Return it in a line."""
        return f"uv {self.version}: {' '.join(sorted(self.buckets))}"

    def _record(self) -> Document:
        return {
            "uv": self.version,
            "buckets": sorted(self.buckets),
            "in_table": self.in_table,
            "agrees_with_table": self.agrees_with_table,
            "stored": self.stored,
            "prune_changed": self.prune_changed or None,
        }
