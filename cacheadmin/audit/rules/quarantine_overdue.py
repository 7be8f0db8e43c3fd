"""Runs that stay in quarantine for longer than they should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.errors import NotPermitted, Refused
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.quantities import duration_words
from cacheadmin.prune.journal import SETTLED
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.runs import list_runs, unreadable_runs
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import NANOSECONDS, format_age, nanoseconds

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.prune.runs import Run


class QuarantineOverdue(Rule):
    """Removals that no run purges, or a prune that did not come to its end."""

    id = "quarantine-overdue"
    severity = Severity.WARNING
    title = "Runs in quarantine beyond their time, or never finished"
    rationale = (
        "What waits in quarantine still takes its room: when the time to undo it is over, the "
        "next prune deletes it. If it did not, no prune runs any more, or its deletion fails. A "
        "run without an end may have left entries halfway, which the next prune puts back."
    )
    fix = "run the next prune, or see `cacheadmin runs list`"
    thresholds: ClassVar[Mapping[str, Any]] = {
        "slack": timedelta(days=2),
        "unfinished_after": timedelta(hours=6),
    }

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for all overdue runs together, and one for each that has no end.

        ``slack`` is added to ``quarantine.keep``; a run younger than
        ``unfinished_after`` may still be at work.
        """
        try:
            with existing_quarantine(subject.policy, subject.snapshot.cache) as quarantine:
                if quarantine is not None:
                    yield from self._runs(subject, quarantine, thresholds)
        except (NotPermitted, Refused) as error:
            unseen = self.finding(subject.cache_path, error.message, fix=error.hint)
            # Not being root is no fault of the quarantine.
            mild = isinstance(error, NotPermitted)
            yield replace(unseen, severity=Severity.INFO) if mild else unseen

    def _runs(
        self, subject: AuditTarget, quarantine: QuarantineFolder, thresholds: Mapping[str, Any]
    ) -> Iterator[Finding]:
        now_ns = subject.snapshot.now_ns
        keep_ns = nanoseconds(subject.policy.quarantine.keep + thresholds["slack"])
        identity = subject.snapshot.cache.identity
        runs: dict[str, Run | None] = dict.fromkeys(unreadable_runs(quarantine))
        runs |= {run.run_id: run for run in list_runs(quarantine, identity)}
        overdue = []
        for run_id, run in sorted(runs.items()):
            begun_ns = _begun_ns(run_id)
            if run is None or run.state not in SETTLED:
                if now_ns - begun_ns > nanoseconds(thresholds["unfinished_after"]):
                    yield self._unfinished(subject, quarantine, run_id, run, begun_ns)
            elif run.holds and now_ns - begun_ns > keep_ns:
                overdue.append(run)
        if overdue:
            yield self._overdue(subject, quarantine, overdue)

    def _overdue(
        self, subject: AuditTarget, quarantine: QuarantineFolder, runs: list[Run]
    ) -> Finding:
        now_ns = subject.snapshot.now_ns
        age = format_age(_begun_ns(runs[0].run_id), now_ns)
        size = format_size(sum(run.bytes for run in runs))
        keep = duration_words(subject.policy.quarantine.keep)
        still = "still lies" if len(runs) == 1 else "still lie"
        return self.finding(
            quarantine.path,
            f"{format_count(len(runs), 'run')} of up to {age} ago {still} in quarantine ({size} "
            "when moved)",
            fix=subject.command("runs purge", "--older-than", keep),
            count=len(runs),
        )

    def _unfinished(
        self,
        subject: AuditTarget,
        quarantine: QuarantineFolder,
        run_id: str,
        run: Run | None,
        begun_ns: int,
    ) -> Finding:
        state = "its journal can't be read" if run is None else f"it is {run.state.value}"
        age = format_age(begun_ns, subject.snapshot.now_ns)
        place, fix = f"{quarantine.path}/{run_id}", subject.command("prune")
        if run is not None and run.of_earlier_cache:
            state = f"{state}, on a cache that was at {subject.cache_path} before"
            fix = f"if that cache is gone for good: rm -r -- {shell_word(place)}"
        return self.finding(
            place, f"run {run_id} of {age} ago did not come to its end: {state}", fix=fix
        )


def _begun_ns(run_id: str) -> int:
    """Return when a run began, by its id: a damaged journal can't make it younger."""
    try:
        moment = datetime.strptime(run_id[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return 0
    return int(moment.timestamp()) * NANOSECONDS
