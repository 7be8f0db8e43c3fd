"""One self-contained page, for those who don't work on a terminal."""

from __future__ import annotations

from cacheadmin.report.formats.interface import Format, PageReport, Report, View


class Html(Format):
    """A page that loads nothing from elsewhere."""

    name = "html"
    is_document = True
    encoding = "utf-8"

    def prints(self, report: type[Report]) -> bool:
        """Whether a report of this class has a page."""
        return issubclass(report, PageReport)

    def render(self, report: Report, view: View) -> str:
        """Return the report's page."""
        assert isinstance(report, PageReport)  # noqa: S101  --format offers no other
        return report.page().rstrip("\n")
