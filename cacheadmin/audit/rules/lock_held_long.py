"""The cache's lock, held for long by a uv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.lock_holders import describe_holder
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import LockHolder


class LockHeldLong(Rule):
    """A process older than ``older_than`` holds the lock: since when exactly, can't be told.

    A shared lock makes every prune wait: a warning, good to know only where
    ``lock.busy`` is ``concurrent``. An exclusive one stops every uv command
    of every user: an error (by a program that is no uv it is one at once, see
    ``lock-file``). Our own guard lets go when asked.
    """

    id = "lock-held-long"
    severity = Severity.WARNING
    title = "Lock held for long"
    rationale = (
        "uv holds the shared lock as long as the program it started runs. Each prune waits for it "
        "up to lock.timeout, then gives up."
    )
    fix = "end or restart it, or set lock.busy: concurrent to prune beside it"
    thresholds: ClassVar[Mapping[str, Any]] = {"older_than": timedelta(days=1)}

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a holder."""
        case = subject.case
        longest_ago = case.now_ns - nanoseconds(thresholds["older_than"])
        for holder in case.evidence.lock_holders:
            if not _holds(holder) or (holder.started_ns or longest_ago + 1) > longest_ago:
                continue
            since = format_age(holder.started_ns or 0, case.now_ns)
            found = self.finding(
                f"process {holder.pid}",
                f"the cache's lock is held for up to {since}: {describe_holder(holder, case.user)}",
                owner=None if holder.uid is None else case.user(holder.uid),
            )
            if holder.exclusive:
                fix = "every uv command waits for it: end it"
                yield replace(found, severity=Severity.ERROR, fix=fix)
            elif case.prunes_concurrently:
                fix = "nothing has to be done: lock.busy is concurrent"
                yield replace(found, severity=Severity.INFO, fix=fix)
            else:
                yield found


def _holds(holder: LockHolder) -> bool:
    """Whether a uv, or one that might be, holds it; any other program is ``lock-file``'s."""
    foreign = holder.exclusive and holder.is_uv is False
    return not (holder.waiting or holder.unlinked or holder.is_guard or foreign)
