"""Write to SQLite, without SQLAlchemy, what every look remembers.

As `fast_reader`: importing SQLAlchemy takes longer than a whole preflight.
Tables are made, and brought up to date, by `migrations` alone; where that is still
to be done, nothing is written here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from cacheadmin.state.fast_reader import schema_number
from cacheadmin.state.migrations import require_known
from cacheadmin.state.tables import SCHEMA, StateTable
from cacheadmin.text.percent import percent_encoded

# A look must not wait long for another one that writes.
_TIMEOUT_SECONDS = 5


def write_rows(file: str, table: StateTable, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Replace whole rows of a table, in one transaction; False where it is not there as declared.

    Raises sqlite3.Error for a damaged, locked or read-only file, and NewerSchemaError for
    one of a newer release.
    """
    if not os.path.exists(file):
        return False
    marks = ", ".join("?" * len(table.columns))
    names = ", ".join(table.names)
    query = f"INSERT OR REPLACE INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 constants
    address = f"file:{percent_encoded(os.fsencode(file))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_SECONDS)) as connection:
        number = schema_number(connection)
        require_known(number)
        if number < SCHEMA:
            return False
        try:
            with connection:
                connection.executemany(query, rows)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return False
            raise
    return True
