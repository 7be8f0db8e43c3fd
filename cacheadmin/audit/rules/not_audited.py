"""What could not be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class NotAudited(Rule):
    """A policy or cache of several, or one rule's question, that got no answer."""

    id = "not-audited"
    severity = Severity.ERROR
    title = "Policy, cache or rule that could not be looked at"
    rationale = "Nothing is known of it: an audit that leaves it out must not look clean."
    fix = "do what the reason says, and audit it again"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield nothing: what fails is found where it fails (``failed``)."""
        return iter(())

    def failed(self, subject: str, reason: str, hint: str) -> Finding:
        """Return the finding for a policy, or a cache, and why it could not be looked at."""
        return self.finding(subject, reason, fix=hint)
