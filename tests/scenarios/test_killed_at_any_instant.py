"""kill -9 at 50 random instants of a prune: nothing dangles, nothing is lost."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import names_in

KILLS = 50
LEFTOVER_ARCHIVES = 150


def add_leftovers(incident: Incident) -> None:
    """Add archives that no pointer names, as crashes leave them."""
    archives = incident.shared.path / "archive-v0"
    for number in range(LEFTOVER_ARCHIVES):
        folder = archives / f"leftover{number:013d}" / "left-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: left\nVersion: {number}\n")


def test_50_kills_lose_nothing_and_break_nobody(incident: Incident, cacheadmin: Cacheadmin) -> None:
    add_leftovers(incident)
    cache = incident.shared.path
    policy = cacheadmin.policy(cache, f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n")
    everything = names_in(cache)

    begun = time.monotonic()
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    usual_seconds = time.monotonic() - begun
    pruned = names_in(cache)
    cacheadmin("runs", "restore", policy, run, code=0)
    assert names_in(cache) == everything

    seed = random.randrange(2**32)
    print(f"seed {seed}")
    instants = random.Random(seed)
    killed_while_working = 0
    for _ in range(KILLS):
        process = cacheadmin.start("prune", policy)
        # Python's own start is of no interest: nothing was touched yet.
        time.sleep(usual_seconds * instants.uniform(0.3, 1.05))
        process.kill()
        process.wait()
        assert incident.dangling() == {}
        killed_while_working += names_in(cache) not in (everything, pruned)

        cacheadmin("prune", policy, code=0)
        assert incident.dangling() == {}
        assert names_in(cache) == pruned
        put_back_all_runs(cacheadmin, policy)
        assert names_in(cache) == everything
    print(f"{killed_while_working} of {KILLS} kills met a half-done removal")


def put_back_all_runs(cacheadmin: Cacheadmin, policy: Path) -> None:
    """Restore every run that still has something to restore, newest first."""
    runs = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    for run in reversed(runs):
        if run["state"] == "committed" and run["restorable"]:
            cacheadmin("runs", "restore", policy, run["run_id"], code=0)
