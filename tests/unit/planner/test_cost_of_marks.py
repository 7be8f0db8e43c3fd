"""What thousands of environments share costs each of them the same, and is marked once."""

from __future__ import annotations

import pytest

from cacheadmin.planner.marks import Liveness, Use
from cacheadmin.planner.reasons import ARCHIVE_LINKED
from cacheadmin.planner.users import EnvironmentUser

SHARERS = 2_000
MOST_COMPARISONS_EACH = 20


def test_a_mark_is_not_compared_with_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    equal = Use.__eq__

    def counting(one: Use, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(one, other)

    monkeypatch.setattr(Use, "__eq__", counting)
    live = Liveness()
    for sharer in range(SHARERS):
        live.mark("archive-v0/shared", Use(ARCHIVE_LINKED, EnvironmentUser(f"/env{sharer}", "ana")))
    assert len(live.archives["shared"]) == SHARERS
    assert compared <= SHARERS * MOST_COMPARISONS_EACH


@pytest.mark.parametrize("sharers", [3, SHARERS])
def test_the_same_use_is_marked_once(sharers: int) -> None:
    live = Liveness()
    for _ in range(2):
        for sharer in range(sharers):
            for entry in ("archive-v0/shared", "environments-v2/tool"):
                live.mark(entry, Use(ARCHIVE_LINKED, EnvironmentUser(f"/env{sharer}", "ana")))
    assert len(live.of("archive-v0/shared")) == sharers
    assert len(live.of("environments-v2/tool")) == sharers
