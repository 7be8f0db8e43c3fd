"""Read from SQLite, without SQLAlchemy, what every preflight needs.

Importing SQLAlchemy takes longer than the whole rest of a preflight. The test
``test_fast_reading_equals_the_models`` holds these queries against ``models``.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any
from urllib.parse import quote

COLUMNS = (
    "path",
    "kind",
    "uid",
    "uv_version",
    "archives",
    "entries",
    "fingerprint",
    "seen_ns",
    "registered",
)

Row = tuple[str, str, int | None, str | None, str, str, str, int, bool]


def read_environment_rows(file: str, cache: str) -> list[Row]:
    """Return the rows of one cache; none when there is no state yet.

    Raises sqlite3.Error for a damaged file, OSError for one that can't be read.
    """
    query = f"SELECT {', '.join(COLUMNS)} FROM environment WHERE cache = ?"  # noqa: S608 constants
    return [(*row[:-1], bool(row[-1])) for row in _rows(file, query, (cache,))]


def read_learned_rows(file: str) -> list[tuple[str, str]]:
    """Return (version, buckets as a JSON list) of every learned release."""
    return _rows(file, "SELECT version, buckets FROM learned_release", ())


def read_learned_prunes(file: str) -> list[tuple[str, str]]:
    """Return (version, what it says of a prune as a JSON list) of every learned release."""
    return _rows(file, "SELECT version, words FROM learned_prune", ())


def read_use_rows(file: str, cache: str) -> list[tuple[str, str]]:
    """Return (archive, record) of every archive observed in one cache."""
    return _rows(file, "SELECT archive, record FROM archive_use WHERE cache = ?", (cache,))


def read_pin_rows(file: str, cache: str) -> list[tuple[str, str]]:
    """Return (pin, record of its age) of every pin of a cache that can expire."""
    return _rows(file, "SELECT pin, record FROM pin_age WHERE cache = ?", (cache,))


def read_clock_rows(file: str, host: str) -> list[tuple[str, int, int]]:
    """Return (boot, uptime in ns, wall clock in ns) of a host's last run."""
    return _rows(file, "SELECT boot, uptime_ns, wall_ns FROM clock WHERE host = ?", (host,))


def read_moment_rows(file: str) -> list[tuple[str, int]]:
    """Return (host, wall clock in ns of its last run) of every host."""
    return _rows(file, "SELECT host, wall_ns FROM clock", ())


def read_size_rows(file: str, cache: str) -> list[tuple[str, str]]:
    """Return (archive, record) of every archive measured in one cache."""
    return _rows(file, "SELECT archive, record FROM archive_size WHERE cache = ?", (cache,))


def read_history_rows(file: str, cache: str) -> list[tuple[int, str]]:
    """Return (time in ns, record) of everything one cache measured, oldest first."""
    query = "SELECT taken_ns, record FROM size_history WHERE cache = ? ORDER BY taken_ns"
    return _rows(file, query, (cache,))


def read_notification_rows(file: str, cache: str) -> list[tuple[str, str]]:
    """Return (cause, record) of what was told to people about one cache."""
    return _rows(file, "SELECT cause, record FROM notification WHERE cache = ?", (cache,))


def _rows(file: str, query: str, values: tuple[str, ...]) -> list[Any]:
    try:
        os.stat(file)
    except FileNotFoundError:
        return []
    try:
        # Read-only: a preflight by somebody without rights changes nothing.
        return _select(file, "ro", query, values)
    except sqlite3.OperationalError:
        if not os.path.exists(f"{file}-journal"):
            raise
    # Somebody was killed while writing: SQLite must first undo the half-written
    # change, which only a connection that may write can do.
    return _select(file, "rw", query, values)


def _select(file: str, mode: str, query: str, values: tuple[str, ...]) -> list[Any]:
    connection = sqlite3.connect(f"file:{quote(file)}?mode={mode}", uri=True, timeout=10)
    try:
        return list(connection.execute(query, values))
    except sqlite3.OperationalError as error:
        # Of an older version, or of one that was killed while it made its tables.
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()
