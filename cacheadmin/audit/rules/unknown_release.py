"""uv releases that this cacheadmin has never heard of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.releases_in_use import binary_of, users_with
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.uv.releases import newest_known

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.release_trace import ReleaseTrace


class UnknownRelease(Rule):
    """A release in use is not in the table, and was not learned."""

    id = "unknown-release"
    severity = Severity.WARNING
    title = "uv release that is not known"
    rationale = (
        "Which buckets it needs is unknown, so the newest of every kind stay, and what its prune "
        "deletes can't be said before."
    )
    fix = "cacheadmin uv learn PATH-OF-THAT-UV, or install a newer cacheadmin"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a release, with who uses it."""
        case = subject.case
        by_version: dict[str, list[ReleaseTrace]] = defaultdict(list)
        for user in users_with(subject, lambda trace: trace.version is not None):
            for trace in user.traces:
                if trace.version is not None and case.buckets_of(trace.version) is None:
                    by_version[trace.version].append(trace)
        for version, traces in by_version.items():
            users = sorted({case.user_of_release(trace.uid) for trace in traces})
            first = traces[0]
            binary = next(filter(None, map(binary_of, traces)), None)
            yield self.finding(
                f"uv {version}",
                f"uv {version} is used by {', '.join(join_some(users))} ({first.evidence}: "
                f"{first.path}); this cacheadmin knows releases up to {newest_known()}",
                owner=users[0] if len(users) == 1 and first.uid is not None else None,
                fix=f"cacheadmin uv learn {shell_word(binary)}" if binary else "",
                count=len(users),
            )
