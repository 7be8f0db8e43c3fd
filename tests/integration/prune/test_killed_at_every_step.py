"""kill -9 before every single change to the disk, in the prune and in the recovery after it.

The scenario kills at random instants; here each call that changes the disk is
an instant, and none is left out. A write is torn in the middle.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from cacheadmin.cli.app import run
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune import restoration
from cacheadmin.prune.run import recover_interrupted
from tests.integration.prune.test_interrupted_and_restored_runs import small_cache
from tests.support.shared_cache import tree_snapshot

CHANGES = ("mkdir", "rename", "fsync", "write", "utime", "rmdir", "unlink")
MOST_STEPS = 200


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that dies before its n-th change; whether it came so far."""
    pid = os.fork()
    if pid == 0:
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            die_at(step)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def die_at(step: int) -> None:
    left = step

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if real.__name__ == "write":
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **keywords)

        return call

    for name in CHANGES:
        setattr(os, name, deadly(getattr(os, name)))
    restoration.rename_to_free_name = deadly(restoration.rename_to_free_name)


def facts(cache: Path) -> dict[str, tuple[object, ...]]:
    """Names, types, modes, owners, inodes, sizes and targets: everything but times."""
    return {name: (*one[:5], one[6]) for name, one in tree_snapshot(cache).items()}


def test_nothing_is_lost_at_any_step_of_a_prune_or_of_its_recovery(
    cacheadmin, open_folder: Path
) -> None:
    cache = small_cache(open_folder / "cache")
    policy = os.fspath(cacheadmin.policy(cache, "quarantine:\n  keep: 1d\n"))
    quarantine = cache.with_name("cache.cacheadmin")
    kept = open_folder / "kept"
    everything = facts(cache)
    # The state is made first, so that every step that follows is the prune's own.
    assert not killed_at(MOST_STEPS * 10, lambda: run(["prune", policy]))
    pruned = facts(cache)
    assert pruned.keys() < everything.keys()
    (done,) = (quarantine / "quarantine").glob("2*")
    assert not killed_at(MOST_STEPS * 10, lambda: run(["runs", "restore", policy, done.name]))
    assert facts(cache) == everything
    shutil.rmtree(quarantine)

    halves = recoveries = 0
    for step in count(1):
        assert step < MOST_STEPS
        if not killed_at(step, lambda: run(["prune", policy])):
            break
        left = facts(cache)
        halves += left not in (everything, pruned)
        # The recovery is killed too, at another step each time, and then not.
        recoveries += killed_at(step % 9 + 1, lambda: recover(policy))
        assert left.keys() <= facts(cache).keys()
        recover(policy)
        ended = facts(cache)
        # Before `committed` is on the disk all comes back, afterwards all is gone.
        assert ended in (everything, pruned), f"killed at step {step}"
        assert ended == everything or left == pruned
        if ended == pruned:
            subprocess.run(["rm", "-rf", kept], check=True)
            (committed,) = (quarantine / "quarantine").glob("2*")
            assert run(["--quiet", "runs", "restore", policy, committed.name]) == 0
            assert facts(cache) == everything
        shutil.rmtree(quarantine, ignore_errors=True)
    assert halves >= 1
    assert recoveries >= 5
    assert facts(cache) == pruned


def recover(policy: str) -> None:
    recover_interrupted(load_policy(policy).policy)
