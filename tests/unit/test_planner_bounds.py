"""Bounds and words of the planner that no other test told apart (found by `make mutation`)."""

from __future__ import annotations

import pytest

from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.planner.budget import Room, lacking
from cacheadmin.planner.case import Case
from cacheadmin.planner.plan import Verdict
from cacheadmin.planner.planning import make_plan
from cacheadmin.policy.model import Budget
from tests.support.facts import NOW, bucket, evidence, inventory, policy


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
    case = Case(policy(), inventory(), learned, NOW)
    assert case.is_known(bucket("wheels-v99"))
    assert case.is_known(bucket("wheels-v5"))
    assert not case.is_known(bucket("wheels-v98"))
    assert not Case(policy(), inventory(), evidence(), NOW).is_known(bucket("wheels-v99"))


@pytest.mark.parametrize(
    ("says", "verdict"), [("refuse", Verdict.REFUSED), ("trial", Verdict.LIMITED)]
)
def test_gaps_refuse_a_prune_where_the_policy_says_so(says: str, verdict: Verdict) -> None:
    gap = Gap("homes.unsearched", GapKind.SEARCH, "/home", "nobody searched /home", "name it")
    plan = make_plan(policy(venvs={"gaps": says}), inventory(), evidence(gaps=(gap,)), NOW)
    assert plan.verdict is verdict
    assert "homes.unsearched" in {limit.id for limit in plan.limits}
