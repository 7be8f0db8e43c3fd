"""HTML that is made of text others have written: every word passes through here.

Names come from users who may wish to run a script in the browser of a person who
reads the page, or to make one name look like another. `escaped` leaves no
markup and no invisible character; `name_html` keeps letters that run from
right to left from turning what stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cacheadmin.text.escaping import printable
from cacheadmin.values import frozen


@frozen
class Cell:
    """One cell of a table."""

    html: str
    """Its HTML, with all text escaped already."""
    number: int | None = None
    """The number by which its column is sorted; None where the text is."""
    words: bool = False
    """Whether that number only orders what reads as words."""

    @property
    def is_number(self) -> bool:
        """Whether a reader sees a number."""
        return self.number is not None and not self.words


def escaped(text: str) -> str:
    """Return any text as HTML that shows exactly it, in text and in attributes."""
    return escape(printable(text), quote=True)


def name_html(text: str | None) -> str:
    """Return a name that a user chose, apart from what surrounds it."""
    return "<bdi>–</bdi>" if text is None else f"<bdi>{escaped(text)}</bdi>"


def prose_html(text: str) -> str:
    """Return a sentence of ours; what stands between backticks in it is a command or a path."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        # One backtick too many is part of a user's name.
        return name_html(text)
    shown = [
        f"<code>{escaped(piece)}</code>" if number % 2 else escaped(piece)
        for number, piece in enumerate(pieces)
    ]
    return f"<bdi>{''.join(shown)}</bdi>"


def path_html(path: str) -> str:
    """Return a path or a command."""
    return f"<code><bdi>{escaped(path)}</bdi></code>"


def named(text: str | None) -> Cell:
    """Return a cell with a name."""
    return Cell(name_html(text))


def dated(day: str | None) -> Cell:
    """Return a cell with a day or a moment (RFC 3339 or a part of it); None: there is none."""
    return Cell("–" if day is None else f"<time>{escaped(day)}</time>")


def counted(number: int) -> Cell:
    """Return a cell with a count."""
    return Cell(f"{number:,}", number)


def labels(identity: str) -> str:
    """Return what names a part of a page: its heading, and the name of its cache.

    ``identity`` begins with the cache's. By ear, parts of several caches are
    told apart by nothing else.
    """
    return f"{identity} {identity.partition('-')[0]}-name"


def section(identity: str, title: str, content: str, classes: str = "") -> str:
    """Return a card with a heading; nothing for no content."""
    if not content:
        return ""
    return (
        f'<section class="card {classes}" aria-labelledby="{labels(identity)}">'
        f'<h2 id="{identity}">{escaped(title)}</h2>{content}</section>\n'
    )


def table_html(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    left_out: int = 0,
    stacked: bool = False,
) -> str:
    """Return a table with headers for columns and rows; ``caption`` is for those who can't see it.

    A column is one of numbers when its first cell is. Beneath it stands how
    many rows were left out. A ``stacked`` one has on a narrow screen a block a
    row, each cell with its column's name before it.
    """
    if not rows:
        return ""
    numbers = [cell.is_number for cell in rows[0]]
    head = "".join(
        f'<th scope="col"{_numeric(number)}>{name_html(column)}</th>'
        for column, number in zip(columns, numbers, strict=True)
    )
    body = "".join(_row(row, columns if stacked else ()) for row in rows)
    classes = "sortable stacked" if stacked else "sortable"
    more = f'<p class="faint">and {left_out:,} more, which are not shown here</p>'
    return (
        f'<div class="scroll" role="group" aria-label="{escaped(caption)}" tabindex="0">'
        f'<table class="{classes}"><caption class="unseen">{escaped(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{more if left_out else ''}\n"
    )


def _row(row: Sequence[Cell], labels: Sequence[str]) -> str:
    first, *others = row
    names = [f' data-label="{escaped(label)}"' for label in labels[1:]] or [""] * len(others)
    cells = "".join(
        f"<td{_numeric(cell.is_number)}{_value(cell)}{name}>{cell.html}</td>"
        for cell, name in zip(others, names, strict=True)
    )
    return f'<tr><th scope="row"{_value(first)}>{first.html}</th>{cells}</tr>'


def _numeric(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _value(cell: Cell) -> str:
    return "" if cell.number is None else f' data-value="{cell.number}"'
