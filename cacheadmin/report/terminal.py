"""Lines that fit a terminal, whatever its width, and whatever letters a name is made of.

A line consists of spans with a style each; it is measured in columns before
anything is coloured, so colour never moves a column. Without UTF-8 every
character that is drawn is ASCII, and letters of names are escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum

from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.-=+*%#"


class Style(StrEnum):
    """What a span means; the command line knows the colour."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    BAR = "bar"


Span = tuple[str, Style]
Line = tuple[Span, ...]
Paint = Callable[[str, Style], str]


def unpainted(text: str, _style: Style) -> str:
    """Return a span as it is: no colour."""
    return text


@frozen
class Terminal:
    """What a terminal can show."""

    width: int = 80
    """Its width in columns."""
    utf8: bool = True
    """Whether it shows UTF-8; else all that is printed is ASCII."""
    paint: Paint = unpainted
    """Returns a text in a style's colours."""

    def fitted(self, text: str, columns: int) -> str:
        """Return a name made printable and cut or filled to exactly so many columns."""
        shown = self.shown(text)
        if columns_of(shown) > columns:
            shown = _cut(shown, columns, "…" if self.utf8 else "~")
        return shown + " " * (columns - columns_of(shown))

    def fitted_path(self, path: str, columns: int) -> str:
        """Return a path likewise, but cut in front: its end tells more."""
        shown = self.shown(path)
        if columns_of(shown) > columns:
            backwards = _cut(shown[::-1], columns, "…" if self.utf8 else "~")
            shown = backwards[::-1]
        return shown + " " * (columns - columns_of(shown))

    def shown(self, text: str) -> str:
        """Return text that this terminal can show."""
        safe = printable(text)
        return safe if self.utf8 else safe.encode("ascii", "backslashreplace").decode("ascii")

    def bar(self, share: float, columns: int) -> str:
        """Return a bar for a share of 0 to 1, filled with blanks to so many columns."""
        share = min(max(share, 0.0), 1.0)
        if not self.utf8:
            return ("#" * round(share * columns)).ljust(columns)
        eighths = round(share * columns * 8)
        if share > 0:
            eighths = max(eighths, 1)
        full, part = divmod(eighths, 8)
        return ("█" * full + _EIGHTHS[part].strip()).ljust(columns)

    def sparkline(self, values: Sequence[float]) -> str:
        """Return one character a value, from the lowest of them to the highest."""
        levels = _LEVELS if self.utf8 else _ASCII_LEVELS
        low, high = min(values), max(values)
        if high <= low:
            return levels[3] * len(values)
        return "".join(levels[round((one - low) / (high - low) * 7)] for one in values)

    def rule(self, title: str) -> Line:
        """Return a heading that runs across the terminal."""
        dash = "─" if self.utf8 else "-"
        filling = dash * max(0, self.width - columns_of(title) - 1)
        return ((title, Style.STRONG), (" ", Style.PLAIN), (filling, Style.FAINT))

    def remark(self, text: str, style: Style = Style.FAINT) -> Line:
        """Return a line in small voice, such as where to see the rest."""
        return ((self.fitted(text, self.width), style),)

    def drawn(self, lines: Sequence[Line]) -> str:
        """Return lines as text, coloured, without blanks at their ends."""
        return "\n".join(self._drawn(line) for line in lines)

    def _drawn(self, line: Line) -> str:
        spans = list(line)
        while spans and not spans[-1][0].strip():
            spans.pop()
        if spans:
            spans[-1] = (spans[-1][0].rstrip(), spans[-1][1])
        return "".join(self.paint(text, style) for text, style in spans)


def width_of(line: Line) -> int:
    """Return how many columns a line takes."""
    return sum(columns_of(text) for text, _ in line)


def side_by_side(left: Sequence[Line], right: Sequence[Line], column: int) -> list[Line]:
    """Return two blocks beside each other; the right one begins at ``column``."""
    height = max(len(left), len(right))
    lines = []
    for number in range(height):
        first = left[number] if number < len(left) else ()
        second = right[number] if number < len(right) else ()
        gap = " " * max(0, column - width_of(first))
        lines.append((*first, (gap, Style.PLAIN), *second))
    return lines


def columns_of(text: str) -> int:
    """Return how many columns a terminal needs for printable text."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, columns: int, mark: str) -> str:
    if columns < 1:
        return ""
    kept, used = [], 1
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        kept.append(character)
    return "".join(kept) + mark
