"""How the standing of caches looks: one to a screen, or many to a table."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from cacheadmin.findings import Severity
from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.gaps import gaps_json
from cacheadmin.report.overview.words import goal_words
from cacheadmin.report.preflight import marked
from cacheadmin.report.tables import Cell, table
from cacheadmin.report.width import wrapped
from cacheadmin.text.accounts import account_name
from cacheadmin.text.documents import Document, header
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cacheadmin.overview.facts import PastRun
    from cacheadmin.overview.status import CacheStanding, CacheStatus

    Mark = Callable[[str], str]

_COLUMNS = (
    *("policy", "verdict", "size", "budget", "free", "last run", "next run"),
    *("undo", "on trial", "gaps", "findings"),
)
# What has to go first where a terminal is narrow.
_SPARE = ("next run", "undo", "budget", "free", "on trial", "last run")
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}


_ROW_KEYS = (
    *("policy", "cache", "verdict", "exit_code", "removals", "bytes", "files", "free_bytes"),
    *("filesystem_bytes", "last_run", "next_run", "on_trial", "gaps", "errors", "warnings"),
    "problem",
)


@frozen
class StatusReport(Report):
    """How one or many caches stand."""

    statuses: Sequence[CacheStatus]
    """The standing of each."""
    several: bool
    """Whether more than one was asked for."""

    def document(self) -> Document:
        """Return the document of ``status``."""
        return status_document(self.statuses, several=self.several)

    def rows(self) -> Rows:
        """Return a cache a row."""
        records = status_document(self.statuses, several=True)["policies"]
        shown = rows_of(map(_flat, records), _ROW_KEYS)
        return Rows(shown.columns, shown.cells, records)

    def text(self, view: View) -> str:
        """Return one cache on a screen, or several in a table."""
        return statuses_text(self.statuses, lambda word: marked(word, view.paint))


def _flat(row: Document) -> Document:
    names = {"policy": row["policy"]["name"], "cache": row["cache"] and row["cache"]["path"]}
    if row["verdict"] is None:
        return {**row, **names}
    return {
        **row,
        **names,
        "last_run": row["last_run"] and row["last_run"]["begun_at"],
        "next_run": row["next_run"] and row["next_run"]["when"],
        "on_trial": row["trial"]["entries"],
        "gaps": len(row["gaps"]),
        "errors": row["counts"]["error"],
        "warnings": row["counts"]["warning"],
    }


def status_document(statuses: Sequence[CacheStatus], *, several: bool) -> Document:
    """Return one document: of the one cache, or of all as a list of ``policies``."""
    if not several:
        (one,) = statuses
        cache = one.standing.cache if one.standing is not None else None
        return {**header("status", one.loaded, cache), **_content(one)}
    rows = []
    for one in statuses:
        cache = one.standing.cache if one.standing is not None else None
        whole = header("status", one.loaded, cache)
        policy = whole["policy"] or {"name": one.name, "path": None}
        rows.append({"policy": policy, "cache": whole["cache"], **_content(one)})
    return {**header("status", None, None), "policies": rows}


def _content(one: CacheStatus) -> dict[str, Any]:
    if one.standing is None:
        problem = one.problem.message if one.problem is not None else "unknown"
        return {"verdict": None, "problem": problem, "exit_code": int(one.exit_code)}
    standing, last = one.standing, _last(one.standing)
    waiting = standing.quarantine.waiting
    return {
        "verdict": standing.verdict.value,
        "problem": None,
        "exit_code": int(one.exit_code),
        "limits": [{"id": limit.id, "detail": limit.detail} for limit in standing.limits],
        "removals": standing.removals,
        "bytes": standing.size.allocated_bytes,
        "files": standing.size.files,
        "unread": standing.unread,
        "free_bytes": standing.disk.free_bytes,
        "filesystem_bytes": standing.disk.size_bytes,
        "budget": [
            {"key": goal.key, "value": goal.value, "goal": goal.goal, "met": goal.is_met}
            for goal in standing.budget
        ],
        "last_run": None
        if last is None
        else {
            "run_id": last.run_id,
            "state": last.state,
            "begun_at": last.begun_at,
            "entries": last.entries,
            "bytes": last.size_bytes,
        },
        "next_run": None
        if one.next_run is None
        else {"when": one.next_run.when, "source": one.next_run.source},
        "quarantine": {
            "path": standing.quarantine.path,
            "runs": len(waiting),
            "entries": sum(run.entries for run in waiting),
            "bytes": sum(run.size_bytes for run in waiting),
            "unread": standing.quarantine.unread or None,
        },
        "trial": {
            "entries": standing.trial.entries,
            "bytes": standing.trial.bytes,
            "ends_at": None if standing.trial.ends_ns is None else rfc3339(standing.trial.ends_ns),
            "sprung": standing.trial.sprung,
            "unread": standing.trial.unread or None,
        },
        "gaps": gaps_json(standing.gaps, socket.gethostname(), account_name),
        "counts": {severity.value: standing.findings.get(severity, 0) for severity in Severity},
    }


def _last(standing: CacheStanding) -> PastRun | None:
    return standing.quarantine.runs[0] if standing.quarantine.runs else None


def statuses_text(statuses: Sequence[CacheStatus], mark: Mark) -> str:
    """Return one cache on a screen, or several in a table with what could not be looked at."""
    if len(statuses) == 1:
        return _one_text(statuses[0], mark)
    known = [one for one in statuses if one.standing is not None]
    parts = [table(_COLUMNS, [_row(one) for one in known], right=("gaps",), spare=_SPARE)]
    for one in statuses:
        if one.problem is not None:
            words = f"{one.name}: {printable(one.problem.message)}"
            parts.append(wrapped(words, "", "  "))
    return "\n".join(parts if known else parts[1:])


def _row(one: CacheStatus) -> tuple[Cell, ...]:
    standing = one.standing
    assert standing is not None  # noqa: S101  for mypy: the caller has chosen
    last = _last(standing)
    waiting = standing.quarantine.waiting
    return (
        one.name,
        standing.verdict.value,
        format_size(standing.size.allocated_bytes),
        _budget_word(standing),
        format_size(standing.disk.free_bytes),
        None if last is None else f"{last.begun_at[:16].replace('T', ' ')} {last.state}",
        None if one.next_run is None else one.next_run.when,
        format_size(sum(run.size_bytes for run in waiting)) if waiting else None,
        _trial_words(standing) or None,
        len(standing.gaps) or None,
        _finding_words(standing),
    )


def _trial_words(standing: CacheStanding) -> str:
    """Return what is on trial, and what sprang; empty where there is nothing to say."""
    trial = standing.trial
    if trial.unread:
        return f"unknown: {printable(trial.unread)}"
    said = []
    if trial.entries:
        entries = format_count(trial.entries, "entry", "entries")
        said.append(f"{entries}, {format_size(trial.bytes)}")
    if trial.sprung:
        said.append(f"{trial.sprung} sprung")
    return "; ".join(said)


def _budget_word(standing: CacheStanding) -> str | None:
    if not standing.budget:
        return None
    missed = [goal.key for goal in standing.budget if not goal.is_met]
    return f"over: {', '.join(missed)}" if missed else "met"


def _finding_words(standing: CacheStanding) -> str:
    return (
        ", ".join(
            format_count(standing.findings[severity], word)
            for severity, word in _WORDS.items()
            if standing.findings.get(severity)
        )
        or "none"
    )


def _one_text(one: CacheStatus, mark: Mark) -> str:
    if one.standing is None:
        message = one.problem.message if one.problem is not None else "it can't be looked at"
        return wrapped(f"{one.name}: {printable(message)}", "", "  ")
    standing, last = one.standing, _last(one.standing)
    disk, waiting = standing.disk, standing.quarantine.waiting
    removed = format_count(standing.removals, "entry", "entries")
    lines = [f"{one.name}: {printable(standing.cache.path)}"]

    def line(title: str, words: str) -> None:
        lines.append(wrapped(words, f"  {title:<10} ", " " * 13))

    verdict = standing.verdict.value
    line("verdict", f"{verdict}; a prune would remove {removed} now")
    lines[-1] = lines[-1].replace(verdict, mark(verdict), 1)
    for limit in standing.limits:
        line("", f"{limit.id}: {printable(limit.detail)}")
    unread = f", {format_count(standing.unread, 'path')} not measured" if standing.unread else ""
    files = format_count(standing.size.files, "file")
    line("size", f"{format_size(standing.size.allocated_bytes)} in {files}{unread}")
    for goal in standing.budget:
        line("budget", f"{goal.key}: {goal_words(goal)}")
    free = f"{format_size(disk.free_bytes)} of {format_size(disk.size_bytes)}"
    line("free", f"{free} ({disk.kind} on {printable(disk.mount_point)})")
    if standing.quarantine.unread:
        line("last run", f"unknown: {printable(standing.quarantine.unread)}")
    elif last is None:
        line("last run", "none")
    else:
        moved = format_count(last.entries, "entry", "entries")
        line("last run", f"{last.begun_at}: {last.state}, {moved}, {format_size(last.size_bytes)}")
    if one.next_run is not None:
        line("next run", f"{one.next_run.when} ({one.next_run.source})")
    else:
        line("next run", "no timer and no cron line is known")
    if waiting:
        size = format_size(sum(run.size_bytes for run in waiting))
        until = max(run.until_ns or 0 for run in waiting)
        line(
            "undo", f"{format_count(len(waiting), 'run')}, {size}, the last until {rfc3339(until)}"
        )
    trial = _trial_words(standing)
    if trial:
        ends = standing.trial.ends_ns
        line("on trial", trial + (f", the first until {rfc3339(ends)}" if ends else ""))
    gaps = ", ".join(dict.fromkeys(gap.id for gap in standing.gaps))
    see = "cacheadmin scan" if one.loaded is None else one.loaded.command("scan")
    line("gaps", f"{len(standing.gaps)} ({gaps}): see `{see}`" if gaps else "none")
    line("findings", _finding_words(standing))
    return "\n".join(lines)
