"""Bounds and words of the planner that no other test told apart (found by `make mutation`)."""

from __future__ import annotations

import pytest

from cacheadmin.accounting import Size
from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.planner.budget import Room, lacking
from cacheadmin.planner.plan import Verdict
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.run_limits import within
from cacheadmin.policy.model import Budget, Limits
from tests.support.facts import DAY, NOW, archive, bucket, evidence, inventory, policy


@pytest.mark.parametrize(
    ("budget", "room", "words"),
    [
        ({"max_size": "10B"}, Room(10, 0, 0, 0), []),
        ({"max_size": "10B"}, Room(13, 0, 0, 0), ["3 bytes above max_size"]),
        ({"max_files": 10}, Room(0, 10, 0, 0), []),
        ({"max_files": 10}, Room(0, 12, 0, 0), ["2 files above max_files"]),
        ({"min_free": "10B"}, Room(0, 0, 10, 0), []),
        ({"min_free": "10B"}, Room(0, 0, 4, 0), ["6 bytes short of min_free"]),
        ({"min_free": "10%"}, Room(0, 0, 4, 100), ["6 bytes short of min_free"]),
        ({"min_free": "10%"}, Room(0, 0, 10, 100), []),
    ],
)
def test_what_a_budget_lacks(budget: dict[str, object], room: Room, words: list[str]) -> None:
    assert lacking(Budget.model_validate(budget), room) == words


def test_a_bucket_is_known_by_the_table_or_by_a_release_that_was_learned() -> None:
    learned = evidence(learned={"0.99.0": frozenset({"wheels-v99"})})
    case = PlanInput(policy(), inventory(), learned, NOW)
    assert case.is_known(bucket("wheels-v99"))
    assert case.is_known(bucket("wheels-v5"))
    assert not case.is_known(bucket("wheels-v98"))
    assert not PlanInput(policy(), inventory(), evidence(), NOW).is_known(bucket("wheels-v99"))


def test_only_buckets_that_some_release_uses_are_known_by_name() -> None:
    there = inventory(buckets=["archive-v0", "wheels-v5", "wheels-v98"])
    case = PlanInput(policy(), there, evidence(), NOW)
    assert case.is_known_bucket("wheels-v5")
    assert not case.is_known_bucket("wheels-v98")


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        ({}, ["a", "b", "c"]),
        ({"entries": 1}, ["a"]),
        ({"entries": 2}, ["a", "b"]),
        ({"bytes": "20B"}, ["a", "b"]),
        # The first goes whatever its size: otherwise it never would.
        ({"bytes": "5B"}, ["a"]),
        ({"entries": 3, "bytes": "10B"}, ["a"]),
    ],
)
def test_a_run_goes_as_far_as_its_limits(limits: dict[str, object], gone: list[str]) -> None:
    archives = [archive(name, mtime_ns=NOW - (90 - at) * DAY) for at, name in enumerate("abc")]
    there = inventory(archives=archives)
    plan = make_plan(policy(hosts={"only": "this"}), there, evidence(), NOW)
    assert len(plan.removals) == 3
    sizes = {one.path: Size(10, 10, 10, 1) for one in archives}
    left = within(plan, Limits.model_validate(limits), sizes, there, evidence())
    assert [one.path.rpartition("/")[2] for one in left.removals] == gone
    waiting = {one.path for one in left.kept if one.rule == "limits.run"}
    assert waiting == {f"archive-v0/{name}" for name in "abc" if name not in gone}


@pytest.mark.parametrize(
    ("says", "verdict"), [("refuse", Verdict.REFUSED), ("trial", Verdict.LIMITED)]
)
def test_gaps_refuse_a_prune_where_the_policy_says_so(says: str, verdict: Verdict) -> None:
    gap = Gap("homes.unsearched", GapKind.SEARCH, "/home", "nobody searched /home", "name it")
    plan = make_plan(policy(venvs={"gaps": says}), inventory(), evidence(gaps=(gap,)), NOW)
    assert plan.verdict is verdict
    assert "homes.unsearched" in {limit.id for limit in plan.limits}
