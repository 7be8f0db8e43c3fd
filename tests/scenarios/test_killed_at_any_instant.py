"""kill -9 at 50 random instants of a prune: nothing dangles, nothing is lost.

A prune moves for milliseconds only, after looking for much longer: most kills
are aimed at the time from its first move to its end, the others come at any
time.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import names_in

KILLS = 50
LEFTOVER_ARCHIVES = 400


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
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    cacheadmin("prune", policy, code=0)
    pruned = names_in(cache)
    put_back_all_runs(cacheadmin, policy)
    assert names_in(cache) == everything
    whole, moving = time_one(cacheadmin, policy, quarantine)
    put_back_all_runs(cacheadmin, policy)

    seed = random.randrange(2**32)
    print(f"seed {seed}")
    instants = random.Random(seed)
    half_done = 0
    for number in range(KILLS):
        known = runs_in(quarantine)
        process = cacheadmin.start("prune", policy)
        if number % 5:
            wait_for_the_first_move(process, quarantine, known)
            # The renames come first and take milliseconds: small waits tell most.
            time.sleep(instants.choice((0.003, 0.02, moving)) * instants.random())
        else:
            time.sleep(whole * instants.uniform(0.3, 1.05))
        process.kill()
        process.wait()
        assert incident.dangling() == {}
        half_done += names_in(cache) not in (everything, pruned)

        cacheadmin("prune", policy, code=0)
        assert incident.dangling() == {}
        assert names_in(cache) == pruned
        put_back_all_runs(cacheadmin, policy)
        assert names_in(cache) == everything
    print(f"{half_done} of {KILLS} kills left a half-done removal")


def runs_in(quarantine: Path) -> set[str]:
    """Return the names of the runs that have begun to move entries to quarantine."""
    names = os.listdir(quarantine) if quarantine.exists() else ()
    return {name for name in names if os.path.exists(f"{quarantine}/{name}/entries")}


def wait_for_the_first_move(
    process: subprocess.Popen[bytes], quarantine: Path, known: set[str]
) -> None:
    """Return as soon as the process moves its first entry, or is over."""
    while runs_in(quarantine) <= known and process.poll() is None:
        pass


def time_one(cacheadmin: Cacheadmin, policy: Path, quarantine: Path) -> tuple[float, float]:
    """Return the seconds of a prune, and of its part after its first move."""
    begun = time.monotonic()
    known = runs_in(quarantine)
    process = cacheadmin.start("prune", policy)
    wait_for_the_first_move(process, quarantine, known)
    moving = time.monotonic()
    assert process.wait() == 0
    ended = time.monotonic()
    return ended - begun, ended - moving


def put_back_all_runs(cacheadmin: Cacheadmin, policy: Path) -> None:
    """Restore every run that still has something to restore, newest first."""
    runs = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    for run in reversed(runs):
        if run["state"] == "committed" and run["restorable"]:
            cacheadmin("runs", "restore", policy, run["run_id"], code=0)
