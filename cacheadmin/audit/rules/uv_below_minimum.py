"""Users whose uv is older than the policy wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.releases_in_use import is_before, upgrade_words, users_with
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class UvBelowMinimum(Rule):
    """An active user, or a uv for every user, below ``uv.minimum``."""

    id = "uv-below-minimum"
    severity = Severity.WARNING
    title = "uv older than uv.minimum"
    rationale = (
        "Each old release keeps buckets of its own alive, and its `uv cache prune` deletes those "
        "of all others."
    )
    fix = "upgrade uv: `uv self update`"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a user, with every release below and its newest evidence."""
        minimum = subject.policy.uv.minimum
        for user in users_with(subject, lambda trace: is_before(trace, minimum)):
            owner = None if user.uid is None else subject.case.user(user.uid)
            sure = "" if user.is_exact else "; which release it is can't be told"
            yield self.finding(
                owner or user.traces[0].path,
                f"{owner or 'all users of this host'} has {user.words}, below uv.minimum "
                f"{minimum}{sure}",
                owner=owner,
                fix=upgrade_words(user, owner, minimum),
            )
