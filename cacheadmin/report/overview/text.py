"""How an overview looks on a terminal: the verdict first, then what a person asks next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.findings import count_by_severity
from cacheadmin.report.overview.tables import holder_lines, part_lines, release_lines
from cacheadmin.report.overview.words import (
    SEVERITY_STYLES,
    VERDICT_STYLES,
    goal_words,
    going_words,
    growth_words,
    links_words,
    quarantine_words,
    run_words,
    trial_summary_words,
)
from cacheadmin.report.samples import thinned
from cacheadmin.report.terminal import Line, Style, Terminal, side_by_side, width_of
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import CacheReport, Part

# A terminal report is for a glance: so many of each, and where to see the rest.
_LIMITS = 4
_FINDINGS = 5
_RUNS = 3
_BROKEN = 3
_TWO_COLUMNS = 84
_LABEL = 12


def overview_text(overview: CacheReport, host: str, terminal: Terminal) -> str:
    """Return the report of one cache."""
    blocks = [
        _head(overview, host, terminal),
        _verdict(overview, terminal),
        _sizes(overview, terminal),
        _parts(overview, terminal),
        _holders(overview, terminal),
        _use(overview, terminal),
        _findings(overview, terminal),
        _past(overview, terminal),
    ]
    lines: list[Line] = []
    for block in blocks:
        if lines and block:
            lines.append(())
        lines += block
    return terminal.drawn(lines)


def _head(overview: CacheReport, host: str, terminal: Terminal) -> list[Line]:
    policy = overview.loaded.policy
    moment = rfc3339(overview.taken_ns)[:16].replace("T", " ") + " UTC"
    name = terminal.shown(policy.name)
    room = terminal.width - len(moment) - 1
    title = terminal.fitted(name, room) + " " + moment
    where = terminal.shown(f"{overview.cache.path} on {host}")
    owner = f", team {terminal.shown(policy.team)}" if policy.team else ""
    return [
        ((title[: -len(moment)], Style.STRONG), (moment, Style.FAINT)),
        ((terminal.fitted_path(where + owner, terminal.width), Style.FAINT),),
    ]


def _verdict(overview: CacheReport, terminal: Terminal) -> list[Line]:
    style = VERDICT_STYLES[overview.verdict.value]
    mark = "●" if terminal.utf8 else "*"
    word = overview.verdict.value.upper()
    rest = terminal.width - len(word) - 4
    lines: list[Line] = [
        (
            (f"{mark} {word}", style),
            ("  ", Style.PLAIN),
            (terminal.fitted(going_words(overview), rest), Style.PLAIN),
        )
    ]
    shown = overview.limits[:_LIMITS]
    lines += [terminal.remark(f"  {one.detail}", Style.PLAIN) for one in shown]
    if len(overview.limits) > len(shown):
        more = len(overview.limits) - len(shown)
        see = overview.loaded.command("preflight")
        lines.append(terminal.remark(f"  and {more} more: see `{see}`"))
    return lines


def _sizes(overview: CacheReport, terminal: Terminal) -> list[Line]:
    total, disk = overview.total, overview.disk
    facts = (
        (format_size(total.allocated_bytes), "on disk"),
        (format_size(total.logical_bytes), "logical"),
        (format_size(total.reclaimable_bytes), "exclusively its own"),
        (f"{total.files:,}", "files"),
        (f"{overview.archives:,}", "archives"),
    )
    lines = _flowing("size", facts, terminal)
    bar = _bar_columns(terminal)
    used = 1 - disk.free_bytes / disk.size_bytes if disk.size_bytes else 0.0
    lines.append(
        _measure(
            "disk",
            used,
            Style.BAD if used > 0.95 else Style.WARN if used > 0.85 else Style.BAR,
            f"{format_size(disk.free_bytes)} of {format_size(disk.size_bytes)} free on "
            f"{disk.mount_point} ({disk.kind})",
            bar,
            terminal,
        )
    )
    for goal in overview.budget:
        share = goal.value / goal.goal if goal.goal else 1.0
        style = Style.GOOD if goal.is_met else Style.BAD
        lines.append(_measure(goal.key, share, style, goal_words(goal), bar, terminal))
    if overview.unread:
        words = f"{format_count(overview.unread, 'path')} could not be read: in no number here"
        lines.append(terminal.remark(" " * _LABEL + words, Style.WARN))
    history = thinned(overview.history, bar)
    if len(history) > 1:
        spark = terminal.sparkline([record.allocated_bytes for record in history])
        rest = max(0, terminal.width - _LABEL - bar - 2)
        lines.append(
            (
                ("over time".ljust(_LABEL), Style.FAINT),
                (spark.ljust(bar), Style.BAR),
                ("  " + terminal.fitted(growth_words(overview), rest), Style.PLAIN),
            )
        )
    return lines


def _bar_columns(terminal: Terminal) -> int:
    return max(8, min(30, (terminal.width - _LABEL) // 3))


def _measure(
    label: str, share: float, style: Style, words: str, columns: int, terminal: Terminal
) -> Line:
    filled = terminal.bar(share, columns).rstrip()
    track = ("░" if terminal.utf8 else ".") * (columns - len(filled))
    return (
        (label.ljust(_LABEL), Style.FAINT),
        (filled, style),
        (track, Style.FAINT),
        ("  " + terminal.fitted(words, max(0, terminal.width - _LABEL - columns - 2)), Style.PLAIN),
    )


def _flowing(label: str, facts: Sequence[tuple[str, str]], terminal: Terminal) -> list[Line]:
    """Return facts one after the other, on as many lines as the width asks for."""
    lines: list[Line] = []
    line: Line = ((label.ljust(_LABEL), Style.FAINT),)
    for value, meaning in facts:
        spans: Line = ((value, Style.STRONG), (f" {meaning}", Style.PLAIN))
        if len(line) > 1 and width_of(line) + width_of(spans) + 3 > terminal.width:
            lines.append(line)
            line = ((" " * _LABEL, Style.PLAIN),)
        gap: Line = (("   ", Style.PLAIN),) if len(line) > 1 else ()
        line = (*line, *gap, *spans)
    return [*lines, line]


def _parts(overview: CacheReport, terminal: Terminal) -> list[Line]:
    parts, total = overview.parts, overview.total.allocated_bytes
    two = terminal.width >= _TWO_COLUMNS
    columns = (terminal.width - 4) // 2 if two else terminal.width
    narrow = Terminal(columns, terminal.utf8, terminal.paint)

    def block(title: str, found: Sequence[Part], number: int) -> list[Line]:
        return [narrow.rule(title), *part_lines(found, total, number, narrow)]

    blocks = [
        block("By bucket", parts.buckets, 6),
        block("Largest packages", parts.packages, 6),
    ]
    # Where the policy names no teams, they are the owners' groups, and say little.
    if overview.loaded.policy.teams:
        blocks.append(block("By team", parts.teams, 4))
    if len(parts.owners) > 1:
        blocks.append(block("By owner", parts.owners, 4))
    lines: list[Line] = []
    step = 2 if two else 1
    for number in range(0, len(blocks), step):
        pair = (*blocks[number : number + step], [])
        lines += [()] if lines else []
        lines += side_by_side(pair[0], pair[1], columns + 4)
    return lines


def _holders(overview: CacheReport, terminal: Terminal) -> list[Line]:
    found = overview.holders
    if not found:
        return []
    lines = [terminal.rule("Who holds what"), *holder_lines(found[:5], terminal)]
    if len(found) > 5:
        words = f"and {format_count(len(found) - 5, 'environment')} more in `--format json`"
        lines.append(terminal.remark(words))
    told = "alone: no other user uses it; frees: by the next prune, if the environment went"
    lines.append(terminal.remark(told))
    return lines


def _use(overview: CacheReport, terminal: Terminal) -> list[Line]:
    lines = [terminal.rule("In use")]
    lines.append(_labelled("links", links_words(overview), terminal))
    lines += release_lines(overview, _LABEL, terminal)
    return lines


def _labelled(label: str, words: str, terminal: Terminal) -> Line:
    rest = terminal.width - _LABEL
    return ((label.ljust(_LABEL), Style.FAINT), (terminal.fitted(words, rest), Style.PLAIN))


def _findings(overview: CacheReport, terminal: Terminal) -> list[Line]:
    lines = [terminal.rule(f"Findings: {count_by_severity(overview.findings)}")]
    for finding in overview.findings[:_FINDINGS]:
        severity = finding.severity.value
        words = f"{finding.rule}: {finding.detail}"
        lines.append(
            (
                (severity.ljust(9), SEVERITY_STYLES[severity]),
                (terminal.fitted(words, terminal.width - 9), Style.PLAIN),
            )
        )
        if finding.fix:
            fix = terminal.fitted(f"fix: {finding.fix}", terminal.width - 9)
            lines.append(((" " * 9, Style.PLAIN), (fix, Style.FAINT)))
    more = len(overview.findings) - _FINDINGS
    if more > 0:
        see = overview.loaded.command("audit")
        lines.append(terminal.remark(f"and {more} more: see `{see}`"))
    for broken in overview.broken[:_BROKEN]:
        found = format_count(broken.broken_links, "link leads", "links lead")
        words = f"{found} nowhere: {broken.path} ({broken.owner})"
        lines.append(
            (
                ("broken".ljust(9), Style.BAD),
                (terminal.fitted(words, terminal.width - 9), Style.PLAIN),
            )
        )
    if overview.broken:
        see = overview.loaded.command("doctor")
        lines.append(terminal.remark(f"`{see}` says how to repair them"))
    return lines


def _past(overview: CacheReport, terminal: Terminal) -> list[Line]:
    lines = [terminal.rule("Past prunes")]
    lines.append(_labelled("quarantine", quarantine_words(overview), terminal))
    if not overview.trial.is_empty:
        lines.append(_labelled("on trial", trial_summary_words(overview.trial), terminal))
    runs = overview.quarantine.runs[:_RUNS]
    return [*lines, *(_labelled(run.begun_at[:10], run_words(run), terminal) for run in runs)]
