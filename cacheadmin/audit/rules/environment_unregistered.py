"""Environments that link into the cache, and that the policy does not find by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import (
    by_owner,
    declares_environments,
    is_declared,
    leads_into_cache,
)
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.owners import Owned
    from cacheadmin.audit.target import AuditTarget


class EnvironmentUnregistered(Rule):
    """Known only through the cache's interpreter records, a process, or an earlier run."""

    id = "environment-unregistered"
    severity = Severity.WARNING
    title = "Environment that is not registered"
    rationale = (
        "It was found by chance: uv's interpreter records are dropped with their bucket, a "
        "process ends. Not found, it does not keep what it links."
    )
    fix = "register it: cacheadmin venv add POLICY PATH"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an owner, where the policy has a registry or names trees."""
        if not declares_environments(subject):
            return
        found = (
            environment
            for environment in subject.case.outside_environments
            if leads_into_cache(environment) and not is_declared(environment)
        )
        for owned in by_owner(subject, found):
            number = len(owned.environments)
            yield self.finding(
                owned.subject,
                f"{format_count(number, 'environment')} linked into the cache, in no registry, "
                "include or discover: " + owned.named(lambda e: "by " + ", ".join(e.sources)),
                owner=owned.owner,
                fix=_fix(subject, owned),
                count=number,
                team=owned.team,
            )


def _fix(subject: AuditTarget, owned: Owned) -> str:
    if subject.policy.venvs.registry is None:
        return "name it, or the tree it lies in, in venvs.include or venvs.discover"
    add = subject.command("venv add", owned.paths[0])
    return f"as {owned.owner}: {add}" + (", and so on" if len(owned.paths) > 1 else "")
