"""The rows of a terminal report: bars of sizes, holders, and uv releases in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.overview.words import release_words
from cacheadmin.report.terminal import Line, Style, Terminal
from cacheadmin.report.usage import group_name
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import CacheReport, EnvironmentFacts, Part

_SIZE = 9
_RELEASES = 6
# "0.10.10 to before 0.13.10": a range that is cut says the wrong release.
_RANGE = len("0.10.10 to before 0.13.10")


def part_lines(parts: Sequence[Part], total: int, number: int, terminal: Terminal) -> list[Line]:
    """Return a bar for each of the largest parts, and one line for the others."""
    shown = parts if len(parts) <= number + 1 else parts[:number]
    rest = sum(part.size.allocated_bytes for part in parts[len(shown) :])
    columns = min(26, max(10, terminal.width // 3))
    bar = max(4, terminal.width - columns - _SIZE - 7)
    lines: list[Line] = []
    for part in shown:
        size = part.size.allocated_bytes
        share = size / total if total else 0.0
        lines.append(
            (
                (terminal.fitted(group_name(part.group), columns), Style.PLAIN),
                (" ", Style.PLAIN),
                (terminal.bar(share, bar), Style.BAR),
                (format_size(size).rjust(_SIZE), Style.STRONG),
                (_percent(share), Style.FAINT),
            )
        )
    if rest:
        name = f"{len(parts) - len(shown)} more"
        filling = " " * (bar + 1)
        lines.append(
            (
                (terminal.fitted(name, columns) + filling, Style.FAINT),
                (format_size(rest).rjust(_SIZE), Style.FAINT),
                (_percent(rest / total), Style.FAINT),
            )
        )
    return lines


def _percent(share: float) -> str:
    return "  <1%" if 0 < share < 0.01 else f"{share:5.0%}"


def holder_lines(environments: Sequence[EnvironmentFacts], terminal: Terminal) -> list[Line]:
    """Return a row for each environment: what it uses, and what it alone keeps."""
    owner = 12 if terminal.width >= 72 else 0
    path = terminal.width - owner - 3 * (_SIZE + 2) - (2 if owner else 0)
    head = terminal.fitted("environment", path)
    if owner:
        head += "  " + "owner".ljust(owner)
    head += "".join(f"  {word:>{_SIZE}}" for word in ("uses", "alone", "frees"))
    lines: list[Line] = [terminal.remark(head)]
    for one in environments:
        if one.holder is None:
            continue
        spans: Line = ((terminal.fitted_path(one.path, path), Style.PLAIN),)
        if owner:
            spans = (*spans, ("  " + terminal.fitted(one.owner or "-", owner), Style.PLAIN))
        numbers = (
            (one.holder.held.allocated_bytes, Style.PLAIN),
            (one.holder.alone.reclaimable_bytes, Style.STRONG),
            (one.holder.freed_bytes, Style.PLAIN),
        )
        lines.append(
            (*spans, *((f"  {format_size(size):>{_SIZE}}", style) for size, style in numbers))
        )
    return lines


def release_lines(overview: CacheReport, label: int, terminal: Terminal) -> list[Line]:
    """Return a line for each of the releases seen last, who uses it, and if it takes no lock."""
    releases = overview.releases
    if not releases:
        return [terminal.remark("uv".ljust(label) + "no release in use was found")]
    lines: list[Line] = []
    shown = releases if len(releases) <= _RELEASES + 1 else releases[:_RELEASES]
    width = min(_RANGE, max(len(release.version) for release in shown))
    for number, release in enumerate(shown):
        style = Style.WARN if release.takes_cache_lock is False else Style.STRONG
        rest = max(0, terminal.width - label - width - 2)
        lines.append(
            (
                (("uv" if number == 0 else "").ljust(label), Style.FAINT),
                (terminal.fitted(release.version, width) + "  ", style),
                (terminal.fitted(release_words(release), rest), Style.PLAIN),
            )
        )
    if len(shown) < len(releases):
        words = f"and {format_count(len(releases) - len(shown), 'release')} more"
        see = overview.loaded.command("schemas")
        lines.append(terminal.remark(" " * label + f"{words}: see `{see}`"))
    return lines
