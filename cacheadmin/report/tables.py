"""Tables for people: tabulate draws them, every cell is made printable first."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cacheadmin.report.escaping import printable

Cell = str | int | None


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Sequence[str] = ()
) -> str:
    """Return a plain table; columns named in ``right`` are aligned to the right."""
    from tabulate import tabulate

    aligned = ["right" if column in right else "left" for column in columns]
    return tabulate(
        [[_cell(value) for value in row] for row in rows],
        headers=list(columns),
        tablefmt="simple",
        colalign=aligned if rows else None,
        disable_numparse=True,
    )


def comma_separated(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return the same rows as CSV (RFC 4180), names escaped as in tables."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().rstrip("\n")


def size_words(size_bytes: int) -> str:
    """Return a size with a binary unit and three digits at most (``1.5 GiB``)."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable: the last unit always returns")


def count_words(number: int, singular: str, plural: str = "") -> str:
    """Return ``1 environment`` or ``3 environments``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return printable(value) if isinstance(value, str) else str(value)
