"""Sizes over time on a page: a chart by team, one by package, each with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.html_text import Cell, counted, dated, section, table_html
from cacheadmin.report.svg_charts import area_chart, layers
from cacheadmin.report.thinning import thinned
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.overview.facts import Overview
    from cacheadmin.report.svg_charts import Series
    from cacheadmin.state.size_history import SizeRecord

# As many points as a chart of this width can show, and as a table can be read.
_POINTS = 240
_ROWS = 60


def history_html(overview: Overview, identity: str) -> str:
    """Return the charts; with one record yet, a sentence that says so."""
    records = thinned(overview.history, _POINTS)
    if len(records) < 2:
        told = (
            "This is the first measurement. The chart begins with the next report; those that a "
            "timer makes fill it."
        )
        return section(f"{identity}-time", "Size over time", f"<p>{told}</p>")
    charts = [
        _chart(
            f"{identity}-packages-time",
            "Size over time, by package",
            records,
            [record.packages for record in records],
            "all other packages and metadata",
        )
    ]
    if any(record.teams for record in records):
        by_team = _chart(
            f"{identity}-teams-time",
            "Size over time, by team",
            records,
            [record.teams for record in records],
            "all other teams, or none",
        )
        charts.insert(0, by_team)
    return f'<div class="grid2">{"".join(charts)}</div>'


def _chart(
    identity: str,
    title: str,
    records: Sequence[SizeRecord],
    parts: Sequence[Mapping[str, int]],
    others: str,
) -> str:
    found = layers([record.allocated_bytes for record in records], parts, others)
    times = [record.taken_ns for record in records]
    chart = area_chart(f"{identity}-chart", title, times, found)
    return section(identity, title, chart + _numbers(title, records, found))


def _numbers(title: str, records: Sequence[SizeRecord], found: Sequence[Series]) -> str:
    """Return what the chart shows as a table, for those who can't see it."""
    rows = [
        (
            dated(rfc3339(one.taken_ns)[:16].replace("T", " ")),
            _bytes(one.allocated_bytes),
            *(_bytes(layer.values[number]) for layer in found),
            counted(one.files),
        )
        for number, one in reversed(thinned(list(enumerate(records)), _ROWS))
    ]
    columns = ("time (UTC)", "on disk", *(layer.name for layer in found), "files")
    table = table_html(f"{title}, in numbers", columns, rows)
    return f"<details><summary>In numbers</summary>{table}</details>"


def _bytes(size: int) -> Cell:
    return Cell(format_size(size), size)
