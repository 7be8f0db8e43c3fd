"""A cache that is mounted read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class ReadOnlyCache(Rule):
    """No user can write to the cache from this host.

    uv then fails at start, also for commands that only read (run: `uv pip
    list` and `uv venv` of 0.5.10, 0.9.0 and 0.13.8 on a read-only bind mount).
    """

    id = "read-only-cache"
    severity = Severity.ERROR
    title = "The cache is mounted read-only"
    rationale = (
        "Every uv command with this cache fails on this host, even `uv pip list`, and nothing can "
        "be pruned from here."
    )
    fix = "mount it for writing; a filesystem that went read-only by itself has errors: see dmesg"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding for the cache's mount."""
        filesystem = subject.case.evidence.filesystem
        if filesystem.read_only:
            yield self.finding(
                subject.cache_path,
                f"{filesystem.kind} from {filesystem.source} is mounted read-only at "
                f"{filesystem.mount_point}",
            )
