"""A filesystem that keeps no access times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class AccessTimes(Rule):
    """Mounted ``noatime``: good to know, because nothing of ours depends on it.

    Use is what our own runs saw (``prune.unused``, ``prune.budget``), never
    an access time.
    """

    id = "access-times"
    severity = Severity.INFO
    title = "No access times"
    rationale = (
        "cacheadmin does not use access times, but other cleaners do: tmpreaper or "
        "`find -atime` take everything here for unused since it was unpacked."
    )
    fix = "let nothing but cacheadmin clean this cache"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding for the cache's mount."""
        filesystem = subject.case.evidence.filesystem
        if not filesystem.keeps_access_times:
            yield self.finding(
                subject.cache_path,
                f"{filesystem.mount_point} is mounted with noatime: access times tell nothing of "
                "use here",
            )
