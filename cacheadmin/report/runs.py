"""How past runs look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.tables import size_words, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.prune.runs import Run


def run_json(run: Run, *, entries: bool) -> dict[str, Any]:
    """Return one run; with its entries on request."""
    row: dict[str, Any] = {
        "run_id": run.run_id,
        "state": run.state.value,
        "begun_at": run.begun_at,
        "run_on": run.host,
        "run_policy": run.policy,
        "restorable": run.restorable,
        "moved": len(run.entries),
        "bytes": run.bytes,
    }
    if entries:
        row["entries"] = list(run.entries)
    return row


def runs_text(runs: Sequence[Run]) -> str:
    """Return the table of runs."""
    if not runs:
        return "no runs: nothing was pruned yet"
    rows = [
        (
            run.run_id,
            run.state.value,
            len(run.entries),
            size_words(run.bytes),
            "yes" if run.restorable else "no",
            run.host,
            run.policy,
        )
        for run in runs
    ]
    columns = ("run", "state", "entries", "size", "can be undone", "host", "policy")
    return table(columns, rows, right=("entries", "size"), spare=("host", "policy"))


def run_text(run: Run) -> str:
    """Return what one run moved, and why."""
    rows = [
        (entry["kind"], entry["path"], entry.get("package"), entry.get("version"), entry["reason"])
        for entry in run.entries
    ]
    heading = f"run {run.run_id} on {run.host}: {run.state.value}"
    columns = ("kind", "path", "package", "version", "because")
    return f"{heading}\n{table(columns, rows, spare=('version', 'path'))}"
