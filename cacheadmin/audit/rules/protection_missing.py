"""Planted roots that are not where they should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.protect.protection import check_protection
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class ProtectionMissing(Rule):
    """The policy asks for protection, and there is less than that."""

    id = "protection-missing"
    severity = Severity.WARNING
    title = "Protection from uv's own prune is not complete"
    rationale = (
        "Until the roots are planted again, any user's `uv cache prune` may delete archives that "
        "environments of others link to."
    )
    fix = "cacheadmin protect"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding where roots are missing, one for each bucket that has a problem.

        Asked only of a cache that ``protect.enabled`` protects, or that
        an admin protected by hand.
        """
        protection = check_protection(subject.snapshot)
        if not (subject.policy.protect.enabled or protection.is_there):
            return
        fix = subject.command("protect")
        if protection.missing:
            buckets = [bucket.name for bucket in protection.buckets if bucket.missing]
            yield self.finding(
                subject.cache_path,
                f"{format_count(protection.missing, 'root')} of "
                f"{format_count(protection.archives, 'archive')} in use missing in "
                f"{format_count(len(buckets), 'bucket')}",
                fix=fix,
                count=protection.missing,
            )
        for bucket, problem in protection.problems:
            yield self.finding(f"{subject.cache_path}/{bucket}", f"{bucket}: {problem}", fix=fix)
