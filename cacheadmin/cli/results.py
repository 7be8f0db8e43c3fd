"""Printing what commands found: which form, and the exit code that goes with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FailOn
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.findings import Finding, Severity, any_at_least
from cacheadmin.report.formats import FORMATS, Report, View, formats_of
from cacheadmin.report.gaps import gaps_json
from cacheadmin.report.terminal import Style, unpainted
from cacheadmin.text.documents import Heading, header

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.planner.plan import Verdict
    from cacheadmin.snapshot.snapshot import Progress, Snapshot


def verdict_code(verdict: Verdict) -> int:
    """Return the exit code of ``preflight`` and ``plan`` for a verdict."""
    return {
        "safe": int(ExitCode.DONE),
        "limited": int(ExitCode.LIMITED),
        "refused": int(ExitCode.REFUSED),
    }[verdict.value]


def fails(findings: Iterable[Finding], fail_on: FailOn) -> bool:
    """Whether findings make a command leave with 8."""
    return fail_on is not FailOn.NEVER and any_at_least(findings, Severity(fail_on.value))


# What these commands say rests on what was looked at, so they say what was not.
_WITH_GAPS = frozenset({"preflight", "plan", "prune", "scan", "discover", "evict"})


def heading(command: str, snapshot: Snapshot, *, gaps: Sequence[Gap] | None = None) -> Heading:
    """Return how the document of a command about one cache begins.

    It names ``gaps``; without them those of the look, where the command rests on it.
    """
    first = header(command, snapshot.loaded, snapshot.cache.identity)
    if gaps is None and command in _WITH_GAPS:
        gaps = snapshot.case.gaps
    if gaps is None:
        return Heading(first)
    return Heading(first, gaps_json(gaps, first["host"], snapshot.case.user))


def show(report: Report, name: str, *, is_well: bool = False) -> None:
    """Print a report in the format of this name.

    With ``--quiet`` one that is well is left out, unless a program wants it whole.
    Raises WrongUsage for a format that can't print it.
    """
    form = FORMATS[name]
    if not form.prints(type(report)):
        names = ", ".join(formats_of(type(report)))
        raise WrongUsage(f"this is not printed as {name}, but as one of: {names}")
    if output.settings.quiet and is_well and not form.is_document:
        return
    pieces = form.pieces(report, view())
    if pieces:
        output.data(pieces, encoding=form.encoding)


def view() -> View:
    """Return how much people want to read, and whether stdout shows colours."""
    settings = output.settings
    paint = painted if output.colour_stdout() else unpainted
    return View(settings.verbose, settings.quiet, paint)


_COLOURS = {
    Style.GOOD: "green",
    Style.WARN: "yellow",
    Style.BAD: "red",
    Style.BAR: "cyan",
}


def painted(text: str, style: Style) -> str:
    """Return a text in the colour of its style."""
    if style is Style.PLAIN:
        return text
    bold, dim = style is Style.STRONG or None, style is Style.FAINT or None
    return typer.style(text, fg=_COLOURS.get(style), bold=bold, dim=dim)


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Yield a progress callback that draws on a terminal's stderr after a second."""
    if output.settings.quiet or not sys.stderr.isatty():
        yield None
        return

    begun = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        if time.monotonic() - begun > 1:
            output.show_progress(f"{what}: {done} of {total}")

    try:
        yield report
    finally:
        output.clear_progress()
