"""Many names in a few words."""

from __future__ import annotations

from collections.abc import Callable

# A report names this many users of an entry, then counts: enough to ask
# one of them, short enough to read.
_NAMED = 3


def join_some(names: list[str], words: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return the first few names, as ``words`` has them, and a count of the others; no repeats."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) <= _NAMED + 1:
        return tuple(map(words, distinct))
    return (*map(words, distinct[:_NAMED]), f"and {len(distinct) - _NAMED} more")
