"""What hosts cost: one observation, and a plan over a fleet, beside a smaller fleet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.big_cache import build_cache
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.fleets import told_by
from tests.support.postgresql import postgresql_server

FEW, MANY, ENVIRONMENTS = 50, 200, 50

SideBySide = Callable[..., tuple[float, float]]
Report = Callable[[str, float, str, float, str], None]


def telling(folder: Path, cacheadmin: Cacheadmin, side_by_side: SideBySide, report: Report) -> None:
    """Compare telling and planning with four times as many hosts."""
    folder.mkdir(exist_ok=True)
    cache = build_cache(folder, 200, 20)
    with postgresql_server(folder) as server:
        if server is None:
            print("\nhosts: needs PostgreSQL")
            return
        print(f"\n{FEW} and {MANY} hosts of {ENVIRONMENTS} environments, one PostgreSQL")
        policies = {}
        for hosts in (FEW, MANY):
            text = f"hosts: {{expect: ['node[001-{hosts:03d}]']}}\n"
            policies[hosts] = cacheadmin.policy(
                cache, f"state: {server.url}\n{text}", name=f"fleet{hosts}"
            )
        whole, alone = side_by_side(
            lambda: cacheadmin("observe", policies[FEW], code=0),
            lambda: cacheadmin("scan", policies[FEW], code=0),
            rounds=3,
        )
        report("observe", whole, "scan", alone, "at most 1.5 times")
        taken = {}
        for hosts in (FEW, MANY):
            begun = time.perf_counter()
            problems = told_by(server.url, cache, hosts, environments=ENVIRONMENTS)
            taken[hosts] = time.perf_counter() - begun
            assert not problems, problems[:3]
            plan = policies[hosts]
            best = min(_seconds(lambda plan=plan: cacheadmin("plan", plan)) for _ in range(3))
            taken[-hosts] = best
        report(f"{MANY} tell at once", taken[MANY], f"{FEW} at once", taken[FEW], "at most 4 times")
        report(f"plan, {MANY} hosts", taken[-MANY], f"{FEW} hosts", taken[-FEW], "at most 4 times")


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
