"""Charts as inline SVG: sizes over time. Geometry alone; a template draws it, without script.

A chart is an image to those who read by ear: it has a title and a sentence
that says what it shows; its numbers stand in a table beside it. Colours are
classes ``s0`` to ``s7``, which the style sheet gives a colour for light and
for dark; the last is for everything that has no colour of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

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


@frozen
class Chart:
    """A stacked chart over two or more times, ready to be drawn."""

    identity: str
    """Its id, unique on the page; it names the parts for screen readers."""
    title: str
    """What it shows."""
    told: str
    """What it shows, in a sentence."""
    layers: Sequence[Series]
    """Its layers, the lowest first."""
    areas: Sequence[tuple[int, str]]
    """(colour, the outline as an SVG path) of each layer."""
    sizes: Sequence[tuple[str, float]]
    """(words, height) of each line of the grid."""
    times: Sequence[tuple[str, float, str, bool]]
    """(words, place, anchor, whether a narrow screen has no room for it) along the axis."""

    width: ClassVar[int] = _WIDTH
    """Width of the picture, in its own units."""
    height: ClassVar[int] = _HEIGHT
    """Its height."""
    left: ClassVar[int] = _LEFT
    """Where its areas begin."""
    right: ClassVar[int] = _WIDTH - _RIGHT
    """Where they end."""

    @property
    def legend(self) -> list[tuple[str, int, str]]:
        """Return (name, colour, last size) of each layer, the topmost first."""
        return [(s.name, s.colour, format_size(s.values[-1])) for s in reversed(self.layers)]


def chart_of(identity: str, title: str, times_ns: Sequence[int], series: Sequence[Series]) -> Chart:
    """Return the geometry of a chart; ``title`` may be a name that a user chose."""
    stack = _stacked(series, len(times_ns))
    highest = max(*stack[-1], 1)
    ticks = _size_ticks(highest)
    top = max(highest, ticks[-1])
    xs = [_x(time_ns, times_ns) for time_ns in times_ns]
    first, last = stack[-1][0], stack[-1][-1]
    return Chart(
        identity,
        title,
        f"From {_date(times_ns[0])} to {_date(times_ns[-1])}: from {format_size(first)} "
        f"to {format_size(last)}. The numbers are in the table below.",
        series,
        [
            (one.colour, _area(xs, stack[number], stack[number + 1], top))
            for number, one in enumerate(series)
        ],
        [(format_size(tick) if tick else "0", _y(tick, top)) for tick in ticks],
        list(_time_axis(times_ns)),
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


def _time_axis(times_ns: Sequence[int]) -> Iterator[tuple[str, float, str, bool]]:
    first, last = times_ns[0], times_ns[-1]
    hours = last - first < 2 * _DAY_NS
    shown = ""
    for number in range(4):
        time_ns = first + (last - first) * number // 3
        words = rfc3339(time_ns)[11:16] if hours else _date(time_ns)
        if words == shown and number < 3:
            continue
        shown = words
        anchor = ("start", "middle", "middle", "end")[number]
        # Where a screen is narrow there is room for the first and the last.
        yield words, _x(time_ns, times_ns), anchor, number in (1, 2)


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
