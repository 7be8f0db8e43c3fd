"""Nanoseconds since the epoch, for people and for JSON.

Facts carry times as the filesystem gave them, integers in nanoseconds; only
the edge turns them into text.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

NANOSECONDS = 1_000_000_000


def now_ns() -> int:
    """Return the current time in nanoseconds since the epoch."""
    return time.time_ns()


def nanoseconds(duration: timedelta) -> int:
    """Return a policy's duration in nanoseconds."""
    return (duration.days * 86_400 + duration.seconds) * NANOSECONDS + duration.microseconds * 1000


def rfc3339(moment_ns: int) -> str:
    """Return a moment as RFC 3339 in UTC, to the second (``2026-11-21T05:10:37Z``)."""
    try:
        moment = datetime.fromtimestamp(moment_ns // NANOSECONDS, tz=UTC)
    except (OverflowError, ValueError, OSError):
        # A file's time may be any 64-bit number its owner chose.
        return "9999-12-31T23:59:59Z" if moment_ns > 0 else "0001-01-01T00:00:00Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str) -> int | None:
    """Return the moment that RFC 3339 text means, to the second; None for other text."""
    try:
        return int(datetime.fromisoformat(text).timestamp()) * NANOSECONDS
    except ValueError:
        return None


def format_age(moment_ns: int, now: int) -> str:
    """Return how long ago a moment was, in the largest fitting unit (``3 d``)."""
    seconds = (now - moment_ns) // NANOSECONDS
    if seconds < 0:
        return "in the future"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
