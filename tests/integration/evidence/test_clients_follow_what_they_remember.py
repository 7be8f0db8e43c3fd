"""Clients of a network filesystem pass tripwires unseen for a while: that time proves nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cacheadmin.evidence.client_memory import client_memory_seconds, of_options
from cacheadmin.fs.server_questions import ask_server
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.trials import Rules
from tests.support.trial_sites import DAY_NS, ENTRY, RULES, trial_site

MINUTE_NS = 60 * NANOSECONDS
REMOTE = Rules(RULES.lasts_ns, unseen_ns=MINUTE_NS)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ("rw,relatime,vers=4.2", 60),
        ("rw,vers=3,acregmin=3,acregmax=3,acdirmin=3,acdirmax=3", 3),
        ("rw,acregmax=5,acdirmax=600", 600),
        ("rw,noac,acregmax=0", 0),
        ("rw,actimeo=7", 7),
    ],
)
def test_the_mount_says_how_long_a_client_remembers(options: str, seconds: float) -> None:
    assert of_options(options.split(",")) == seconds


def test_the_longest_memory_of_all_hosts_counts(tmp_path: Path) -> None:
    path = os.path.realpath(tmp_path)
    assert client_memory_seconds(path) == 0
    assert client_memory_seconds(path, others=[("acdirmax=90",), ("noac",)]) == 90
    assert client_memory_seconds(path, alone=True, others=[("acdirmax=90",)]) == 0


def test_the_time_after_setting_back_that_nobody_could_be_seen_in_is_added(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial(since_ns=time.time_ns() - DAY_NS)
        site.watch(REMOTE)
        before = site.trials.ledger.trials[ENTRY]
        for decoy in site.trials.ledger.decoys:
            os.stat(site.path / decoy)
        site.use()
        assert site.watch(REMOTE).doubtful == {ENTRY}
        after = site.trials.ledger.trials[ENTRY]
        assert after.until_ns >= before.until_ns + MINUTE_NS
        assert after.discounted_ns >= before.discounted_ns + MINUTE_NS


def test_a_trial_whose_record_was_lost_lasts_longer_there_too(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        site.trials.ledger = site.trials.ledger.without([ENTRY])
        before_ns = time.time_ns()
        site.watch(REMOTE)
        found = site.trials.ledger.trials[ENTRY]
        assert found.until_ns >= before_ns + REMOTE.lasts_ns + MINUTE_NS
        assert found.discounted_ns == MINUTE_NS


def test_asking_is_no_lookup_and_complains_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    past = 10**18
    os.utime(tmp_path / "link", ns=(past, past), follow_symlinks=False)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        ask_server("link", fd)
        ask_server("not there", fd)
    finally:
        os.close(fd)
    assert os.lstat(tmp_path / "link").st_atime_ns == past
