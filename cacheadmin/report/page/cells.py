"""Tables of a page as values: what each cell holds, and what kind of thing that is.

The templates know how each kind looks. Names come from people who may wish to
run a script in the reader's browser, or to make one name look like another;
see ``rendering`` for what keeps them from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen


class CellKind(StrEnum):
    """What a cell holds."""

    NAME = "name"
    PATH = "path"
    CODE = "code"
    PROSE = "prose"
    TIME = "time"
    WORDS = "words"
    BADGE = "badge"
    SHARE = "share"
    MANY = "many"


@frozen
class Cell:
    """One cell of a table."""

    kind: CellKind
    """What it holds, and so how it looks."""
    content: Any = None
    """A text, as it was written.

    For ``SHARE`` (0 to 1, colour), for ``MANY`` (what stands between, cells).
    """
    number: int | None = None
    """The number by which its column is sorted; None where the text is."""
    words: bool = False
    """Whether that number only orders what reads as words."""
    style: str = ""
    """The class of a badge."""

    @property
    def is_number(self) -> bool:
        """Whether a reader sees a number."""
        return self.number is not None and not self.words


@frozen
class CellTable:
    """A table with headers for columns and rows."""

    caption: str
    """What it is, for those who can't see it."""
    columns: Sequence[str]
    """The headers of the columns; one is of numbers when its first cell is."""
    rows: Sequence[Sequence[Cell]]
    """The rows; the first cell of each is its header."""
    left_out: int = 0
    """How many more rows there are, which are not shown."""
    stacked: bool = False
    """Whether each row is a block on a narrow screen, with its columns' names before the cells."""


NOTHING = Cell(CellKind.WORDS, "–")


def named(text: str | None) -> Cell:
    """Return a cell with a name that its owner chose."""
    return Cell(CellKind.NAME, text)


def path(text: str) -> Cell:
    """Return a cell with a path or a command."""
    return Cell(CellKind.PATH, text)


def code(text: str) -> Cell:
    """Return a cell with an id."""
    return Cell(CellKind.CODE, text)


def prose(text: str) -> Cell:
    """Return a cell with a sentence of ours; what stands between backticks in it is a command."""
    return Cell(CellKind.PROSE, text)


def words(text: str) -> Cell:
    """Return a cell with words of ours."""
    return Cell(CellKind.WORDS, text)


def badge(text: str, style: str, number: int | None = None) -> Cell:
    """Return a cell with one word that stands out."""
    return Cell(CellKind.BADGE, text, number, words=True, style=style)


def dated(day: str | None) -> Cell:
    """Return a cell with a day or a moment (RFC 3339 or a part of it); None: there is none."""
    return NOTHING if day is None else Cell(CellKind.TIME, day)


def counted(number: int) -> Cell:
    """Return a cell with a count."""
    return Cell(CellKind.WORDS, f"{number:,}", number)


def sized(size_bytes: int) -> Cell:
    """Return a cell with a size."""
    return Cell(CellKind.WORDS, format_size(size_bytes), size_bytes)


def shared(share: float, colour: int, size_bytes: int) -> Cell:
    """Return a cell with a bar for a share of 0 to 1; the number must stand beside it."""
    return Cell(CellKind.SHARE, (share, colour), size_bytes, words=True)


def many(between: str, *cells: Cell) -> Cell:
    """Return one cell that holds several, with a text between them."""
    return Cell(CellKind.MANY, (between, cells))


def pieces(text: str) -> list[tuple[str, bool]]:
    """Return a sentence's parts: (text, whether it stood between backticks)."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        # One backtick too many belongs to a user's name.
        return [(text, False)]
    return [(part, number % 2 == 1) for number, part in enumerate(parts) if part]
