"""Who holds what: the last user of an archive, and what would come free without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cacheadmin.evidence.facts import Environment, Process, UseOfEntry
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.planner.bucket_needs import bucket_needs
from cacheadmin.planner.holdings import Holding, holdings
from cacheadmin.planner.liveness import mark
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from tests.support.facts import (
    NOW,
    archive,
    environment,
    evidence,
    inventory,
    pointer,
    policy,
    trace,
)


def a_case(*environments: Environment, **seen: Any) -> PlanInput:
    """Archives a to e; a pointer in a bucket in use leads to ``c``."""
    facts = inventory(
        archives=[archive(name) for name in "abcde"],
        wheel_pointers=(pointer("wheels-v5", "c"),),
    )
    found = evidence(environments=environments, releases=(trace("0.8.5"),), **seen)
    return PlanInput(policy(), facts, found, NOW)


def held(case: PlanInput) -> dict[str, Holding]:
    return holdings(case, mark(case, bucket_needs(case)), lambda one: one.path)


def names(archives: frozenset[ArchiveId]) -> str:
    return "".join(sorted(archives))


def test_what_two_environments_use_is_held_alone_by_neither() -> None:
    found = held(a_case(environment("/p", "a", "b"), environment("/q", "b", "d")))
    assert [names(found["/p"].archives), names(found["/q"].archives)] == ["ab", "bd"]
    assert [names(found["/p"].alone), names(found["/q"].alone)] == ["a", "d"]
    assert [names(found["/p"].freed), names(found["/q"].freed)] == ["a", "d"]


def test_what_a_pointer_leads_to_stays_although_one_alone_uses_it() -> None:
    (found,) = held(a_case(environment("/p", "a", "c"))).values()
    assert (names(found.alone), names(found.freed)) == ("ac", "a")


def test_owners_hold_what_only_their_own_environments_use() -> None:
    case = a_case(
        environment("/p", "a", "b"),
        environment("/q", "b"),
        environment("/r", "a", uid=1001),
    )
    found = holdings(case, mark(case, bucket_needs(case)), lambda one: one.uid)
    assert names(found[1000].alone) == "b"
    assert names(found[1001].alone) == ""
    assert found[1000].environments == 2


def test_a_running_process_is_another_user() -> None:
    process = Process(7, 1000, NOW, "python", uses=(UseOfEntry("archive-v0/a", "mapped file"),))
    found = held(a_case(environment("/p", "a", "b"), processes=(process,)))
    assert names(found["/p"].alone) == "b"


def test_nothing_comes_free_where_the_plan_would_let_nothing_go() -> None:
    case = a_case(environment("/p", "a"))
    case = replace(case, policy=policy(prune={"archives": False}))
    (found,) = held(case).values()
    assert (names(found.alone), names(found.freed)) == ("a", "")


def test_what_is_said_to_come_free_is_what_a_plan_without_the_environment_removes() -> None:
    environments = (
        environment("/p", "a", "b", "c"),
        environment("/q", "b", "d"),
        environment("/r", "e"),
    )
    case = a_case(*environments)
    found = held(case)
    before = _removed(case)
    for one in environments:
        others = tuple(other for other in environments if other is not one)
        without = replace(case, evidence=replace(case.evidence, environments=others))
        assert {f"archive-v0/{name}" for name in found[one.path].freed} == _removed(
            without
        ) - before


def _removed(case: PlanInput) -> set[str]:
    plan = make_plan(case.policy, case.inventory, case.evidence, case.now_ns)
    return {decision.path for decision in plan.removals}
