"""One audit of one cache: every rule that the policy does not turn off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.subject import Subject
from cacheadmin.findings import Finding, worst_first

if TYPE_CHECKING:
    from cacheadmin.situation import Situation


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found, worst first."""

    findings: tuple[Finding, ...]


def run_audit(situation: Situation) -> Audit:
    """Check every rule on one situation; nothing is changed."""
    subject = Subject(situation)
    found: list[Finding] = []
    for rule in RULES:
        found += rule().check(subject, rule.thresholds)
    return Audit(worst_first(found))
