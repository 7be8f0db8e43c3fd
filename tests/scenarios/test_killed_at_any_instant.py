"""kill -9 at random instants of a prune: nothing dangles, nothing is lost.

A prune moves for milliseconds only, after looking for much longer: most kills
are aimed at the time from its first move to its end, the others come at any
time.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.kills import (
    add_leftover_archives,
    put_back_all_runs,
    runs_in,
    time_one,
    wait_for_the_first_move,
)
from tests.support.shared_cache import names_in


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])
def test_kills_lose_nothing_and_break_nobody(
    incident: Incident, cacheadmin: Cacheadmin, kills: int
) -> None:
    cache = incident.shared.path
    add_leftover_archives(cache)
    policy = cacheadmin.policy(cache, f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n")
    everything = names_in(cache)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    cacheadmin("prune", policy, code=0)
    pruned = names_in(cache)
    put_back_all_runs(policy)
    assert names_in(cache) == everything
    whole, moving = time_one(cacheadmin, policy, quarantine)
    put_back_all_runs(policy)

    seed = random.randrange(2**32)
    print(f"seed {seed}")
    instants = random.Random(seed)
    half_done = 0
    for number in range(kills):
        known = runs_in(quarantine)
        process = cacheadmin.start("prune", policy)
        if number % 5:
            wait_for_the_first_move(process, quarantine, known)
            # The renames come first and take milliseconds: small waits tell most.
            time.sleep(instants.choice((0.003, 0.02, moving)) * instants.random())
        else:
            # An instant of the whole of it.
            time.sleep(whole * instants.uniform(0.3, 1.05))
        process.kill()
        process.wait()
        assert incident.dangling() == {}
        half_done += names_in(cache) not in (everything, pruned)

        cacheadmin("prune", policy, code=0)
        assert incident.dangling() == {}
        assert names_in(cache) == pruned
        put_back_all_runs(policy)
        assert names_in(cache) == everything
    print(f"{half_done} of {kills} kills left a half-done removal")
