"""Read from SQLite, without SQLAlchemy, what every preflight needs.

Importing SQLAlchemy takes longer than the whole rest of a preflight. What there is to
read is declared in `tables`; columns and tables that an older release did not have read
as nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from cacheadmin.state.migrations import require_known
from cacheadmin.state.tables import SCHEMA_NUMBER, ColumnKind, StateTable
from cacheadmin.text.percent import percent_encoded

_MISSING_TABLE = "no such table"
_MISSING_COLUMN = "no such column"


def read_rows(
    file: str, table: StateTable, columns: Sequence[str], where: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """Return rows of a table by their key's order; none when there is no state yet.

    Raises sqlite3.Error for a damaged file, OSError for one that can't be read, and
    NewerSchemaError for one of a newer release.
    """
    try:
        os.stat(file)
    except FileNotFoundError:
        return []
    try:
        # Read-only: a preflight by a user without rights changes nothing.
        return _select(file, "ro", table, columns, where)
    except sqlite3.OperationalError:
        if not os.path.exists(f"{file}-journal"):
            raise
    # A process was killed while writing: SQLite must first undo the half-written
    # change, which only a connection that may write can do.
    return _select(file, "rw", table, columns, where)


def schema_number(connection: sqlite3.Connection) -> int:
    """Return the number of a database's tables: 1 where none was noted."""
    # Two tries: a damaged file, or one without rights, must fail as itself.
    query = f"SELECT number FROM {SCHEMA_NUMBER.name}"  # noqa: S608 a constant
    try:
        row = connection.execute(query).fetchone()
    except sqlite3.OperationalError as error:
        if _MISSING_TABLE not in str(error):
            raise
        return 1
    return int(row[0]) if row is not None else 1


def _select(
    file: str, mode: str, table: StateTable, columns: Sequence[str], where: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(
        f"file:{percent_encoded(os.fsencode(file))}?mode={mode}", uri=True, timeout=10
    )
    try:
        number = schema_number(connection)
        require_known(number)
        kinds = {column.name: column for column in table.columns}
        # A column that came later reads as nothing: so it is declared to be optional.
        read = [name if kinds[name].since <= number else "NULL" for name in columns]
        conditions = " AND ".join(f"{name} = ?" for name in where) or "1"
        query = (
            f"SELECT {', '.join(read)} FROM {table.name} "  # noqa: S608 constants
            f"WHERE {conditions} ORDER BY {', '.join(table.key)}"
        )
        booleans = [kinds[name].kind is ColumnKind.BOOLEAN for name in columns]
        return [
            tuple(bool(value) if is_boolean else value
                  for value, is_boolean in zip(row, booleans, strict=True))
            for row in connection.execute(query, tuple(where.values()))
        ]  # fmt: skip
    except sqlite3.OperationalError as error:
        # Of an older release, or of one that was killed while it made its tables.
        if _MISSING_TABLE in str(error):
            return []
        raise
    finally:
        connection.close()
