"""How much of what links into the cache the policy finds by itself, by team."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.owners import declares_environments, is_declared, leads_into_cache
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.quantities import Share
from cacheadmin.text.lists import join_some

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Environment


class RegistryCoverage(Rule):
    """Fewer than ``minimum`` of a team's linking environments are registered."""

    id = "registry-coverage"
    severity = Severity.WARNING
    title = "Registry that covers too little"
    rationale = (
        "Environments found by chance suggest others that were not found. A team that registers "
        "most of its environments can be relied on for the rest."
    )
    fix = "ask the team to register its environments: cacheadmin venv add POLICY PATH"
    thresholds: ClassVar[Mapping[str, Any]] = {"minimum": Share(90)}

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a team; it counts the environments not covered."""
        if not declares_environments(subject):
            return
        minimum = thresholds["minimum"].percent
        teams: dict[str | None, list[Environment]] = defaultdict(list)
        for environment in subject.case.outside_environments:
            if leads_into_cache(environment):
                teams[subject.snapshot.team_of(environment)].append(environment)
        for team, environments in teams.items():
            missed = [e for e in environments if not is_declared(e)]
            covered = 100 * (len(environments) - len(missed)) / len(environments)
            if covered >= minimum:
                continue
            owners = sorted({subject.snapshot.owner_of(e) or "unknown" for e in missed})
            yield self.finding(
                team or "no team",
                f"registry, include and discover cover {len(environments) - len(missed)} of "
                f"{len(environments)} environments ({covered:.0f}%, wanted {minimum:g}%) of "
                f"{team or 'no team'} that link into the cache; the others are of "
                + ", ".join(join_some(owners)),
                fix=f"see what is there: {subject.command('venv discover')}; then register it",
                count=len(missed),
                team=team,
            )
