"""Suppressions that hide nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.policy.model import Suppression


class SuppressionUnused(Rule):
    """A suppression of something that is well again, or was never found."""

    id = "suppression-unused"
    severity = Severity.INFO
    title = "Suppression that hides nothing"
    rationale = "Nothing is wrong any more, or its subject or owner is misspelled."
    fix = "remove it from audit.suppress in the policy, or correct it"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield nothing: only when all other rules are done it is known (``unused``)."""
        return iter(())

    def unused(self, suppression: Suppression, policy_path: str) -> Finding:
        """Return the finding for a suppression that fitted no finding."""
        owner = f" of {suppression.owner}" if suppression.owner else ""
        return self.finding(
            policy_path,
            f"the suppression of {suppression.rule} for {suppression.subject}{owner} "
            f"hides nothing ({suppression.reason})",
        )
