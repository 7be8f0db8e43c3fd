"""What must hold for every cache: everything in it can be explained, and as the plan has it."""

from __future__ import annotations

from hypothesis import given

from cacheadmin.evidence.facts import Evidence
from cacheadmin.inventory.entries import Inventory
from cacheadmin.planner.explanation import explain
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.targets import all_entries
from tests.property.planner.test_pin_properties import pinned, rules
from tests.support.facts import NOW


@given(pinned(), rules)
def test_every_entry_is_explained_as_it_is_planned(drawn: tuple[Inventory, Evidence], rule) -> None:
    stored, seen = drawn
    plan = make_plan(rule, stored, seen, NOW)
    removed = {decision.path: decision for decision in plan.removals}
    for entry in all_entries(stored):
        found = explain(
            PlanInput(rule, stored, seen, NOW),
            plan,
            entry.path,
            absolute="/nowhere",
            host="host",
            replan=lambda other: make_plan(rule, stored, other, NOW),
        )
        stories = [story for story in found.entries if story.entry == entry]
        assert stories, entry
        for story in stories:
            files = [path for path in removed if path.startswith(f"{entry.path}.")]
            bucket = entry.path.partition("/")[0]
            assert story.removed is bool(files or {entry.path, bucket} & removed.keys())
            # What stays is kept by somebody, and something could change that.
            assert bool(story.chains) is not story.removed
            assert all(chain.steps[-1].kind == "entry" for chain in story.chains)


@given(pinned(), rules)
def test_what_would_come_free_is_used_by_nobody_else(
    drawn: tuple[Inventory, Evidence], rule
) -> None:
    stored, seen = drawn
    plan = make_plan(rule, stored, seen, NOW)
    case = PlanInput(rule, stored, seen, NOW)
    for environment in case.outside_environments:
        found = explain(
            case,
            plan,
            environment.path,
            absolute=environment.path,
            host="host",
            replan=lambda other: make_plan(rule, stored, other, NOW),
        )
        (story,) = (one for one in found.environments if one.environment == environment)
        others = {kept.entry.path: kept.others for kept in story.keeps}
        freed = {decision.path for decision in story.freed or ()}
        for path in freed:
            # The entry that publishes a cached environment comes free with it.
            assert set(others.get(path, ())) <= freed, path
