"""The hosts of a cache, on a page: last heard of, what they use, where they could not look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.hosts.fleet import HostStanding
from cacheadmin.report.page.cells import (
    NOTHING,
    Cell,
    CellTable,
    counted,
    dated,
    many,
    named,
    path,
    prose,
    words,
)
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.hosts.fleet import KnownHost

_HOSTS = 1000
_GAPS = 3

_WORDS = {
    HostStanding.FRESH: "fresh",
    HostStanding.STALE: "not heard of in time",
    HostStanding.AHEAD: "its clock is ahead",
    HostStanding.MISSING: "told nothing",
}


def hosts_sentence(hosts: Sequence[KnownHost]) -> str:
    """Return how many hosts there are, and how they stand."""
    counts = Counter(one.standing for one in hosts)
    parts = [f"{counts[one]:,} {_WORDS[one]}" for one in HostStanding if counts[one]]
    return f"{format_count(len(hosts), 'host')} beside this one: {', '.join(parts)}."


def hosts_table(hosts: Sequence[KnownHost]) -> CellTable:
    """Return the other hosts of a cache."""
    shown = hosts[:_HOSTS]
    return CellTable(
        "Other hosts",
        (
            *("host", "told (UTC)", "standing", "environments", "users"),
            *("uv releases", "reaches the cache at", "could not look"),
        ),
        [_row(one) for one in shown],
        left_out=len(hosts) - len(shown),
        stacked=True,
    )


def _row(one: KnownHost) -> tuple[Cell, ...]:
    told = None if one.told_ns is None else rfc3339(one.told_ns)[:16].replace("T", " ")
    return (
        named(one.name if one.expected else f"{one.name} (not in hosts.expect)"),
        dated(told),
        words(_WORDS[one.standing]),
        counted(one.environments),
        counted(one.uses),
        named(", ".join(one.releases) or None),
        _reach(one),
        _gaps(one.gaps),
    )


def _reach(one: KnownHost) -> Cell:
    if not one.path:
        return NOTHING
    filesystem = named(one.filesystem)
    if one.read_only:
        filesystem = many(", ", filesystem, words("read-only"))
    return many(" ", path(one.path), filesystem)


def _gaps(gaps: tuple[str, ...]) -> Cell:
    if not gaps:
        return NOTHING
    more = [words(f"and {len(gaps) - _GAPS:,} more")] if len(gaps) > _GAPS else []
    return many("; ", *map(prose, gaps[:_GAPS]), *more)
