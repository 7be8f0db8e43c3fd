"""One audit of one cache: every rule that the policy does not turn off.

Rules find; what the policy says of them (severity, suppressions) and whom a
finding is attributed to is applied afterwards, here, for all rules alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.subject import Subject
from cacheadmin.findings import Finding, worst_first

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loading import LoadedPolicy
    from cacheadmin.situation import Situation


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found, worst first.

    ``loaded`` and ``cache`` are what was audited; None for what could not be
    looked at. ``argument`` is what the caller named.
    """

    findings: tuple[Finding, ...]
    loaded: LoadedPolicy | None = None
    cache: CacheIdentity | None = None
    argument: str = ""


def run_audit(situation: Situation) -> Audit:
    """Check every rule on one situation; nothing is changed."""
    subject = Subject(situation)
    found: list[Finding] = []
    for rule in RULES:
        found += rule().check(subject, rule.thresholds)
    return Audit(worst_first(found), situation.loaded, situation.cache.identity)
