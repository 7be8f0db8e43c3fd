"""Suppressions whose time is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.suppressions import has_expired
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class SuppressionExpired(Rule):
    """An accepted finding that must be looked at again."""

    id = "suppression-expired"
    severity = Severity.WARNING
    title = "Suppression that has expired"
    rationale = "What it accepted for a time is shown again, and an admin has to decide again."
    fix = "remove it from audit.suppress in the policy, or give it a later day and its reason"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an expired suppression; its subject is the policy's file."""
        snapshot = subject.snapshot
        for suppression in subject.policy.audit.suppress:
            if has_expired(suppression, snapshot.now_ns):
                yield self.finding(
                    snapshot.loaded.path or subject.policy.name,
                    f"the suppression of {suppression.rule} for {suppression.subject} "
                    f"expired after {suppression.expires} ({suppression.reason})",
                )
