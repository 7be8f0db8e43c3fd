"""How many findings each team has: whom to ask first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.findings import Severity
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.findings import Finding


@frozen
class TeamSummary:
    """What one team has to do."""

    team: str | None
    """The team's name; None for findings of no team."""
    owners: tuple[str, ...]
    """Accounts with findings, those with most of them first."""
    errors: int
    """How many findings are errors."""
    warnings: int
    """How many findings are warnings."""
    infos: int
    """How many findings are for information."""


def by_team(findings: Iterable[Finding]) -> tuple[TeamSummary, ...]:
    """Return a summary of each team that has findings, the worst off first."""
    of_team: dict[str | None, list[Finding]] = {}
    for finding in findings:
        of_team.setdefault(finding.team, []).append(finding)
    summaries = [_summary(team, found) for team, found in of_team.items()]
    return tuple(sorted(summaries, key=lambda s: (-s.errors, -s.warnings, -s.infos, s.team or "")))


def _summary(team: str | None, findings: list[Finding]) -> TeamSummary:
    def number(severity: Severity) -> int:
        return sum(finding.severity is severity for finding in findings)

    of_owner: dict[str, int] = {}
    for finding in findings:
        if finding.owner is not None:
            of_owner[finding.owner] = of_owner.get(finding.owner, 0) + 1
    owners = sorted(of_owner, key=lambda owner: (-of_owner[owner], owner))
    return TeamSummary(
        team,
        tuple(owners),
        number(Severity.ERROR),
        number(Severity.WARNING),
        number(Severity.INFO),
    )
