"""Environments that ought to be there, and are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import bounded
from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Environment, RememberedEnvironment

_EXPECTED = frozenset({"registry", "include", "remembered"})


class EnvironmentMissing(Rule):
    """Registered, named by the policy, or remembered, and not to be found on this host.

    One that only uv's interpreter records name is no finding: people delete
    environments every day, and uv keeps the record.
    """

    id = "environment-missing"
    severity = Severity.WARNING
    title = "Environment that is gone"
    rationale = (
        "It was deleted, or it moved, or its filesystem is not mounted here. For "
        "venvs.keep_missing it keeps what it last linked; after that, an environment that is "
        "only away breaks."
    )
    fix = "if it is gone for good: cacheadmin venv remove POLICY PATH; else mount it here"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an environment, with how it is known and what it last linked."""
        yield from bounded(self._found(subject))

    def _found(self, subject: AuditTarget) -> Iterator[Finding]:
        remembered = {memory.path: memory for memory in subject.case.evidence.remembered}
        for environment in subject.case.outside_environments:
            if environment.status is not EnvironmentStatus.MISSING:
                continue
            known = [source for source in environment.sources if source in _EXPECTED]
            if known:
                memory = remembered.get(environment.path)
                yield self._missing(subject, environment, known, memory)

    def _missing(
        self,
        subject: AuditTarget,
        environment: Environment,
        known: list[str],
        memory: RememberedEnvironment | None,
    ) -> Finding:
        path = environment.path
        uid = environment.uid
        last = ""
        if memory is not None:
            uid = memory.uid if uid is None else uid
            last = f"; it last linked {format_count(len(memory.archives), 'archive')}"
        remove = subject.command("venv remove", path)
        fix = f"if it is gone for good: {remove}; else mount it here"
        if known == ["include"]:
            fix = "take it out of venvs.include, or mount it here"
        return self.finding(
            path,
            f"known by {' and '.join(known)}, and not found on this host{last}",
            owner=None if uid is None else subject.case.user(uid),
            fix=fix,
            team=subject.snapshot.team_of(environment),
        )
