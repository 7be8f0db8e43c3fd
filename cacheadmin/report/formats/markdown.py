"""Markdown, for issues, wikis and mail.

File names and account names are users' words: whatever Markdown or HTML would
make of them is escaped, so that no name becomes a link, an image or a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cacheadmin.report.formats.interface import Format, MarkdownReport, Report, View
from cacheadmin.text.escapes import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cacheadmin.report.tables import Cell

_SPECIAL = re.compile(r"([\\`*_\[\]|~>$])")


class Markdown(Format):
    """A table of rows, or what a report makes of itself."""

    name = "markdown"

    def render(self, report: Report, view: View) -> str:
        """Return the report's Markdown."""
        if isinstance(report, MarkdownReport):
            return report.markdown()
        rows = report.rows()
        if not rows.cells:
            return "Nothing to list."
        cells = [tuple(map(markdown_cell, row)) for row in rows.cells]
        return "\n".join(markdown_table(rows.columns, cells))


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; its cells are Markdown already."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def markdown_cell(value: Cell) -> str:
    """Return a value as the cell of a table."""
    return "-" if value is None else escaped(str(value))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    shown = _SPECIAL.sub(r"\\\1", printable(text))
    # An @ or a URL would become a mention or a link by itself.
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")
    return shown.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def markdown_code(text: str) -> str:
    """Return a command as code, in a table's cell; longer fences hold its own backquotes."""
    if not text:
        return ""
    shown = printable(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"
