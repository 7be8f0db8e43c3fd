"""How past runs look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.prune.runs import Run
    from cacheadmin.text.documents import Document, Heading


_WHY = {
    "sprung": "it was used",
    "kin": "it belongs to what was used",
    "linked": "the tool found who uses it",
    "taken": "its tripwire was taken away",
}


_RUN_COLUMNS = (
    *("run_id", "state", "begun_at", "run_on", "run_policy", "restorable", "moved", "bytes"),
    *("on_trial", "came_back", "ends_at"),
)
_ENTRY_COLUMNS = ("kind", "path", "package", "version", "bytes", "rule", "reason", "trial_state")


@frozen
class RunsReport(Report):
    """Past prunes."""

    heading: Heading
    """How the document begins."""
    runs: Sequence[Run]
    """The runs, the oldest first."""

    def document(self) -> Document:
        """Return the document of ``runs list``."""
        return self.heading.over({"runs": self._records()})

    def rows(self) -> Rows:
        """Return a run a row."""
        records = self._records()
        shown = rows_of([{**row["trial"], **row} for row in records], _RUN_COLUMNS)
        return Rows(shown.columns, shown.cells, records)

    def text(self, view: View) -> str:
        """Return the table of runs."""
        return runs_text(self.runs)

    def _records(self) -> list[dict[str, Any]]:
        return [run_json(run, entries=False) for run in self.runs]


@frozen
class RunReport(Report):
    """What one prune moved, and what became of it."""

    heading: Heading
    """How the document begins."""
    run: Run
    """The run with its entries."""

    def document(self) -> Document:
        """Return the document of ``runs show``."""
        return self.heading.over(run_json(self.run, entries=True))

    def rows(self) -> Rows:
        """Return an entry a row."""
        records = run_json(self.run, entries=True)["entries"]
        states = [
            {**row, "trial_state": row["trial"]["state"] if row.get("trial") else None}
            for row in records
        ]
        shown = rows_of(states, _ENTRY_COLUMNS)
        return Rows(shown.columns, shown.cells, records)

    def text(self, view: View) -> str:
        """Return the table of entries, and what is on trial or came back."""
        return run_text(self.run)


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
    row["trial"] = {
        "on_trial": len(run.on_trial),
        "bytes": sum(trial.bytes for trial in run.on_trial),
        "ends_at": _last_end(run),
        "came_back": len(run.came_back),
    }
    if entries:
        row["entries"] = [_entry_json(run, entry) for entry in run.entries]
    return row


def _entry_json(run: Run, entry: dict[str, Any]) -> dict[str, Any]:
    """Return one entry, with where its trial stands when it has, or had, one."""
    if not entry.get("trial"):
        return entry
    row: dict[str, Any] = {"state": "ended"}
    for trial in run.on_trial:
        if trial.entry == entry["path"]:
            row = {
                "state": "on_trial",
                "since": rfc3339(trial.since_ns),
                "until": rfc3339(trial.until_ns),
            }
    for spring in run.came_back:
        if spring.entry == entry["path"]:
            row = {
                "state": "came_back",
                "at": rfc3339(spring.at_ns),
                "why": spring.why,
                "who": list(spring.who),
            }
    return {**entry, "trial": row}


def _last_end(run: Run) -> str | None:
    moments = [trial.until_ns for trial in run.on_trial]
    return rfc3339(max(moments)) if moments else None


def runs_text(runs: Sequence[Run]) -> str:
    """Return the table of runs."""
    if not runs:
        return "no runs: nothing was pruned yet"
    rows = [
        (
            run.run_id,
            run.state.value,
            len(run.entries),
            format_size(run.bytes),
            str(len(run.on_trial)) if run.on_trial else "",
            str(len(run.came_back)) if run.came_back else "",
            "yes" if run.restorable else "no",
            run.host,
            run.policy,
        )
        for run in runs
    ]
    columns = (
        "run",
        "state",
        "entries",
        "size",
        "on trial",
        "came back",
        "can be undone",
        "host",
        "policy",
    )
    right = ("entries", "size", "on trial", "came back")
    return table(columns, rows, right=right, spare=("host", "policy"))


def run_text(run: Run) -> str:
    """Return what one run moved, and why."""
    rows = [
        (entry["kind"], entry["path"], entry.get("package"), entry.get("version"), entry["reason"])
        for entry in run.entries
    ]
    heading = f"run {run.run_id} on {run.host}: {run.state.value}"
    columns = ("kind", "path", "package", "version", "because")
    parts = [heading, table(columns, rows, spare=("version", "path"))]
    if run.on_trial:
        trials = [
            (trial.entry, rfc3339(trial.since_ns), rfc3339(trial.until_ns))
            for trial in run.on_trial
        ]
        parts += ["", "on trial:", table(("path", "since", "until"), trials)]
    if run.came_back:
        springs = [
            (
                spring.entry,
                rfc3339(spring.at_ns),
                _WHY.get(spring.why, spring.why),
                ", ".join(spring.who),
            )
            for spring in run.came_back
        ]
        parts += ["", "came back:", table(("path", "at", "because", "by"), springs)]
    return "\n".join(parts)
