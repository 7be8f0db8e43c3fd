"""One preflight: the plan's verdict with the checks that explain it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.preflight.checks import Check, Subject, run_checks
from cacheadmin.prune.quarantine import choose_quarantine

if TYPE_CHECKING:
    from cacheadmin.planner.plan import Verdict
    from cacheadmin.situation import Situation


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer. ``removals`` counts what a prune would remove, by kind."""

    verdict: Verdict
    checks: tuple[Check, ...]
    removals: dict[str, int]
    kept: int
    summary: str


def run_preflight(situation: Situation) -> Preflight:
    """Run every check on one situation; nothing is changed and no lock taken."""
    plan = situation.plan()
    place = choose_quarantine(situation.policy, situation.cache)
    checks = run_checks(Subject(situation.case, plan, place.path, place.warning))
    removals = Counter(decision.kind.value for decision in plan.removals)
    return Preflight(
        verdict=plan.verdict,
        checks=checks,
        removals=dict(sorted(removals.items())),
        kept=len(plan.kept),
        summary=_summary(plan.verdict.value, dict(removals), len(plan.kept)),
    )


def _summary(verdict: str, removals: dict[str, int], kept: int) -> str:
    goes = ", ".join(f"{number} {kind}{'s' * (number > 1)}" for kind, number in removals.items())
    return f"{verdict}: a prune would remove {goes or 'nothing'} and keep {kept} entries"
