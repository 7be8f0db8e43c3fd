"""Buckets that no table knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class UnknownBucket(Rule):
    """A bucket of a uv release that this cacheadmin has never heard of."""

    id = "unknown-bucket"
    severity = Severity.WARNING
    title = "Bucket of an unknown uv release"
    rationale = (
        "Nothing can be said of who needs it, so it is never removed, and the cache only grows."
    )
    fix = "cacheadmin uv learn PATH-OF-THAT-UV, or install a newer cacheadmin"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a bucket, with its newest writer as its owner."""
        for bucket in subject.case.inventory.buckets:
            if subject.case.is_known(bucket):
                continue
            newest = bucket.writes[0] if bucket.writes else None
            owner = None if newest is None else subject.case.user(newest.uid)
            yield self.finding(
                f"{subject.cache_path}/{bucket.name}",
                f"{bucket.name} belongs to no uv release this cacheadmin knows"
                + (f", last written by {owner}" if owner else ""),
                owner=owner,
            )
