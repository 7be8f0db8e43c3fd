"""Pins that are past their end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.planner.pins import is_expired
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Pin


class PinsExpired(Rule):
    """A pin keeps nothing any more: its end is past, and it is surely as old as it was meant."""

    id = "pins-expired"
    severity = Severity.INFO
    title = "Pin past its end"
    rationale = "It keeps nothing any more; who still relies on it does not know."
    fix = "cacheadmin pin remove POLICY TARGET, or pin it again with a later end"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an author; it counts pins."""
        case = subject.case
        by_author: dict[int, list[Pin]] = defaultdict(list)
        for pin in case.evidence.pins:
            if is_expired(pin, case.now_ns):
                by_author[pin.uid].append(pin)
        for uid, pins in by_author.items():
            named = join_some([f"{p.target} (until {rfc3339(p.expires_ns or 0)})" for p in pins])
            author = case.user(uid)
            remove = subject.command("pin remove", pins[0].target)
            yield self.finding(
                author,
                f"{format_count(len(pins), 'pin')} of {author} past the end: {', '.join(named)}",
                owner=author,
                fix=f"as {author}: {remove}, or pin it again with a later end",
                count=len(pins),
            )
