"""Environments, and places of environments, that could not be looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.planner.case import name_some
from cacheadmin.policy.teams import team_of
from cacheadmin.report.tables import count_words

if TYPE_CHECKING:
    from cacheadmin.audit.subject import Subject
    from cacheadmin.evidence.facts import Unseen

# Environments, and what may name or hold some: folders behind patterns, the
# registry itself, interpreter records.
_PLACES = frozenset({"environment", "include", "discover", "registry", "interpreter-entry"})


class EnvironmentUnreadable(Rule):
    """Something that may link to anything: every archive it could use is kept.

    An error where the policy refuses to prune because of it
    (``venvs.unreadable: refuse``).
    """

    id = "environment-unreadable"
    severity = Severity.WARNING
    title = "Environment that can't be read"
    rationale = "What it links is unknown, so nothing that it could link is ever pruned."
    fix = "run cacheadmin as root, or let the account of run_as read it"

    def check(self, subject: Subject, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an owner and sort; it counts what could not be seen."""
        groups: dict[tuple[int | None, str, str | None], list[Unseen]] = defaultdict(list)
        for unseen in subject.case.evidence.unseen:
            if unseen.what in _PLACES and unseen.hides_archives:
                team = team_of(subject.policy, unseen.path, unseen.uid)
                groups[unseen.uid, unseen.what, team].append(unseen)
        for (uid, what, team), found in groups.items():
            named = name_some([f"{unseen.path}: {unseen.reason}" for unseen in found])
            refused = what == "environment" and subject.policy.venvs.unreadable == "refuse"
            ending = "; the policy refuses to prune because of it" if refused else ""
            finding = self.finding(
                found[0].path,
                f"{count_words(len(found), _WORDS[what], _MANY.get(what, ''))} could not be "
                f"looked at: {'; '.join(named)}{ending}",
                owner=None if uid is None else subject.case.user(uid),
                fix=_FIX.get(what, ""),
                count=len(found),
                team=team,
            )
            yield replace(finding, severity=Severity.ERROR) if refused else finding


_WORDS = {
    "environment": "environment",
    "include": "place of venvs.include",
    "discover": "folder of venvs.discover",
    "registry": "registry folder",
    "interpreter-entry": "interpreter record of uv",
}
_MANY = {
    "include": "places of venvs.include",
    "discover": "folders of venvs.discover",
    "interpreter-entry": "interpreter records of uv",
}
_FIX = {
    "interpreter-entry": "remove the record: uv asks that interpreter again when it needs it",
}
