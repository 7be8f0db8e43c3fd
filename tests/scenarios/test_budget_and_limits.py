"""A budget is met by what nobody uses, least recently used first; what is used never goes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, copy_in_place_of, dangling_links
from tests.support.uv_releases import NEWEST
from tests.support.warden import run_warden


def allocated(cache: Path) -> int:
    seen = set()
    total = 0
    for path in [cache, *cache.rglob("*")]:
        status = path.lstat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


def packages_in(cache: Path) -> set[str]:
    return {path.name.split("-")[0] for path in cache.glob("archive-v0/*/*.dist-info")}


def make_older(cache: Path, package: str, days: int) -> None:
    """Let a wheel have been fetched some days ago."""
    moment = time.time() - days * 86_400
    for info in cache.glob(f"archive-v0/*/{package}-*.dist-info"):
        os.utime(info.parent, (moment, moment))


@pytest.fixture
def cache_with_live_links(shared: SharedCache) -> SharedCache:
    """One environment in use, and wheels that nobody uses any more."""
    shared.environment("kept", NEWEST, "pytz")
    shared.environment("gone", NEWEST, "cowsay", "idna==3.7", "six==1.16.0")
    shutil.rmtree(shared.home() / "gone")
    for days, package in enumerate(("cowsay", "six", "idna"), start=1):
        make_older(shared.path, package, days)
    return shared


def test_the_least_recently_used_go_first_and_the_used_never(
    cache_with_live_links: SharedCache, cacheadmin: Cacheadmin
) -> None:
    cache = cache_with_live_links.path
    budget = allocated(cache) - 10_000
    policy = cacheadmin.policy(cache, f"prune:\n  budget:\n    max_size: {budget}B\n")
    answer = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert {row["rule"] for row in answer["removals"]} == {
        "wheel.over_budget",
        "archive.over_budget",
    }
    assert packages_in(cache) == {"pytz", "cowsay", "six"}
    assert allocated(cache) <= budget
    impossible = cacheadmin.policy(cache, "prune:\n  budget:\n    max_size: 1KiB\n", name="small")
    plan = cacheadmin("plan", impossible, "--format", "json", code=4).json
    assert {row["package"] for row in plan["removals"]} == {"cowsay", "six"}
    checks = cacheadmin("preflight", impossible, "--format", "json", code=4).json["checks"]
    (unmet,) = [check for check in checks if check["id"] == "budget.unmet"]
    assert "bytes above max_size" in unmet["detail"]
    cacheadmin("prune", impossible, code=0)
    assert packages_in(cache) == {"pytz"}
    assert dangling_links(cache_with_live_links.home() / "kept") == {}


def test_limits_leave_the_rest_to_the_next_run(
    cache_with_live_links: SharedCache, cacheadmin: Cacheadmin
) -> None:
    cache = cache_with_live_links.path
    policy = cacheadmin.policy(cache, "prune:\n  budget: {max_files: 0}\n  limits: {entries: 4}\n")
    removed = []
    for _ in range(12):
        answer = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert len(answer["removals"]) <= 4
        removed += answer["removals"]
        # uv finds what it needs at every stage.
        cache_with_live_links.uv(
            NEWEST, "pip", "install", "--target", cache.parent / "t", "six==1.16.0", "--reinstall"
        )
        shutil.rmtree(cache.parent / "t")
        for pointer in cache.glob("wheels-v*/**/*-none-any"):
            assert pointer.exists()
    assert packages_in(cache) == {"pytz", "six"}
    assert {row["package"] for row in removed} >= {"cowsay", "idna"}


def test_what_is_kept_by_name_is_not_given_up(
    cache_with_live_links: SharedCache, cacheadmin: Cacheadmin
) -> None:
    cache = cache_with_live_links.path
    text = "prune:\n  keep: ['idna', 'six==1.*']\n  budget: {max_size: 1KiB}\n"
    cacheadmin("prune", cacheadmin.policy(cache, text), code=0)
    assert packages_in(cache) == {"pytz", "idna", "six"}


def test_beside_uv_cache_warden_to_the_same_budget(
    cache_with_live_links: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared = cache_with_live_links
    kept = shared.home() / "kept"
    cacheadmin_policy = cacheadmin.policy(shared.path, "prune:\n  budget: {max_size: 1KiB}\n")
    with copy_in_place_of(shared.path):
        run_warden(shared.path, shared.home(), "1KiB")
        assert dangling_links(kept)
    assert dangling_links(kept) == {}
    cacheadmin("prune", cacheadmin_policy, code=0)
    assert dangling_links(kept) == {}
    assert packages_in(shared.path) == {"pytz"}


def test_contents_that_archives_share_count_when_the_last_of_them_is_given_up(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("gone", NEWEST)
    words = ("pip", "install", "--python", environment, "idna==3.7", "cowsay", "pytz")
    shared.uv(NEWEST, *words, extra_environment={"UV_PREVIEW": "1"})
    shutil.rmtree(environment)
    cache = shared.path
    for days, package in enumerate(("cowsay", "idna", "pytz"), start=1):
        make_older(cache, package, days)
    budget = allocated(cache) - 10_000
    policy = cacheadmin.policy(
        cache, f"quarantine: {{keep: 0s}}\nprune:\n  budget: {{max_size: {budget}B}}\n"
    )
    for _ in range(2):
        # The contents wait for prune.builds.after; nothing more is given up meanwhile.
        cacheadmin("prune", policy, code=0)
        cacheadmin("runs", "purge", policy, "--all", code=0)
        assert packages_in(cache) == {"cowsay", "idna"}
    at_once = cacheadmin.policy(
        cache,
        "quarantine: {keep: 0s}\n"
        f"prune:\n  builds: {{after: 0s}}\n  budget: {{max_size: {budget}B}}\n",
    )
    cacheadmin("prune", at_once, code=0)
    cacheadmin("runs", "purge", at_once, "--all", code=0)
    assert packages_in(cache) == {"cowsay", "idna"}
    assert allocated(cache) <= budget
