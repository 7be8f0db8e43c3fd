"""One or many caches at a glance, for every format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.formats import PageReport, Rows, View, rows_of
from cacheadmin.report.overview.document import environments_json, overview_document
from cacheadmin.report.overview.text import overview_text
from cacheadmin.report.terminal import Terminal
from cacheadmin.text.documents import Document
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import CacheReport
    from cacheadmin.report.terminal import Terminal
    from cacheadmin.text.documents import Document

_COLUMNS = (
    *("policy", "path", "kind", "status", "owner", "team", "uv_version", "broken_links"),
    *("archives", "held_bytes", "alone_bytes", "freed_bytes", "changed_at"),
)


@frozen
class OverviewReport(PageReport):
    """Verdict, sizes, holders, findings and past prunes of caches."""

    overviews: Sequence[CacheReport]
    """What is known of each cache."""
    host: str
    """The name of this host."""
    terminal: Terminal
    """What shows it."""

    def document(self) -> Document:
        """Return the document of ``report``."""
        return overview_document(self.overviews)

    def rows(self) -> Rows:
        """Return an environment a row: what it uses, and what it alone keeps."""
        return rows_of(
            [
                {"policy": one.loaded.policy.name, **row}
                for one in self.overviews
                for row in environments_json(one)
            ],
            _COLUMNS,
        )

    def text(self, view: View) -> str:
        """Return a screen for each cache."""
        screens = [overview_text(one, self.host, self.terminal) for one in self.overviews]
        return "\n\n\n".join(screens)

    def page(self) -> str:
        """Return one self-contained page."""
        from cacheadmin.report.page import page  # noqa: PLC0415  Jinja2 is for pages alone

        return page(self.overviews, self.host).decode("utf-8")
