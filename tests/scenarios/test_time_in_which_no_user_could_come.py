"""Silence counts only while users could have come: a machine that is off has none.

An environment lies where no policy looks, and its archives are on trial. Weeks pass in
which the machine was off, asleep, or a disk or another host was away; then the nightly
prune comes first.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scenarios.test_hosts_tell_of_themselves import without_pointers
from tests.scenarios.test_nobody_seen_goes_on_trial import (
    archives_of,
    looking_elsewhere,
    moved_out_of_sight,
    prune,
    run_python,
)
from tests.soak.adversity import compiled_clock
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.hosts import Hosts
from tests.support.packages import Index
from tests.support.passing_time import let_days_pass
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

HOSTS = "hosts: {expect: [node1, node2], max_age: 1h}\n"


@pytest.fixture
def hidden(shared: SharedCache) -> Path:
    """An environment that no source knows, whose archives no pointer names."""
    return moved_out_of_sight(shared, "six==1.16.0")


def comes_back(cacheadmin: Cacheadmin, policy: Path, environment: Path) -> bool:
    """Whether the user's first program after the weeks works, and brings its archives back."""
    used = archives_of(environment)
    run_python(environment, "import six")
    back = set(prune(cacheadmin, policy)["trial"]["put_back"]) == used
    return back and dangling_links(environment) == {}


