"""Unused means that no environment uses it: pointer and archive go together, in time.

uv issue 10153: after one of two projects is deleted, people expect a prune to
free what that project alone had.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.policy.loader import load_policy
from cacheadmin.snapshot import snapshot as situation_module
from cacheadmin.snapshot.snapshot import look_with
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

UNUSED = "prune:\n  unused:\n    after: 1s\n"
# What another test's processes, and environments, may be in the midst of.
_DOUBTS = {"processes.lock_free_uv", "unseen.process", "unseen.environment"}
YEAR_NS = 365 * 86_400 * 10**9


def size_of(cache: Path) -> int:
    return sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file())


def packages_in(cache: Path) -> set[str]:
    found = cache.glob("archive-v0/*/*.dist-info")
    return {path.name.removesuffix(".dist-info") for path in found}


def built_links(cache: Path) -> list[Path]:
    return [path for path in cache.glob("sdists-v*/**/idna-3.6-*") if path.is_symlink()]


def told(cacheadmin: Cacheadmin, command: str, policy: Path) -> Any:
    """Return what a plan or prune says while it has no doubt of any process on this machine.

    Another test's may be one that is just starting, or a uv without a lock: then all that it
    could use counts as used, or stays when it comes between plan and moves. Printed is what
    stayed, for a failure.
    """
    for _ in range(10):
        said = cacheadmin(command, policy, "--format", "json").json
        limits = {limit["id"] for limit in said["limits"]}
        stayed = said.get("dropped", [])
        print(limits, [row for row in said["kept"] if row["kind"] == "archive"], stayed)
        if not stayed and not limits & _DOUBTS:
            break
        # What counted as used counts from here on anew: as long as in `observe`.
        time.sleep(2.1)
    return said


def observe(cacheadmin: Cacheadmin, policy: Path) -> None:
    """Let a run see what is used, and enough time pass."""
    told(cacheadmin, "prune", policy)
    # prune.unused.after is a second of real time, told in whole ones.
    time.sleep(2.1)


@pytest.mark.parametrize(
    "link_mode", ["symlink", "copy", pytest.param("hardlink", marks=pytest.mark.long)]
)
def test_what_only_a_deleted_project_used_goes(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, link_mode: str
) -> None:
    shared = SharedCache.create(open_folder, index)
    kept = shared.environment("kept", NEWEST, "pytz", "six==1.16.0", link_mode=link_mode)
    shared.environment("gone", NEWEST, "pytz", "idna==3.7", "cowsay", link_mode=link_mode)
    policy = cacheadmin.policy(shared.path, UNUSED)
    observe(cacheadmin, policy)
    cacheadmin("prune", policy, code=0)
    before = packages_in(shared.path)
    assert {"idna-3.7", "six-1.16.0"} < before
    shutil.rmtree(shared.home() / "gone")
    cacheadmin("prune", policy, code=0)
    assert packages_in(shared.path) == before, "never on first sight"
    # As long as above.
    time.sleep(2.1)
    answer = told(cacheadmin, "plan", policy)
    rules = {row["rule"] for row in answer["removals"]}
    assert rules == {"wheel.unused", "archive.unused"}
    told(cacheadmin, "prune", policy)
    left = packages_in(shared.path)
    assert {name.split("-")[0] for name in left} == {"pytz", "six"}
    assert dangling_links(kept) == {}

    (open_folder / "alone").mkdir()
    alone = SharedCache.create(open_folder / "alone", index)
    alone.environment("kept", NEWEST, "pytz", "six==1.16.0", link_mode=link_mode)
    assert size_of(shared.path) == pytest.approx(size_of(alone.path), rel=0.01)

    # uv finds nothing amiss: what went is fetched again, what stayed is used.
    shared.environment("again", NEWEST, "pytz", "idna==3.7", "cowsay", link_mode=link_mode)
    assert packages_in(shared.path) == before


def test_a_wheel_built_here_goes_with_what_leads_to_it_and_is_built_again(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("gone", NEWEST, "idna==3.6")
    assert built_links(shared.path)
    shutil.rmtree(shared.home() / "gone")
    policy = cacheadmin.policy(shared.path, UNUSED)
    observe(cacheadmin, policy)
    told(cacheadmin, "prune", policy)
    assert "idna-3.6" not in packages_in(shared.path)
    assert not built_links(shared.path)
    again = shared.environment("again", NEWEST, "idna==3.6")
    assert "idna-3.6" in packages_in(shared.path)
    assert dangling_links(again) == {}


@pytest.mark.parametrize("lost", ["attributes", "state", "both"])
def test_a_lost_record_keeps_more(shared: SharedCache, cacheadmin: Cacheadmin, lost: str) -> None:
    import xattr

    shared.environment("gone", NEWEST, "six==1.16.0")
    shutil.rmtree(shared.home() / "gone")
    policy = cacheadmin.policy(shared.path, UNUSED)
    observe(cacheadmin, policy)

    def unused() -> set[str]:
        plan = told(cacheadmin, "plan", policy)
        return {row["package"] for row in plan["removals"] if row["rule"] == "archive.unused"}

    assert unused() == {"six"}
    if lost in ("attributes", "both"):
        for archive in (shared.path / "archive-v0").iterdir():
            if xattr.list(archive, namespace=xattr.NS_USER):
                xattr.remove(archive, b"user.cacheadmin.use")
    if lost in ("state", "both"):
        (state,) = cacheadmin.folder.glob("state/*.sqlite")
        state.unlink()
    assert unused() == set()
    observe(cacheadmin, policy)
    assert unused() == {"six"}


def test_weeks_in_which_a_host_was_off_make_no_user_inactive(
    shared: SharedCache, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its release's buckets stay; a mount that comes up late keeps its environments' archives."""
    shared.environment("old", "0.5.10", "six==1.16.0", link_mode="copy")
    shared.environment("gone", NEWEST, "idna==3.7")
    file = cacheadmin.policy(shared.path)
    policy = load_policy(os.fspath(file))
    cacheadmin("prune", file, code=0)
    shutil.rmtree(shared.home() / "gone")

    def look() -> tuple[set[str], set[str]]:
        with look_with(policy) as snapshot:
            plan = snapshot.plan()
            return {one.path for one in plan.removals}, {one.id for one in plan.limits}

    before, limits = look()
    assert "clock.set" not in limits
    now, here = situation_module.now_ns, situation_module.host_time()
    monkeypatch.setattr(situation_module, "now_ns", lambda: now() + YEAR_NS // 9)
    booted = replace(here, boot="the next", uptime_ns=60 * 10**9)
    monkeypatch.setattr(situation_module, "host_time", lambda: booted)
    after, limits = look()
    assert after <= before
    assert "clock.set" in limits


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_is_set_removes_nothing_that_a_steady_one_would_keep(
    shared: SharedCache, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    shared.environment("old", "0.5.10", "six==1.16.0", link_mode="copy")
    shared.environment("gone", NEWEST, "idna==3.7")
    shutil.rmtree(shared.home() / "gone")
    file = cacheadmin.policy(shared.path, "prune:\n  unused:\n    after: 30d\n")
    policy = load_policy(os.fspath(file))
    real = situation_module.now_ns
    cacheadmin("prune", file, code=0)

    def planned() -> set[str]:
        with look_with(policy) as snapshot:
            return {decision.path for decision in snapshot.plan().removals}

    steady = planned()
    monkeypatch.setattr(situation_module, "now_ns", lambda: real() + years * YEAR_NS)
    assert planned() <= steady
    with look_with(policy) as snapshot:
        seen = {limit.id for limit in snapshot.plan().limits}
    assert ("clock.set" in seen) is (years > 0)
