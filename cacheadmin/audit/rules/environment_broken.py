"""Environments whose links into this cache lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import bounded
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class EnvironmentBroken(Rule):
    """What it links is gone from the cache: an import fails, or will."""

    id = "environment-broken"
    severity = Severity.ERROR
    title = "Broken environment"
    rationale = (
        "The cache was pruned or cleaned while this environment linked into it. uv does not "
        "notice: `uv sync` says that all is in sync."
    )
    fix = "cacheadmin doctor POLICY says how to repair each"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an environment, cached ones too; it counts links."""
        yield from bounded(self._found(subject))

    def _found(self, subject: AuditTarget) -> Iterator[Finding]:
        for environment in subject.case.evidence.environments:
            if not environment.broken_links:
                continue
            packages = join_some(list(environment.broken_packages))
            of_what = f": {', '.join(packages)}" if packages else ""
            yield self.finding(
                environment.path,
                f"{format_count(environment.broken_links, 'link')} into this cache lead"
                f"{'s' if environment.broken_links == 1 else ''} nowhere{of_what}",
                owner=subject.snapshot.owner_of(environment),
                fix=f"{subject.command('doctor')} says how to repair it",
                count=environment.broken_links,
                team=subject.snapshot.team_of(environment),
            )
