"""What an audit rule is.

A rule is a small class in a file of its own in ``audit/rules``, named after
its id, and a line in the registry there. It looks at one cache and yields
findings; severity, thresholds and suppressions of the policy are applied to
them afterwards (``audit.one_cache``), so a rule knows nothing of those but the
thresholds it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class Rule(ABC):
    """One question to a cache.

    ``id`` is public (policies and suppressions name it). ``title`` says in a
    few words what is wrong when it finds something; ``rationale`` why that
    matters, in a sentence or two; ``fix`` what to do about it in general.
    ``thresholds`` are its numbers, each with its default: the policy may set
    them (``audit: {cache-size: {max_files: 2000000}}``), as the type the
    default has; a ``timedelta`` is written as a duration there.
    """

    id: ClassVar[str]
    severity: ClassVar[Severity]
    title: ClassVar[str]
    rationale: ClassVar[str]
    fix: ClassVar[str]
    thresholds: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what is wrong with this cache; nothing when all is well.

        ``thresholds`` has every key of the class's own, as the policy sets it.
        """

    def finding(
        self,
        subject: str,
        detail: str,
        *,
        owner: str | None = None,
        fix: str = "",
        count: int = 1,
        team: str | None = None,
    ) -> Finding:
        """Return a finding of this rule, with its severity, and its fix unless one is given."""
        return Finding(
            rule=self.id,
            severity=self.severity,
            subject=subject,
            owner=owner,
            detail=detail,
            fix=fix or self.fix,
            count=count,
            team=team,
        )
