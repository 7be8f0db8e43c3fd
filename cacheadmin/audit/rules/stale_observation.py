"""Hosts whose last look at the cache is long ago."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.thresholds import FromPolicy, ThresholdKind
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class StaleObservation(Rule):
    """Cron stopped, or never began."""

    id = "stale-observation"
    severity = Severity.WARNING
    title = "Host that has not looked at the cache for long"
    rationale = (
        "What earlier runs saw of environments and of the use of wheels is what later ones go by. "
        "A host that stopped looking keeps what it no longer needs, and no prune cleans there."
    )
    fix = "see whether the timer or cron job on that host still runs"
    thresholds: ClassVar[Mapping[str, Any]] = {
        "max_age": FromPolicy("hosts.max_age", ThresholdKind.DURATION),
        "slack": timedelta(hours=2),
    }

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each host of the state that is late by more than ``slack``.

        A cache that is older than that and of which nothing was ever recorded
        is a remark. A clock that ran ahead is not held against its host.
        """
        snapshot = subject.snapshot
        oldest_ns = nanoseconds(thresholds["max_age"] + thresholds["slack"])
        moments = snapshot.state.clocks()
        now_ns = snapshot.now_ns + subject.case.evidence.clock_ahead_ns
        if not moments and self._age_of_cache_ns(subject) > oldest_ns:
            never = self.finding(
                subject.cache_path,
                "no prune has ever been recorded here, so nothing is known of earlier use",
                fix=subject.command("prune"),
            )
            yield replace(never, severity=Severity.INFO)
        # Releases before schema 3 knew a host by its machine id alone.
        former = {host.partition(" ")[2] for host in moments}
        for host, wall_ns in sorted(moments.items()):
            if host not in former and now_ns - wall_ns > oldest_ns:
                here = host == snapshot.host_time.host
                name = os.uname().nodename if here else host.partition(" ")[0]
                yield self.finding(
                    name,
                    f"the last prune on host {name} was {format_age(wall_ns, now_ns)} ago",
                    fix=subject.command("prune") if here else "",
                )

    @staticmethod
    def _age_of_cache_ns(subject: AuditTarget) -> int:
        """Return how long ago uv made the cache: its tag is written once, at the first use."""
        try:
            tag = os.stat("CACHEDIR.TAG", dir_fd=subject.snapshot.cache.fd, follow_symlinks=False)
        except OSError:
            return 0
        return subject.snapshot.now_ns - tag.st_mtime_ns
