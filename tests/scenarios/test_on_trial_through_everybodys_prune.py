"""What is on trial stays through users' own prunes, of every release range, with --ci and without.

Environments of three releases link to archives whose pointers are gone, and
which are on trial: nobody told the tool of these environments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.trial_roots import shield_of
from cacheadmin.trial.ledger import Trial
from cacheadmin.trial.trials import nobody_named, open_trials
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, copy_in_place_of, dangling_links, links_of
from tests.support.trial_sites import RULES
from tests.support.users import me, open_temporary_folder

USED = ("0.5.10", "0.8.5", "0.13.8")
RELEASES = (
    "0.4.30",
    "0.5.10",
    "0.6.4",
    "0.7.22",
    "0.8.5",
    "0.11.19",
    "0.12.13",
    "0.13.8",
    "0.13.9",
)


@dataclass
class OnTrialCache:
    """A cache with all its archives on trial, and environments that link to them."""

    shared: SharedCache
    policy: Path
    archives: frozenset[str]

    def dangling(self) -> int:
        return sum(len(dangling_links(path)) for path in self.shared.environments)

    def on_trial(self) -> frozenset[str]:
        with open_cache(str(self.shared.path)) as cache:
            inventory = read_inventory(cache)
        assert not inventory.archives
        assert not inventory.strays
        return frozenset(inventory.on_trial) & self.archives

    def watch(self):
        with open_cache(str(self.shared.path)) as cache, open_trials(cache) as trials:
            trials.mend()
            return trials.watch(time.time_ns, RULES, nobody_named)


@pytest.fixture(scope="module")
def built(index: Index) -> Iterator[OnTrialCache]:
    folder = open_temporary_folder("cacheadmin-on-trial-")
    shared = SharedCache.create(folder, index)
    for release in USED:
        shared.environment(f"project-{release}", release, "six==1.16.0", "cowsay==6.0")
    (folder / "cacheadmin").mkdir()
    policy = Cacheadmin(folder / "cacheadmin").policy(shared.path)
    for name in os.listdir(shared.path):
        if name.startswith(("wheels-", "sdists-")):
            shutil.rmtree(shared.path / name)
    names = sorted(os.listdir(shared.path / "archive-v0"))
    entries = [f"archive-v0/{name}" for name in names]
    now = time.time_ns()
    with open_cache(str(shared.path)) as cache, open_trials(cache) as trials:
        trials.shield = shield_of(load_policy(str(policy)).policy, cache)
        begun = [Trial(e, "run", now, now + RULES.lasts_ns) for e in entries]
        assert trials.prepare(begun, now) == {}
        for entry in entries:
            trials.plant(entry)
    yield OnTrialCache(shared, policy, frozenset(entries))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("ci", [(), ("--ci",)], ids=["plain", "ci"])
@pytest.mark.parametrize("release", RELEASES)
def test_no_prune_takes_what_is_on_trial(
    built: OnTrialCache, release: str, ci: tuple[str, ...]
) -> None:
    with copy_in_place_of(built.shared.path):
        built.watch()
        built.shared.uv(release, "cache", "prune", *ci, user=me())
        assert built.on_trial() == built.archives
        assert built.dangling() == 0


@pytest.mark.parametrize("release", RELEASES)
def test_a_prune_is_told_from_a_use(built: OnTrialCache, release: str) -> None:
    with copy_in_place_of(built.shared.path):
        built.watch()
        built.shared.uv(release, "cache", "prune", user=me())
        found = built.watch()
        assert found.springs == ()
        assert built.on_trial() == built.archives


def test_a_program_that_nobody_knows_brings_its_packages_back(built: OnTrialCache) -> None:
    with copy_in_place_of(built.shared.path):
        built.watch()
        environment = built.shared.environments[0]
        subprocess.run([environment / "bin" / "python", "-c", "import six"], check=True)
        found = built.watch()
        assert {one.why for one in found.springs} == {"sprung", "kin"}
        # The other packages of the environment came back with the one it imported.
        back = {os.path.realpath(link) for link in links_of(environment)}
        assert not any("/cacheadmin.trial/" in path for path in back)
        assert built.dangling() == 0
