"""Charts as inline SVG: sizes over time, and shares of a whole. Pure text, no script.

A chart is an image to those who read by ear: it has a title and a sentence
that says what it shows; its numbers stand in a table beside it. Colours are
classes ``s0`` to ``s7``, which the style sheet gives a colour for light and
for dark; the last is for everything that has no colour of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cacheadmin.report.html_text import escaped, name_html
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import NANOSECONDS, rfc3339
from cacheadmin.values import frozen

_WIDTH, _HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 12, 12, 28
_COLOURS = 8
_DAY_NS = 86_400 * NANOSECONDS


@frozen
class Series:
    """One layer of a chart."""

    name: str
    """The layer's name in the legend, as yet unescaped."""
    values: tuple[int, ...]
    """Bytes at each of the chart's times."""
    colour: int
    """Number of its colour, 0 to 7; 7 stands for everything without a colour of its own."""


def layers(
    totals: Sequence[int], parts: Sequence[Mapping[str, int]], others: str
) -> tuple[Series, ...]:
    """Return the parts that were ever largest as layers, and the rest of the totals as one.

    ``parts`` holds the bytes by name for each of ``totals``.
    """
    largest: dict[str, int] = {}
    for moment in parts:
        for name, size in moment.items():
            largest[name] = max(largest.get(name, 0), size)
    chosen = sorted(largest, key=lambda name: (-largest[name], name))[: _COLOURS - 1]
    found = [
        Series(name, tuple(moment.get(name, 0) for moment in parts), colour)
        for colour, name in enumerate(chosen)
    ]
    # Shared files count in each part: their sum may be more than the whole.
    rest = tuple(
        max(0, total - sum(one.values[number] for one in found))
        for number, total in enumerate(totals)
    )
    if any(rest):
        found.append(Series(others, rest, _COLOURS - 1))
    return tuple(found)


def area_chart(identity: str, title: str, times_ns: Sequence[int], series: Sequence[Series]) -> str:
    """Return a stacked chart over two or more times, with its legend.

    ``identity`` is unique on the page; it names the parts for screen readers.
    """
    stack = _stacked(series, len(times_ns))
    highest = max(*stack[-1], 1)
    ticks = _size_ticks(highest)
    top = max(highest, ticks[-1])
    xs = [_x(time_ns, times_ns) for time_ns in times_ns]
    areas = "".join(
        f'<path class="s{one.colour}" d="{_area(xs, stack[number], stack[number + 1], top)}"/>'
        for number, one in enumerate(series)
    )
    first, last = stack[-1][0], stack[-1][-1]
    told = (
        f"From {_date(times_ns[0])} to {_date(times_ns[-1])}: from {format_size(first)} "
        f"to {format_size(last)}. The numbers are in the table below."
    )
    return (
        f'<div class="scroll" role="group" aria-label="{escaped(title)}" tabindex="0">'
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{identity}-title {identity}-told">'
        f'<title id="{identity}-title">{escaped(title)}</title>'
        f'<desc id="{identity}-told">{escaped(told)}</desc>'
        f"{_grid(ticks, top)}{areas}{_time_axis(times_ns)}</svg></div>{legend(series)}\n"
    )


def legend(series: Sequence[Series]) -> str:
    """Return the names of layers with their colours, the topmost first."""
    items = "".join(
        f'<li><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="s{one.colour}" width="10" height="10" rx="2"/></svg>'
        f'{name_html(one.name)} <span class="faint">{format_size(one.values[-1])}</span></li>'
        for one in reversed(series)
    )
    return f'<ul class="legend">{items}</ul>'


def share_bar(share: float, colour: int = 0) -> str:
    """Return a bar for a share of 0 to 1; the number must stand beside it."""
    width = round(min(max(share, 0.0), 1.0) * 100, 2)
    return (
        '<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="10"/>'
        f'<rect class="s{colour}" width="{width:g}" height="10"/></svg>'
    )


def _stacked(series: Sequence[Series], count: int) -> list[list[int]]:
    """Return the upper edge of each layer, after the base line."""
    edges = [[0] * count]
    for one in series:
        edges.append([below + value for below, value in zip(edges[-1], one.values, strict=True)])
    return edges


def _area(xs: Sequence[float], lower: Sequence[int], upper: Sequence[int], top: int) -> str:
    forth = [f"{x:.1f} {_y(value, top):.1f}" for x, value in zip(xs, upper, strict=True)]
    back = [f"{x:.1f} {_y(value, top):.1f}" for x, value in zip(xs, lower, strict=True)]
    return f"M{'L'.join(forth)}L{'L'.join(reversed(back))}Z"


def _grid(ticks: Sequence[int], top: int) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
        f'y1="{_y(tick, top):.1f}" y2="{_y(tick, top):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{_y(tick, top) + 4:.1f}" '
        f'text-anchor="end">{format_size(tick) if tick else "0"}</text>'
        for tick in ticks
    )


def _time_axis(times_ns: Sequence[int]) -> str:
    first, last = times_ns[0], times_ns[-1]
    hours = last - first < 2 * _DAY_NS
    labels = []
    shown = ""
    for number in range(4):
        time_ns = first + (last - first) * number // 3
        words = rfc3339(time_ns)[11:16] if hours else _date(time_ns)
        if words == shown and number < 3:
            continue
        shown = words
        anchor = ("start", "middle", "middle", "end")[number]
        # Where a screen is narrow there is room for the first and the last.
        between = " between" if number in (1, 2) else ""
        labels.append(
            f'<text class="tick{between}" x="{_x(time_ns, times_ns):.1f}" y="{_HEIGHT - 8}" '
            f'text-anchor="{anchor}">{words}</text>'
        )
    return "".join(labels)


def _size_ticks(highest: int) -> list[int]:
    """Return three to five round sizes from 0 to at least ``highest``: powers of two apart."""
    step = 1
    while step * 4 < highest:
        step *= 2
    return [step * number for number in range(-(-highest // step) + 1)]


def _x(time_ns: int, times_ns: Sequence[int]) -> float:
    span = max(times_ns[-1] - times_ns[0], 1)
    return _LEFT + (time_ns - times_ns[0]) / span * (_WIDTH - _LEFT - _RIGHT)


def _y(value: int, top: int) -> float:
    return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)


def _date(time_ns: int) -> str:
    return rfc3339(time_ns)[:10]
