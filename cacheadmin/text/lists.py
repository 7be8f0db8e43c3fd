"""Many names in a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

_One = TypeVar("_One")

# A report names this many users of an entry, then counts: enough to ask
# one of them, short enough to read.
_NAMED = 3


def first_few(several: Iterable[_One]) -> tuple[tuple[_One, ...], int]:
    """Return the first few, and the number of the others; what is equal counts once."""
    distinct = tuple(dict.fromkeys(several))
    if len(distinct) <= _NAMED + 1:
        return distinct, 0
    return distinct[:_NAMED], len(distinct) - _NAMED


def with_count(names: Iterable[str], more: int) -> tuple[str, ...]:
    """Return the names, and after them how many more there are."""
    return (*names, f"and {more} more") if more else tuple(names)


def join_some(names: list[str], words: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return the first few names, as ``words`` has them, and a count of the others; no repeats."""
    few, more = first_few(names)
    return with_count(map(words, few), more)
