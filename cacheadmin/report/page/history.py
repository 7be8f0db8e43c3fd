"""Sizes over time on a page: a chart by team, one by package, each with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.page.cells import CellTable, counted, dated, sized
from cacheadmin.report.page.charts import chart_of, layers
from cacheadmin.report.samples import thinned
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cacheadmin.report.page.charts import Chart, Series
    from cacheadmin.state.size_history import SizeRecord

# As many points as a chart of this width can show, and as a table can be read.
_POINTS = 240
_ROWS = 60


def history_charts(
    history: Sequence[SizeRecord], identity: str
) -> list[tuple[str, Chart, CellTable]]:
    """Return (id, chart, its numbers) of each chart; none as long as there is one record."""
    records = thinned(history, _POINTS)
    if len(records) < 2:
        return []
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
    return charts


def _chart(
    identity: str,
    title: str,
    records: Sequence[SizeRecord],
    parts: Sequence[Mapping[str, int]],
    others: str,
) -> tuple[str, Chart, CellTable]:
    found = layers([record.allocated_bytes for record in records], parts, others)
    times = [record.taken_ns for record in records]
    chart = chart_of(f"{identity}-chart", title, times, found)
    return identity, chart, _numbers(title, records, found)


def _numbers(title: str, records: Sequence[SizeRecord], found: Sequence[Series]) -> CellTable:
    """Return what the chart shows as a table, for those who can't see it."""
    rows = [
        (
            dated(rfc3339(one.taken_ns)[:16].replace("T", " ")),
            sized(one.allocated_bytes),
            *(sized(layer.values[number]) for layer in found),
            counted(one.files),
        )
        for number, one in reversed(thinned(list(enumerate(records)), _ROWS))
    ]
    columns = ("time (UTC)", "on disk", *(layer.name for layer in found), "files")
    return CellTable(f"{title}, in numbers", columns, rows)
