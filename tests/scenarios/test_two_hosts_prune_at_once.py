"""Two hosts prune one cache at once: one works, the other leaves with 3 and names it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.scenarios.test_hosts_tell_of_themselves import EXPECT, gone, prune, without_pointers
from tests.support.hosts import Hosts
from tests.support.packages import Index
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

pytestmark = pytest.mark.root


def test_one_host_works_and_the_other_says_which(open_folder: Path, index: Index) -> None:
    site = Hosts(open_folder, index)
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", NEWEST, "six==1.16.0")
    without_pointers(one)
    for host in (one, two):
        host.cacheadmin("observe", host.policy(EXPECT), code=0)
    (site.shared / "cache/archive-v0/left").mkdir()
    # Rubbish as young as this may be what a host is at that told before.
    patient = one.policy(EXPECT + "lock: {timeout: 60s}\nprune: {builds: {after: 0s}}\n")
    with (site.shared / "cache/.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        working = one.start("prune", patient)
        quarantine = site.shared / "cache.cacheadmin/quarantine"
        until(lambda: list(quarantine.glob("2*/entries")) or working.poll() is not None)
        assert working.poll() is None
        busy = two.cacheadmin("prune", two.policy(EXPECT + "lock: {timeout: 1s}\n"), code=3)
        first = busy.stderr.splitlines()[0]
        assert "busy: another cacheadmin run works on this cache: process " in first
        assert first.endswith("on host node1")
    assert working.wait(60) == 0
    assert not (site.shared / "cache/archive-v0/left").exists()
    assert gone(prune(two, two.policy(EXPECT))) == set()
    assert two.dangling(environment) == []
    assert two.imports(environment, "six")
