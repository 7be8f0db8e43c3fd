"""What is on trial, on a page: since and until when, and what came back because it was used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.html_text import (
    Cell,
    dated,
    escaped,
    named,
    path_html,
    section,
    table_html,
)
from cacheadmin.text.counting import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.overview.facts import Overview
    from cacheadmin.trial.ledger import Spring, Trial

_TRIALS = 100
_SPRINGS = 50

# Why something came back, in words for those who don't know tripwires.
_WHY = {
    "sprung": "it was used",
    "kin": "what belongs to it was used",
    "linked": "an environment links to it",
}


def trials_html(overview: Overview, identity: str) -> str:
    """Return what is on trial and what came back; nothing where nothing ever was."""
    trial = overview.trial
    if trial.is_empty:
        return ""
    told = "Nothing is on trial now."
    if trial.entries:
        entries = format_count(trial.entries, "entry", "entries")
        verb = "is" if trial.entries == 1 else "are"
        ends = "" if trial.first_end_ns is None else f"; the first ends {_day(trial.first_end_ns)}"
        told = f"{entries}, {format_size(trial.bytes)}, {verb} on trial{ends}."
    about = (
        "These packages were not seen in use, so they were set aside, and still work from "
        "there: any use of one brings it back. What stays unused is deleted at the end."
    )
    came_back = ""
    if trial.springs:
        words = format_count(len(trial.springs), "entry came back", "entries came back")
        advice = "the environments that use them are not known yet"
        came_back = f"<h3>{escaped(words)}: {advice}</h3>{_springs(trial.springs)}"
    content = f"<p>{escaped(told)} {escaped(about)}</p>{_trials(trial.trials)}{came_back}"
    return section(f"{identity}-trial", "On trial", content)


def _trials(trials: tuple[Trial, ...]) -> str:
    shown = trials[:_TRIALS]
    rows = [
        (
            _what(one.package, one.version, one.entry),
            Cell(format_size(one.bytes), one.bytes),
            dated(_day(one.since_ns)),
            dated(_day(one.until_ns)),
            Cell(f"<code>{escaped(one.run_id)}</code>" if one.run_id else "–"),
        )
        for one in shown
    ]
    columns = ("what", "frees", "since", "until", "run")
    left_out = len(trials) - len(shown)
    return table_html("What is on trial", columns, rows, left_out=left_out, stacked=True)


def _springs(springs: tuple[Spring, ...]) -> str:
    shown = springs[:_SPRINGS]
    rows = [
        (
            Cell(path_html(one.entry)),
            dated(rfc3339(one.at_ns)[:16].replace("T", " ")),
            Cell(escaped(_WHY.get(one.why, one.why))),
            named(", ".join(one.who) or None),
        )
        for one in shown
    ]
    columns = ("what", "used (UTC)", "because", "perhaps by")
    left_out = len(springs) - len(shown)
    return table_html("What came back from trial", columns, rows, left_out=left_out, stacked=True)


def _what(package: str | None, version: str | None, entry: str) -> Cell:
    name = " ".join(part for part in (package, version) if part)
    return named(name) if name else Cell(path_html(entry))


def _day(time_ns: int) -> str:
    return rfc3339(time_ns)[:10]
