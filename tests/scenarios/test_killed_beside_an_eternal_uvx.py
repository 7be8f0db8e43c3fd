"""kill -9 at random instants of a prune that works beside a `uvx` that never ends."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.kills import (
    add_leftover_archives,
    put_back_all_runs,
    runs_in,
    time_one,
    wait_for_the_first_move,
)
from tests.support.long_running import long_running, tool_run
from tests.support.shared_cache import SharedCache, dangling_links, names_in
from tests.support.uv_releases import NEWEST


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_kills_beside_an_eternal_uvx_leave_no_half(
    shared: SharedCache, cacheadmin: Cacheadmin, kills: int
) -> None:
    """Killed in a phase, or between them: what is findable is whole, what waits still waits."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    cache = shared.path
    make_old_bucket(cache)
    add_leftover_archives(cache)
    policy = cacheadmin.policy(cache, "lock:\n  busy: concurrent\n")
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    instants = random.Random(seed)
    with long_running(shared, NEWEST, *tool_run("cowsay", "idna==3.7")) as server:
        everything = names_in(cache)
        whole, _ = time_one(cacheadmin, policy, quarantine)
        unpublished = names_in(cache)
        assert everything - unpublished == names_below(everything, "wheels-v1")
        cacheadmin("prune", policy, code=0)
        pruned = names_in(cache)
        assert not any("leftover" in name for name in pruned)
        begin_anew(policy, quarantine)
        assert names_in(cache) == everything
        for number in range(kills):
            # Every other kill meets the second phase.
            if number % 2:
                cacheadmin("prune", policy, code=0)
                assert names_in(cache) == unpublished
            known = runs_in(quarantine)
            process = cacheadmin.start("prune", policy)
            if number % 5:
                wait_for_the_first_move(process, quarantine, known)
                # An instant of its moves.
                time.sleep(instants.choice((0.002, 0.01, 0.05)) * instants.random())
            else:
                # An instant of the whole of it.
                time.sleep(whole * instants.uniform(0.3, 1.05))
            process.kill()
            process.wait()
            assert dangling_links(environment) == {}
            for _ in range(2):
                cacheadmin("prune", policy, code=0)
                assert dangling_links(environment) == {}
            assert names_in(cache) == pruned
            begin_anew(policy, quarantine)
            assert names_in(cache) == everything
        assert server.asks("import idna.codec") == "done"


def make_old_bucket(cache: Path) -> None:
    """Add a bucket that no release in use has, with pointers nobody needs."""
    folder = cache / "wheels-v1" / "pypi" / "six"
    folder.mkdir(parents=True)
    (folder / "1.16.0-py2.py3-none-any").symlink_to("../../../archive-v0/leftover0000000000000")
    month_ago = time.time() - 40 * 86_400
    for path in [*cache.glob("wheels-v1/**"), *cache.glob("wheels-v1/**/*")]:
        os.utime(path, (month_ago, month_ago), follow_symlinks=False)


def names_below(names: Collection[str], bucket: str) -> set[str]:
    return {name for name in names if name == bucket or name.startswith(f"{bucket}/")}


def begin_anew(policy: Path, quarantine: Path) -> None:
    """Put everything back, and forget who may know what."""
    put_back_all_runs(policy)
    (quarantine / "grace.json").unlink(missing_ok=True)
