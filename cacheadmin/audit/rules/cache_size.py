"""Size, number of files and free space, against the budget."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.thresholds import FromPolicy, ThresholdKind
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.quantities import Share
from cacheadmin.text.sizes import format_size

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class CacheSize(Rule):
    """A cache beyond what it may take, or near it."""

    id = "cache-size"
    severity = Severity.ERROR
    title = "Cache larger than its budget, or nearly"
    rationale = "A full filesystem stops all users' installs at once, of everything that is on it."
    fix = "see what takes the room with `cacheadmin usage`, then prune"
    thresholds: ClassVar[Mapping[str, Any]] = {
        "max_size": FromPolicy("prune.budget.max_size", ThresholdKind.SIZE),
        "max_files": FromPolicy("prune.budget.max_files", ThresholdKind.COUNT),
        "min_free": FromPolicy("prune.budget.min_free", ThresholdKind.SIZE_OR_SHARE),
        "warn_at": Share(90.0),
    }

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield an error for each limit that is passed, a warning from ``warn_at`` of it on.

        The cache is measured only when a size or number is asked for: allocated
        bytes and files as ``prune.budget`` counts them.
        """
        max_size, max_files = thresholds["max_size"], thresholds["max_files"]
        if max_size is not None or max_files is not None:
            size = subject.size
            if max_size is not None:
                words = f"{format_size(size.allocated_bytes)} of {format_size(max_size)}"
                share = _share(size.allocated_bytes, max_size)
                yield from self._judge(subject, f"the cache takes {words}", share, thresholds)
            if max_files is not None:
                words = f"{size.files} files of {max_files}"
                share = _share(size.files, max_files)
                yield from self._judge(subject, f"the cache has {words}", share, thresholds)
        if thresholds["min_free"] is not None:
            yield from self._free(subject, thresholds)

    def _free(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        filesystem = os.fstatvfs(subject.snapshot.cache.fd)
        # What plain users can still take: root's reserve helps no user's install.
        free = filesystem.f_bavail * filesystem.f_frsize
        wanted = thresholds["min_free"]
        if isinstance(wanted, Share):
            wanted = wanted.of(filesystem.f_blocks * filesystem.f_frsize)
        words = f"{format_size(free)} are free on its filesystem, of {format_size(wanted)} wanted"
        yield from self._judge(subject, words, _share(wanted, free), thresholds)

    def _judge(
        self, subject: AuditTarget, words: str, share: float, thresholds: Mapping[str, Any]
    ) -> Iterator[Finding]:
        if share * 100 < thresholds["warn_at"].percent:
            return
        finding = self.finding(
            subject.cache_path,
            words,
            fix=f"{subject.command('usage')}, then {subject.command('prune')}",
        )
        yield finding if share > 1 else replace(finding, severity=Severity.WARNING)


def _share(value: int, limit: int) -> float:
    return value / limit if limit else (0.0 if not value else float("inf"))
