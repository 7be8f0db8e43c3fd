"""Printing what commands found: which form, and the exit code that goes with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FailOn
from cacheadmin.cli.output import Format
from cacheadmin.errors import ExitCode

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.findings import Finding
    from cacheadmin.planner.plan import Plan, Verdict
    from cacheadmin.preflight.running import Preflight
    from cacheadmin.situation import Progress, Situation

_STATUS_COLORS = {
    "pass": "green",
    "warn": "yellow",
    "fail": "red",
    "safe": "green",
    "limited": "yellow",
    "refused": "red",
}


def verdict_code(verdict: Verdict) -> int:
    """Return the exit code of ``preflight`` and ``plan`` for a verdict."""
    return {
        "safe": int(ExitCode.DONE),
        "limited": int(ExitCode.LIMITED),
        "refused": int(ExitCode.REFUSED),
    }[verdict.value]


def fails(findings: Iterable[Finding], fail_on: FailOn) -> bool:
    """Whether findings make a command leave with 8."""
    from cacheadmin.findings import Severity, any_at_least

    return fail_on is not FailOn.NEVER and any_at_least(findings, Severity(fail_on.value))


# What these commands say rests on what was looked at, so they say what was not.
_WITH_GAPS = frozenset({"preflight", "plan", "prune", "scan", "evict"})


def document(command: str, situation: Situation, content: Mapping[str, Any]) -> Iterator[str]:
    """Return the pieces of the text of one JSON document."""
    from cacheadmin.report.gaps import gaps_json
    from cacheadmin.text.documents import header
    from cacheadmin.text.json_pieces import pieces

    head = header(command, situation.loaded, situation.cache.identity)
    gaps = {}
    if command in _WITH_GAPS:
        gaps["gaps"] = gaps_json(situation.case.gaps, head["host"], situation.case.user)
    return pieces({**head, **content, **gaps})


def show_plan(
    command: str,
    situation: Situation,
    plan: Plan,
    sizes: Measured[str],
    output_format: Format,
) -> int:
    """Print a plan that was not carried out; return the exit code of its verdict."""
    from cacheadmin.prune.plan_rows import plan_json
    from cacheadmin.prune.room import room_for, room_json, room_words
    from cacheadmin.report.plans import plan_text

    code = verdict_code(plan.verdict)
    room = room_for(situation.cache.fd, plan.removals)
    if output_format is Format.JSON:
        content = {**plan_json(plan, sizes), "room": room_json(room)}
        if command == "prune":
            content = {"run_id": None, "outcome": "dry_run", **content}
        output.data(document(command, situation, content))
    elif not (output.settings.quiet and code == ExitCode.DONE):
        output.data(plan_text(plan, sizes, every_row=output.settings.verbose))
        output.data(f"room: {room_words(room)}")
    return code


def show_preflight(situation: Situation, answer: Preflight, output_format: Format) -> int:
    """Print a preflight; return the exit code of its verdict."""
    code = verdict_code(answer.verdict)
    if output_format is Format.JSON:
        checks = [
            {
                "id": check.id,
                "status": check.status.value,
                "title": check.title,
                "detail": check.detail,
                "fix": check.fix,
            }
            for check in answer.checks
        ]
        summary = {"text": answer.summary, "removals": answer.removals, "kept": answer.kept}
        content = {"verdict": answer.verdict.value, "checks": checks, "summary": summary}
        output.data(document("preflight", situation, content))
    elif not (output.settings.quiet and code == ExitCode.DONE):
        output.data(_preflight_text(answer))
    return code


def _preflight_text(answer: Preflight) -> str:
    from cacheadmin.report.fitting import wrapped, wrapped_fix
    from cacheadmin.text.escaping import printable

    lines = []
    for check in answer.checks:
        words = wrapped(f"{check.title}: {printable(check.detail)}", "      ", "      ")
        lines.append(f"{mark(check.status.value)}  {words[6:]}")
        if check.fix and check.status.value != "pass":
            lines.append(wrapped_fix(printable(check.fix), "      "))
    verdict, _, rest = answer.summary.partition(":")
    summary = wrapped(rest.strip(), " " * (len(verdict) + 2), "  ").strip()
    lines += ["", f"{mark(verdict)}: {summary}"]
    return "\n".join(lines)


def mark(word: str) -> str:
    """Return a status or verdict, coloured for stdout."""
    return typer.style(word, fg=_STATUS_COLORS.get(word)) if output.colour_stdout() else word


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Yield a progress callback that draws on a terminal's stderr after a second."""
    if output.settings.quiet or not sys.stderr.isatty():
        yield None
        return
    import time

    begun = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        if time.monotonic() - begun > 1:
            output.show_progress(f"{what}: {done} of {total}")

    try:
        yield report
    finally:
        output.clear_progress()
