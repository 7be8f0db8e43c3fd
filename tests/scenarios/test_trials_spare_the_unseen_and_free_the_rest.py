"""Trial costs nobody anything: whoever is there stays whole, what nobody uses is gone after it."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.test_nobody_seen_goes_on_trial import looking_elsewhere, prune
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.demo_of_trials import LEAST_SHARE, end_trials
from tests.support.packages import Index
from tests.support.shared_cache import dangling_links
from tests.support.unseen_users import IDLE, abandoned, unseen_project
from tests.support.uv_releases import NEWEST


def test_an_environment_nobody_told_of_goes_on_and_comes_back_by_itself(
    cacheadmin: Cacheadmin, open_folder: Path, index: Index
) -> None:
    site = unseen_project(open_folder / "site", index)
    used = site.archives()
    policy = cacheadmin.policy(site.shared.path, looking_elsewhere(site.shared), complete=False)
    first = prune(cacheadmin, policy)
    assert used <= set(first["trial"]["planted"])
    assert site.whole() == set()
    assert site.imports()

    second = prune(cacheadmin, policy)
    assert used <= set(second["trial"]["put_back"])
    assert site.whole() == used
    shown = cacheadmin("runs", "show", policy, first["run_id"], "--format", "json", code=0).json
    trials = {row["path"]: row["trial"] for row in shown["entries"] if "trial" in row}
    assert {trials[entry]["state"] for entry in used} == {"came_back"}

    third = prune(cacheadmin, policy)
    assert used.isdisjoint(row["path"] for row in third["removals"])
    assert dangling_links(site.environment) == {}
    assert site.imports()


def test_all_that_nobody_uses_is_gone_after_the_trial(
    cacheadmin: Cacheadmin, open_folder: Path, index: Index
) -> None:
    site = abandoned(open_folder / "site", index, "pytz==2025.2", "tzdata==2025.2", "six==1.16.0")
    text = looking_elsewhere(site.shared) + IDLE
    policy = cacheadmin.policy(site.shared.path, text, complete=False)
    run = prune(cacheadmin, policy)
    tried = [row for row in run["removals"] if row["path"] in run["trial"]["planted"]]
    removable = site.bytes_before - site.bytes_without
    assert sum(row["reclaimable_bytes"] for row in tried) > removable / 2
    assert site.freed_share() < 0.5, "what is on trial is there"
    end_trials(cacheadmin, policy)
    assert site.freed_share() >= LEAST_SHARE
    assert [dangling_links(one) for one in site.shared.environments] == [{}]
    site.shared.environment("after", NEWEST, "idna==3.7", "six==1.17.0")
