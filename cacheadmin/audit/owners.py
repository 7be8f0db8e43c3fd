"""Findings about environments and people: one for each owner, not one for each thing.

A user who has three hundred environments on a wrong link mode has one thing to
do, once. So environments are grouped by owner and team, counted, and a few of
them are named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.text.lists import join_some
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.findings import Finding

# So many findings of one rule and owner are told one by one.
_ONE_BY_ONE = 50


@frozen
class Owned:
    """Environments of one owner in one team."""

    owner: str | None
    """Account name, or ``uid 1234``; None where the owner is unknown."""
    team: str | None
    """The team that they are attributed to; None for none."""
    environments: tuple[Environment, ...]
    """The environments by path; never empty."""

    @property
    def subject(self) -> str:
        """What a finding about all of them is about: the owner, the first path if there is none.

        Never a path where there is an owner: who suppresses findings below a
        folder must not hide what else the owner has.
        """
        return self.owner or self.paths[0]

    @property
    def paths(self) -> list[str]:
        """The environments' paths."""
        return [environment.path for environment in self.environments]

    def named(self, words: Callable[[Environment], str] | None = None) -> str:
        """Return a few of them by path, each with ``words`` in parentheses, and count the rest."""
        names = [
            environment.path + (f" ({words(environment)})" if words else "")
            for environment in self.environments
        ]
        return ", ".join(join_some(names))


def by_owner(subject: AuditTarget, environments: Iterable[Environment]) -> Iterator[Owned]:
    """Yield environments by owner and team."""
    groups: dict[tuple[str | None, str | None], list[Environment]] = defaultdict(list)
    for environment in environments:
        snapshot = subject.snapshot
        groups[snapshot.owner_of(environment), snapshot.team_of(environment)].append(environment)
    for (owner, team), found in groups.items():
        yield Owned(owner, team, tuple(sorted(found, key=lambda e: e.path)))


def bounded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings one by one up to a number for each owner, then one for all others of theirs.

    The registry is every user's: a hundred thousand links of one user must not
    bury what else was found.
    """
    seen: Counter[str | None] = Counter()
    last: dict[str | None, Finding] = {}
    for finding in findings:
        seen[finding.owner] += 1
        if seen[finding.owner] <= _ONE_BY_ONE:
            yield finding
        else:
            last[finding.owner] = finding
    for owner, finding in last.items():
        more = seen[owner] - _ONE_BY_ONE
        yield replace(
            finding,
            subject=owner or finding.subject,
            detail=f"and {more} more of {owner or 'no known account'}, such as {finding.subject}: "
            + finding.detail,
            count=more,
        )


def leads_into_cache(environment: Environment) -> bool:
    """Whether it would break, or lose something, when the cache does."""
    return bool(environment.archives or environment.entries)


def is_declared(environment: Environment) -> bool:
    """Whether the policy finds it by itself: registered, included or in a tree of its own."""
    return not {"registry", "include", "discover"}.isdisjoint(environment.sources)


def declares_environments(subject: AuditTarget) -> bool:
    """Whether the policy says where environments are."""
    venvs = subject.policy.venvs
    return bool(venvs.registry or venvs.include or venvs.discover)
