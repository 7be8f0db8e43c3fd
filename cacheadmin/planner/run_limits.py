"""How much one run may do (``prune.limits``): the rest of a plan waits for the next. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.planner import reasons
from cacheadmin.planner.consistency import leads, without_dangling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.accounting import Size
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.policy.model import Limits


def within(
    plan: Plan,
    limits: Limits,
    sizes: Mapping[str, Size],
    inventory: Inventory,
    evidence: Evidence,
) -> Plan:
    """Return the plan with as many of its removals as the limits allow.

    The oldest archives come first, with what leads to them, so that a package
    which comes back every day can't hold up the others. What is left over
    never leaves a pointer without its archive. An entry larger than ``bytes``
    goes when it is the first: otherwise it would never.
    """
    made = {archive.path: archive.mtime_ns for archive in inventory.archives.values()}
    for source, target in leads(inventory, evidence):
        if target in made:
            made[source] = min(made[target], made.get(source, made[target]))
    ordered = sorted(plan.removals, key=lambda decision: made.get(decision.path, 0))
    chosen: list[Decision] = []
    total = 0
    for decision in ordered:
        size = sizes.get(decision.path)
        total += 0 if size is None else size.reclaimable_bytes
        enough = limits.entries is not None and len(chosen) >= limits.entries
        too_large = limits.bytes is not None and total > limits.bytes and chosen
        if enough or too_large:
            break
        chosen.append(decision)
    going = {decision.path for decision in without_dangling(chosen, inventory, evidence)}
    removals = tuple(decision for decision in plan.removals if decision.path in going)
    waiting = tuple(
        replace(decision, why=reasons.LIMITS_RUN, detail="")
        for decision in plan.removals
        if decision.path not in going
    )
    return replace(plan, removals=removals, kept=(*plan.kept, *waiting))
