"""Durations, sizes, shares and dates as people write them: ``30d 12h``, ``200GiB``, ``10%``."""

from __future__ import annotations

import re
from datetime import date, timedelta

from cacheadmin.values import frozen

DURATION_PATTERN = r"^\s*(\d+(\.\d+)?\s*(w|d|h|m|min|s)\s*)+$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([KMGTP]i?)?B?\s*$"
SHARE_PATTERN = r"^\s*(100(\.0*)?|\d{1,2}(\.\d+)?)\s*%\s*$"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(w|d|h|min|m|s)", re.ASCII)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "min": 60, "s": 1}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGTP])(i?))?B?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4, "P": 5}

# timedelta ends at 999,999,999 days; no user keeps a cache a thousand years.
_MAX_SECONDS = 1000 * 366 * 86_400


@frozen
class Share:
    """A part of the whole, in percent."""

    percent: float
    """Its size in percent of the whole, 0 to 100."""

    def of(self, whole: int) -> int:
        """Return this part of a whole, rounded down."""
        return int(whole * self.percent / 100)


def parse_duration(text: str) -> timedelta:
    """Return ``30d``, ``1d 12h``, ``5m`` (minutes) or ``0d`` as a duration.

    Raises ValueError with what is wanted.
    """
    stripped = text.strip()
    if not stripped or _DURATION.sub("", stripped).strip():
        raise ValueError(f"{text!r} is no duration: write 30d, 12h, 5m, or several as in 1d 12h")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(stripped))
    if seconds > _MAX_SECONDS:
        raise ValueError(f"{text!r} is longer than a thousand years")
    return timedelta(seconds=seconds)


def parse_size(text: str) -> int:
    """Return ``200GiB`` (powers of 1024), ``5GB`` (powers of 1000) or ``4096`` in bytes.

    Raises ValueError with what is wanted.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size: write 200GiB, 5GB or a number of bytes")
    number, letter, binary = found.groups()
    factor = (1024 if binary else 1000) ** _POWERS[letter] if letter else 1
    return int(float(number) * factor)


def parse_share(text: str) -> Share:
    """Return ``10%`` as a share. Raises ValueError with what is wanted."""
    number = text.strip().removesuffix("%").strip()
    try:
        percent = float(number)
    except ValueError:
        raise ValueError(f"{text!r} is no share: write 10%") from None
    if not 0 <= percent <= 100:
        raise ValueError(f"{text!r} is no share: it must lie between 0% and 100%")
    return Share(percent)


def parse_date(text: str) -> date:
    """Return ``2027-06-30`` as a date. Raises ValueError with what is wanted."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no date: write YYYY-MM-DD, such as 2027-06-30")


def duration_words(duration: timedelta) -> str:
    """Return a duration as the policy would write it."""
    seconds = int(duration.total_seconds())
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _SECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0d"


def exact_size(size_bytes: int) -> str:
    """Return a size as a policy would write it, to the byte: ``512MiB``, ``1000000``."""
    for letter, power in reversed(_POWERS.items()):
        whole, rest = divmod(size_bytes, 1024**power)
        if whole and not rest:
            return f"{whole}{letter}iB"
    return str(size_bytes)
