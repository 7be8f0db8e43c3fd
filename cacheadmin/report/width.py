"""How wide text for people may be: as wide as the terminal, or as it needs.

Only a terminal has a width. What goes to a file or a pipe is searched and cut
by other programs, so its lines stay whole there. The command line says once
how wide it is; ``None`` is no limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar

from cacheadmin.report.terminal import columns_of

terminal_width: ContextVar[int | None] = ContextVar("terminal_width", default=None)

# A column of text is not made narrower than this while another can be left out.
_READABLE = 16
_NARROWEST = 8

# Words, and commands between backticks: those stay on one line, to be copied.
_PIECES = re.compile(r"`[^`]+`[^\s`]*|\S+")

# How a fix begins that is a command as a whole.
_COMMAND = re.compile(
    r"(cacheadmin|cd|ch(grp|mod|own)|env|find|install|ln|mv|rm|setfacl|setpriv|su|sudo|touch|uv)"
    r" (?!.*`)"
)


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """Return text in lines that fit; ``first`` and ``rest`` begin the first and the other lines."""
    width = terminal_width.get()
    if width is None or columns_of(first + text) <= width:
        return first + text
    lines, line = [], first
    begun = False
    for piece in _PIECES.findall(text):
        if begun and columns_of(line) + 1 + columns_of(piece) > width:
            lines.append(line)
            line, begun = rest, False
        line += f" {piece}" if begun else piece
        begun = True
    return "\n".join([*lines, line])


def column_widths(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    rigid: Sequence[str],
    spare: Sequence[str],
) -> tuple[list[int], list[int | None]]:
    """Return which columns of a table are shown, and how wide each may be (None: as it is).

    ``rigid`` columns are never wrapped (numbers); ``spare`` ones are left out,
    the first of them first, while the others would be too narrow to read.
    """
    width = terminal_width.get()
    # tabulate gives a heading two columns more than it needs.
    headings = [columns_of(name) + 2 for name in names]
    natural = [
        max(heading, *(columns_of(row[place]) for row in rows), 0)
        for place, heading in enumerate(headings)
    ]
    shown = list(range(len(names)))
    if width is None or _together(natural) <= width:
        return shown, [None] * len(shown)
    least = [
        size if name in rigid else min(size, max(_READABLE, heading))
        for name, size, heading in zip(names, natural, headings, strict=True)
    ]
    for name in spare:
        if _together([least[place] for place in shown]) <= width:
            break
        shown.remove(names.index(name))
    sizes = [natural[place] for place in shown]
    floors = [least[place] for place in shown]
    if _together(floors) > width:
        floors = [
            size if names[place] in rigid else min(size, max(_NARROWEST, headings[place]))
            for place, size in zip(shown, floors, strict=True)
        ]
    while _together(sizes) > width:
        wide = [size for size, floor in zip(sizes, floors, strict=True) if size > floor]
        if not wide:
            break
        sizes[_widest(sizes, floors)] -= 1
    limits = [
        size if size < natural[place] else None for place, size in zip(shown, sizes, strict=True)
    ]
    return shown, limits


def _widest(sizes: Sequence[int], floors: Sequence[int]) -> int:
    places = [place for place in range(len(sizes)) if sizes[place] > floors[place]]
    return max(places, key=lambda place: sizes[place])


def _together(sizes: Sequence[int]) -> int:
    return sum(sizes) + 2 * (len(sizes) - 1)


def wrapped_fix(text: str, indent: str) -> str:
    """Return what to do: words in lines that fit, but a command whole, to be copied."""
    return f"{indent}{text}" if _COMMAND.match(text) else wrapped(text, indent, indent)
