"""Write to SQLite, without SQLAlchemy, what every look remembers.

As ``fast_reading``: importing SQLAlchemy takes longer than a whole preflight.
The table is made by ``models`` alone; where it is not there yet, nothing is
written here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import quote

from cacheadmin.state.fast_reading import COLUMNS, Row

# A look must not wait long for another one that writes.
_TIMEOUT_SECONDS = 5


def write_environment_rows(file: str, cache: str, rows: Sequence[Row]) -> bool:
    """Replace rows of one cache, in one transaction; False where there is no table yet.

    Raises sqlite3.Error for a damaged, locked or read-only file.
    """
    if not os.path.exists(file):
        return False
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    names = ", ".join(("cache", *COLUMNS))
    query = f"INSERT OR REPLACE INTO environment ({names}) VALUES ({marks})"  # noqa: S608 constants
    address = f"file:{quote(file)}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            with connection:
                connection.executemany(query, [(cache, *row) for row in rows])
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return False
            raise
    return True
