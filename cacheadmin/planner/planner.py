"""The plan as a whole: needs, marks, rules, limits, verdict.

``make_plan`` is what ``plan``, ``prune`` and ``preflight`` share, so that no
report can say one thing and a prune do another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.planner.bucket_needs import bucket_needs
from cacheadmin.planner.gaps import rests_on, unlinkable
from cacheadmin.planner.limits import limits
from cacheadmin.planner.liveness import mark
from cacheadmin.planner.plan import Plan, Verdict
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.rules import RULES

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.planner.budget import Choice
    from cacheadmin.policy.model import Policy


def make_plan(
    policy: Policy,
    inventory: Inventory,
    evidence: Evidence,
    now_ns: int,
    budget: Choice | None = None,
) -> Plan:
    """Decide about every entry of the cache.

    Pure: the same arguments give the same plan. More evidence of use never
    removes more (property test ``test_more_use_never_removes_more``). A
    refused plan still lists what would be removed, for the report; executing
    it is the transaction's business to decline.
    """
    case = PlanInput(policy, inventory, evidence, now_ns)
    if budget is not None:
        case = replace(
            case,
            over_budget=budget.archives,
            sources_over_budget=budget.sources,
            budget_unmet=budget.unmet,
        )
    live = mark(case, bucket_needs(case))
    decisions = [decision for rule in RULES for decision in rule(case, live)]
    found = tuple(limits(case, live))
    out_of_reach = unlinkable(policy, evidence)
    return Plan(
        verdict=_worst({limit.verdict for limit in found}),
        removals=tuple(
            replace(decision, rests_on=rests_on(decision, policy, case.gaps, out_of_reach))
            for decision in decisions
            if not decision.why.keeps
        ),
        kept=tuple(decision for decision in decisions if decision.why.keeps),
        limits=found,
        live=live,
        gaps=case.gaps,
    )


def unused_entries(case: PlanInput) -> frozenset[str]:
    """Return what no user uses in any way: archives by id, revisions and git sources by path.

    None where that can't be concluded.
    """
    live = mark(case, bucket_needs(case))
    return live.unused_sources.union(archive.id for archive in live.unused)


def _worst(found: set[Verdict]) -> Verdict:
    for verdict in (Verdict.REFUSED, Verdict.LIMITED):
        if verdict in found:
            return verdict
    return Verdict.SAFE
