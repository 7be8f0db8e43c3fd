"""Killing a prune at a chosen instant, and beginning again."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.quarantine import open_quarantine
from cacheadmin.prune.run import restore_run
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.runs import list_runs
from tests.support.cacheadmin_cli import Cacheadmin

LEFTOVER_ARCHIVES = 400


def add_leftover_archives(cache: Path) -> None:
    """Add archives that no pointer names, as crashes leave them."""
    archives = cache / "archive-v0"
    for number in range(LEFTOVER_ARCHIVES):
        folder = archives / f"leftover{number:013d}" / "left-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: left\nVersion: {number}\n")


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


def put_back_all_runs(policy: Path) -> None:
    """Restore every run that still has something to restore, newest first."""
    rules = load_policy(os.fspath(policy)).policy
    with (
        open_cache(rules.cache) as cache,
        open_quarantine(rules, cache) as found,
        run_lock(rules, cache, found, 10) as quarantine,
    ):
        for run in reversed(list(list_runs(quarantine, cache.identity))):
            if run.state == "committed" and run.restorable:
                assert restore_run(rules, cache, quarantine, run.run_id).left == []
