"""A policy that remembers use on the archives, on a filesystem that can't."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class NoUserXattrs(Rule):
    """``prune.unused`` or ``prune.budget`` is set, and user attributes are not kept."""

    id = "no-user-xattrs"
    severity = Severity.WARNING
    title = "No user extended attributes"
    rationale = (
        "The policy removes by last use. Use is recorded twice, in the state and on each archive, "
        "and the shorter idleness counts; without attributes only the state of this host is left."
    )
    fix = "keep the cache on a filesystem with user attributes, or back up the state"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding for the cache's filesystem, where the policy needs attributes."""
        prune = subject.policy.prune
        keys = ["prune.unused.after"] * (prune.unused.after is not None)
        keys += ["prune.budget"] * prune.budget.is_set
        filesystem = subject.case.evidence.filesystem
        if not keys or filesystem.keeps_user_xattrs is True:
            return
        unknown = filesystem.keeps_user_xattrs is None
        verb = "may not keep" if unknown else "keeps no"
        yield self.finding(
            subject.cache_path,
            f"{filesystem.kind} at {filesystem.mount_point} {verb} user attributes, and "
            f"{' and '.join(keys)} would record use there",
        )
