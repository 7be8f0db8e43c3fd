"""Plan within what the policy sets: ``prune.budget`` and ``prune.limits``.

For a budget the cache is measured once, and what to give up is chosen.
``planner.budget`` decides; here everything that may be given up is measured by
itself, with what it shares with the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryPath, lies_in
from cacheadmin.planner.budget import Coming, Room, choose, units, what_stays
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.run_limits import within
from cacheadmin.trial.folder import PLACE
from cacheadmin.uv.layout import CONTENT_KINDS, parse_bucket_name

if TYPE_CHECKING:
    from cacheadmin.planner.plan import Plan
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.snapshot.sizing import Sizing


def plan_within_limits(case: PlanInput, sizing: Sizing) -> Plan:
    """Decide what may go: the plan, by the budget and within the limits that the policy sets."""
    policy = case.policy
    plan = make_plan(policy, case.inventory, case.evidence, case.now_ns)
    if policy.prune.budget.is_set:
        plan = within_budget(case, sizing, plan)
    limits = policy.prune.limits
    if limits.entries is None and limits.bytes is None:
        return plan
    sizes = {} if limits.bytes is None else sizing.of_plan(plan, kept=False)
    return within(plan, limits, sizes, case.inventory, case.evidence)


def within_budget(case: PlanInput, sizing: Sizing, plan: Plan) -> Plan:
    """Return the plan with as much more given up as its policy's budget asks for.

    What is removed anyway, what is on trial and contents that wait for
    ``prune.builds.after`` count as free: they come without anything more.
    """
    inventory = case.inventory
    removed = [decision.path for decision in plan.removals]
    gone = frozenset(removed)
    candidates = tuple(units(case, plan.live, gone))
    waiting = [file.path for file in inventory.loose_files]
    on_trial = [PLACE] if inventory.on_trial else []
    buckets = [name for name in sizing.names() if EntryPath.of(name).kind != "archive"]
    paths = [
        *buckets,
        *(archive.path for archive in inventory.archives.values()),
        *(revision.path for revision in inventory.revisions),
        *(path for unit in candidates for path in unit.paths),
        *removed,
        *waiting,
        *on_trial,
    ]
    sizes = sizing.of_entries(paths)
    whole = sizes.together(sizes)
    filesystem = sizing.filesystem()
    room = Room(
        whole.allocated_bytes,
        whole.files,
        filesystem.f_bavail * filesystem.f_frsize,
        filesystem.f_blocks * filesystem.f_frsize,
    )
    contents = [
        name for name in buckets if (parse_bucket_name(name) or ("", 0))[0] in CONTENT_KINDS
    ]
    coming = Coming(sizes, contents)
    # A folder that goes takes with it what was measured by itself in it.
    room = coming.take((path for path in sizes if lies_in(path, gone)), room)
    room = coming.take((*waiting, *on_trial), room)
    choice = choose(case.policy.prune.budget, room, candidates, coming)
    after = make_plan(case.policy, inventory, case.evidence, case.now_ns, choice)
    if not choice.unmet:
        return after
    trial_bytes = sum(sizes[path].allocated_bytes for path in on_trial)
    stays = what_stays(after, sizes, trial_bytes)
    told = replace(choice, unmet=f"{choice.unmet}; what stays: {stays}" if stays else choice.unmet)
    return make_plan(case.policy, inventory, case.evidence, case.now_ns, told)