@pytest.mark.parametrize("machine", ["slept", "was off"])
def test_a_machine_that_was_away_for_weeks_ends_no_trial_when_it_is_back(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path, machine: str
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    prune(cacheadmin, policy)
    let_days_pass(shared.path, 45, machine)
    for _ in range(2):
        assert prune(cacheadmin, policy)["trial"]["ended"] == []
    assert comes_back(cacheadmin, policy, hidden)


def test_what_no_user_touched_while_the_machine_ran_is_gone(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    prune(cacheadmin, policy)
    used = archives_of(hidden)
    let_days_pass(shared.path, 20, "ran")
    assert prune(cacheadmin, policy)["trial"]["ended"] == []
    # Off for a night: a day counts, as for machines that are switched off every evening.
    let_days_pass(shared.path, 1, "was off")
    let_days_pass(shared.path, 45, "was off")
    assert prune(cacheadmin, policy)["trial"]["ended"] == []
    let_days_pass(shared.path, 9, "ran")
    assert set(prune(cacheadmin, policy)["trial"]["ended"]) == used


@pytest.mark.root
def test_a_job_in_a_container_has_another_name_each_night_and_ends_trials_all_the_same(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)

    def job(name: str) -> dict:
        command = cacheadmin.command("prune", policy, "--format", "json")
        renamed = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]
        done = subprocess.run(
            renamed, env=cacheadmin.environment(), stdout=subprocess.PIPE, check=True
        )
        return json.loads(done.stdout)["trial"]

    assert set(job("cacheadmin-1-abcde")["planted"]) == used
    let_days_pass(shared.path, 20, "ran")
    assert job("cacheadmin-2-fghij")["ended"] == []
    let_days_pass(shared.path, 20, "slept")
    assert job("cacheadmin-3-klmno")["ended"] == []
    let_days_pass(shared.path, 11, "ran")
    assert set(job("cacheadmin-4-pqrst")["ended"]) == used


def test_a_clock_that_is_wrong_ends_no_trial_whatever_is_lost(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path, tmp_path: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    prune(cacheadmin, policy)
    # The state remembered the time as well.
    shutil.rmtree(cacheadmin.folder / "state")
    years = str(12 * 365 * 86_400)
    wrong = {"LD_PRELOAD": str(compiled_clock(tmp_path)), "ANOTHER_CLOCK": years}
    done = cacheadmin("prune", policy, "--format", "json", code=0, environment=wrong).json
    assert done["trial"]["ended"] == []
    # Set right again, the trial goes on where it was.
    let_days_pass(shared.path, 31, "ran")
    assert set(prune(cacheadmin, policy)["trial"]["ended"]) == archives_of(hidden)


@dataclass
class AwayDisk:
    """A disk with an environment that the policy names, which can be away."""

    place: Path
    kept: Path

    def leaves(self) -> None:
        shutil.move(self.place / "other", self.kept)
        # A mount point is older than what was mounted there.
        os.utime(self.place, ns=(0, 0))

    def returns(self) -> None:
        shutil.move(self.kept / "other", self.place)


@pytest.fixture
def disk(shared: SharedCache, open_folder: Path) -> AwayDisk:
    """One that is there; its mount point stays where it leaves, empty."""
    found = AwayDisk(open_folder / "disk", open_folder / "disks-elsewhere")
    found.place.mkdir()
    found.kept.mkdir()
    shutil.move(shared.environment("other", NEWEST, "idna==3.7"), found.place)
    return found


def searching(cacheadmin: Cacheadmin, shared: SharedCache, disk: AwayDisk) -> Path:
    elsewhere = looking_elsewhere(shared).rstrip().removesuffix("}")
    text = f"{elsewhere}, include: [{disk.place / 'other'}]}}\n"
    return cacheadmin.policy(shared.path, text, complete=False)


def test_no_trial_ends_while_a_disk_with_environments_is_away(
    cacheadmin: Cacheadmin, shared: SharedCache, disk: AwayDisk, hidden: Path
) -> None:
    policy = searching(cacheadmin, shared, disk)
    used = archives_of(hidden)
    assert set(prune(cacheadmin, policy)["trial"]["planted"]) == used
    let_days_pass(shared.path, 15, "ran")
    disk.leaves()
    prune(cacheadmin, policy)
    let_days_pass(shared.path, 20, "ran")
    done = cacheadmin("prune", policy, code=0)
    assert "1 trial is over, but silence proves nothing" in done.stderr
    assert f"{disk.place / 'other'} is named (" in done.stderr
    assert "mount it; or, if it is gone for good" in done.stderr
    # Whoever works there can come now, for as long as was left.
    disk.returns()
    assert prune(cacheadmin, policy)["trial"]["ended"] == []
    let_days_pass(shared.path, 14, "ran")
    assert prune(cacheadmin, policy)["trial"]["ended"] == []
    let_days_pass(shared.path, 2, "ran")
    assert set(prune(cacheadmin, policy)["trial"]["ended"]) == used


def test_a_policy_that_knows_nothing_of_a_disk_ends_no_trial_while_another_waits_for_it(
    cacheadmin: Cacheadmin, shared: SharedCache, disk: AwayDisk, hidden: Path
) -> None:
    """Two hosts prune one cache, each with its own policy and state."""
    mine = searching(cacheadmin, shared, disk)
    other = cacheadmin.policy(shared.path, looking_elsewhere(shared), "other", complete=False)
    used = archives_of(hidden)
    assert set(prune(cacheadmin, mine)["trial"]["planted"]) == used
    let_days_pass(shared.path, 15, "ran")
    disk.leaves()
    prune(cacheadmin, mine)
    assert prune(cacheadmin, other)["trial"]["ended"] == []
    let_days_pass(shared.path, 20, "ran")
    done = cacheadmin("prune", other, code=0)
    assert f"{disk.place / 'other'} was away when policy test" in done.stderr
    disk.returns()
    prune(cacheadmin, mine)
    assert prune(cacheadmin, other)["trial"]["ended"] == []
    let_days_pass(shared.path, 16, "ran")
    assert set(prune(cacheadmin, other)["trial"]["ended"]) == used


def test_a_disk_that_stays_away_for_as_long_as_a_trial_holds_none_up(
    cacheadmin: Cacheadmin, shared: SharedCache, disk: AwayDisk, hidden: Path
) -> None:
    policy = searching(cacheadmin, shared, disk)
    prune(cacheadmin, policy)
    disk.leaves()
    prune(cacheadmin, policy)
    for _ in range(2):
        assert prune(cacheadmin, policy)["trial"]["ended"] == []
        let_days_pass(shared.path, 31, "ran")
    assert set(prune(cacheadmin, policy)["trial"]["ended"]) == archives_of(hidden)


@pytest.mark.skipif(os.geteuid() != 0, reason="hosts are namespaces with mounts of their own")
def test_no_trial_ends_while_a_host_that_is_expected_tells_nothing(
    open_folder: Path, index: Index
) -> None:
    site = Hosts(open_folder, index)
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", NEWEST, "six==1.16.0")
    used = without_pointers(one)
    policy = one.policy(HOSTS, complete=False)
    assert set(prune(one.cacheadmin, policy)["trial"]["planted"]) == used
    cache = site.shared / "cache"
    # It is off: it has told nothing, ever, and has no users.
    let_days_pass(cache, 31, "ran")
    done = one.cacheadmin("prune", policy, code=0)
    assert "silence proves nothing: host node2 is expected to use the cache" in done.stderr
    # It is on, and its environments are on a disk that it does not look at.
    elsewhere = f"{HOSTS}venvs: {{discover: [{{root: {two.mounted}}}]}}\n"
    told = two.runner.policy(two.cache, elsewhere, complete=False)
    two.cacheadmin("observe", told, code=0)
    assert prune(one.cacheadmin, policy)["trial"]["ended"] == []
    assert two.imports(environment, "six")
    assert set(prune(one.cacheadmin, policy)["trial"]["put_back"]) == used
    assert two.dangling(environment) == []
