"""The hosts of a cache, on a page: last heard of, what they use, where they could not look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.hosts.fleet import Standing
from cacheadmin.report.html_text import (
    Cell,
    counted,
    dated,
    escaped,
    name_html,
    named,
    path_html,
    prose_html,
    section,
    table_html,
)
from cacheadmin.text.counting import format_count
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.hosts.fleet import KnownHost
    from cacheadmin.overview.facts import Overview

_HOSTS = 1000
_GAPS = 3

_WORDS = {
    Standing.FRESH: "fresh",
    Standing.STALE: "not heard of in time",
    Standing.AHEAD: "its clock is ahead",
    Standing.MISSING: "told nothing",
}


def hosts_html(overview: Overview, identity: str) -> str:
    """Return the other hosts of a cache; nothing where none is known or expected."""
    hosts = overview.hosts
    if not hosts:
        return ""
    counts = Counter(one.standing for one in hosts)
    parts = [f"{counts[one]:,} {_WORDS[one]}" for one in Standing if counts[one]]
    told = f"{format_count(len(hosts), 'host')} beside this one: {', '.join(parts)}."
    about = (
        "What a host told is kept for it, however old it is. What only a silent host could use "
        "goes on trial, and goes on working."
    )
    shown = hosts[:_HOSTS]
    columns = (
        *("host", "told (UTC)", "standing", "environments", "users"),
        *("uv releases", "reaches the cache at", "could not look"),
    )
    left_out = len(hosts) - len(shown)
    rows = [_row(one) for one in shown]
    table = table_html("Other hosts", columns, rows, left_out=left_out, stacked=True)
    content = f"<p>{escaped(told)} {escaped(about)}</p>{table}"
    return section(f"{identity}-hosts", "Hosts", content)


def _row(one: KnownHost) -> tuple[Cell, ...]:
    told = None if one.told_ns is None else rfc3339(one.told_ns)[:16].replace("T", " ")
    return (
        named(one.name if one.expected else f"{one.name} (not in hosts.expect)"),
        dated(told),
        Cell(escaped(_WORDS[one.standing])),
        counted(one.environments),
        counted(one.uses),
        named(", ".join(one.releases) or None),
        Cell(_reach(one)),
        Cell(_gaps(one.gaps)),
    )


def _reach(one: KnownHost) -> str:
    if not one.path:
        return "–"
    read_only = ", read-only" if one.read_only else ""
    return f"{path_html(one.path)} {name_html(one.filesystem)}{read_only}"


def _gaps(gaps: tuple[str, ...]) -> str:
    if not gaps:
        return "–"
    more = f"; and {len(gaps) - _GAPS:,} more" if len(gaps) > _GAPS else ""
    return "; ".join(map(prose_html, gaps[:_GAPS])) + more
