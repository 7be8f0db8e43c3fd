"""Tables for people: tabulate draws them, every cell is made printable first."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cacheadmin.report.width import column_widths, wrapped
from cacheadmin.text.escapes import printable

Cell = str | int | None

# How formulas begin, for one program or another; the wide ones too.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    right: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> str:
    """Return a plain table; columns named in ``right`` are aligned to the right.

    On a terminal it fits the width: text is wrapped, and columns named in
    ``spare`` are left out, the first of them first, where they have no room.
    """
    from tabulate import tabulate

    cells = [[_cell(value) for value in row] for row in rows]
    shown, widths = column_widths(columns, cells, right, spare)
    aligned = ["right" if columns[place] in right else "left" for place in shown]
    drawn = tabulate(
        [[row[place] for place in shown] for row in cells],
        headers=[columns[place] for place in shown],
        tablefmt="simple",
        colalign=aligned if rows else None,
        disable_numparse=True,
        maxcolwidths=widths if rows and any(widths) else None,
    )
    if len(shown) == len(columns):
        return drawn
    left_out = ", ".join(name for place, name in enumerate(columns) if place not in shown)
    return f"{drawn}\n" + wrapped(f"(no room for: {left_out}; --wide shows all)")


def comma_separated(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return the same rows as CSV (RFC 4180), names escaped as in tables.

    A text that a spreadsheet would take for a formula, wherever it comes from, begins
    with an apostrophe: that shows it as it is.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return text.getvalue().rstrip("\n")


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return printable(value) if isinstance(value, str) else str(value)


def _csv_cell(value: Cell) -> str:
    cell = _cell(value)
    formula = isinstance(value, str) and len(cell) > 1 and cell.lstrip(" ").startswith(_FORMULAS)
    return f"'{cell}" if formula else cell
