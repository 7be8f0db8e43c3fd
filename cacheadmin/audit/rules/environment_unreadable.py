"""Environments, and places of environments, that could not be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import bounded
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.teams import team_of

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Unseen


class EnvironmentUnreadable(Rule):
    """Something that may link to anything: what it could use is kept, or goes on trial at most.

    An error where the policy refuses to prune because of it
    (``venvs.unreadable: refuse``).
    """

    id = "environment-unreadable"
    severity = Severity.WARNING
    title = "Environment that can't be read"
    rationale = "What it links is unknown, so what it could link is kept, or goes on trial at most."
    fix = "run cacheadmin as root, or let the account of run_as read it"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding for each thing that could not be looked at, with the reason."""
        yield from bounded(
            self._unreadable(subject, unseen)
            for unseen in subject.case.evidence.unseen
            if unseen.what in _WORDS and unseen.hides_archives
        )

    def _unreadable(self, subject: AuditTarget, unseen: Unseen) -> Finding:
        refused = unseen.what == "environment" and subject.policy.venvs.unreadable == "refuse"
        ending = "; the policy refuses to prune because of it" if refused else ""
        what = _A_HOME if unseen.trial_suffices else _WORDS[unseen.what]
        finding = self.finding(
            unseen.path,
            f"{what} that could not be looked at: {unseen.reason}{ending}",
            owner=None if unseen.uid is None else subject.case.user(unseen.uid),
            fix=_FIX.get(unseen.what, ""),
            team=team_of(subject.policy, unseen.path, unseen.uid),
        )
        return replace(finding, severity=Severity.ERROR) if refused else finding


# Environments, and what may name or hold some.
_WORDS = {
    "environment": "an environment",
    "include": "a place of venvs.include",
    "discover": "a folder of venvs.discover",
    "registry": "a registry folder",
    "interpreter-entry": "an interpreter record of uv",
}
# One that no policy names.
_A_HOME = "a folder in a home"
_FIX = {
    "interpreter-entry": "run cacheadmin as root, or see that the disk answers; do not remove it: "
    "an environment that nothing else names would lose what it links",
}
