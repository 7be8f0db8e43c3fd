"""Programs that have been running from the cache for long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Process


class ProcessFromCache(Rule):
    """A server that `uvx` or `uv run` started, or a program that maps the cache's files.

    ``older_than``: how long it must have been running.
    """

    id = "process-from-cache"
    severity = Severity.INFO
    title = "Program that runs from the cache"
    rationale = (
        "What it uses is kept, old releases of it too, until it ends; and its uv holds the lock "
        "that a prune waits for."
    )
    fix = "restart it now and then, or give it an environment of its own: uv tool install"
    thresholds: ClassVar[Mapping[str, Any]] = {"older_than": timedelta(days=7)}

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a user, the oldest first; it counts processes."""
        case = subject.case
        longest_ago = case.now_ns - nanoseconds(thresholds["older_than"])
        by_user: dict[int, list[Process]] = defaultdict(list)
        for process in sorted(case.evidence.processes, key=lambda one: one.started_ns):
            if process.uses and process.uv is None and process.started_ns <= longest_ago:
                by_user[process.uid].append(process)
        for uid, processes in by_user.items():
            named = join_some(
                [
                    f"{p.pid}, {format_age(p.started_ns, case.now_ns)} old, {p.command} "
                    f"(uses {p.uses[0].entry})"
                    for p in processes
                ]
            )
            yield self.finding(
                case.user(uid),
                f"{format_count(len(processes), 'process', 'processes')} of {case.user(uid)} "
                f"running from the cache: {'; '.join(named)}",
                owner=case.user(uid),
                count=len(processes),
            )
