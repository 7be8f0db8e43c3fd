"""What is on trial, on a page: since and until when, and what came back because it was used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.page.cells import (
    NOTHING,
    Cell,
    CellTable,
    code,
    dated,
    named,
    path,
    sized,
    words,
)
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.trial.ledger import Spring, Trial
    from cacheadmin.trial.summary import TrialSummary

_TRIALS = 100
_SPRINGS = 50

# Why something came back, in words for those who don't know tripwires.
_WHY = {
    "sprung": "it was used",
    "kin": "what belongs to it was used",
    "linked": "an environment links to it",
}


def trials_sentence(trial: TrialSummary) -> str:
    """Return how much is on trial, and when the first of it ends."""
    if not trial.entries:
        return "Nothing is on trial now."
    entries = format_count(trial.entries, "entry", "entries")
    verb = "is" if trial.entries == 1 else "are"
    ends = "" if trial.first_end_ns is None else f"; the first ends {_day(trial.first_end_ns)}"
    return f"{entries}, {format_size(trial.bytes)}, {verb} on trial{ends}."


def trials_table(trials: tuple[Trial, ...]) -> CellTable:
    """Return what is on trial."""
    shown = trials[:_TRIALS]
    return CellTable(
        "What is on trial",
        ("what", "frees", "since", "until", "run"),
        [
            (
                _what(one.package, one.version, one.entry),
                sized(one.bytes),
                dated(_day(one.since_ns)),
                dated(_day(one.until_ns)),
                code(one.run_id) if one.run_id else NOTHING,
            )
            for one in shown
        ],
        left_out=len(trials) - len(shown),
        stacked=True,
    )


def springs_table(springs: tuple[Spring, ...]) -> CellTable:
    """Return what came back from trial."""
    shown = springs[:_SPRINGS]
    return CellTable(
        "What came back from trial",
        ("what", "used (UTC)", "because", "perhaps by"),
        [
            (
                path(one.entry),
                dated(rfc3339(one.at_ns)[:16].replace("T", " ")),
                words(_WHY.get(one.why, one.why)),
                named(", ".join(one.who) or None),
            )
            for one in shown
        ],
        left_out=len(springs) - len(shown),
        stacked=True,
    )


def _what(package: str | None, version: str | None, entry: str) -> Cell:
    name = " ".join(part for part in (package, version) if part)
    return named(name) if name else path(entry)


def _day(time_ns: int) -> str:
    return rfc3339(time_ns)[:10]
