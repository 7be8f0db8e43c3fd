"""What a user was told to be kept before the end of a trial is kept by that very run."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, dangling_links
from tests.support.trial_sites import ENTRY, lay_out
from tests.support.waiting import until
from tests.support.wheel_archives import write_archive

# Trials are over as soon as a look has seen them silent.
SHORT = "prune: {trial: {for: 0d, at_least: 0d}}\nhosts: {only: this}\n"


@pytest.fixture
def policy(open_folder: Path, cacheadmin: Cacheadmin) -> Path:
    """A policy of a cache in which an archive is on trial, whose environment no source knows."""
    lay_out(open_folder)
    cache = open_folder / "cache"
    (open_folder / "env").rename(open_folder / "hidden")
    (open_folder / "elsewhere").mkdir()
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    age(cache, days=60)
    sources = f"registry: {open_folder}/registry, discover: [{{root: {open_folder}/elsewhere}}]"
    policy = cacheadmin.policy(cache, f"venvs: {{{sources}}}\n{SHORT}", complete=False)
    first = cacheadmin("prune", policy, "--format", "json", code=0).json
    # Its trial is over, and yet no run ends what it has begun.
    assert (first["trial"]["planted"], first["trial"]["ended"]) == ([ENTRY], [])
    return policy


@contextmanager
def while_a_prune_waits(
    cache: Path, cacheadmin: Cacheadmin, policy: Path
) -> Iterator[dict[str, Any]]:
    """Do something after a prune's look; what the prune said is in the dictionary then."""
    age(write_archive(cache, "more", {"more.py": b""}), days=60)
    runs = cache.with_name("cache.cacheadmin") / "quarantine"
    before = set(runs.iterdir())
    said: dict[str, Any] = {}
    (cache / ".lock").touch()
    with (cache / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        pruning = subprocess.Popen(
            cacheadmin.command("prune", policy, "--format", "json"),
            env=cacheadmin.environment(),
            stdout=subprocess.PIPE,
        )
        until(
            lambda: any(
                b"moving" in (run / "journal.jsonl").read_bytes()
                for run in set(runs.iterdir()) - before
                if (run / "journal.jsonl").exists()
            )
        )
        yield said
        fcntl.flock(lock, fcntl.LOCK_UN)
        output, _ = pruning.communicate()
        assert pruning.returncode == 0
        said.update(json.loads(output))


def test_a_trial_ends_where_nothing_happens(
    open_folder: Path, cacheadmin: Cacheadmin, policy: Path
) -> None:
    with while_a_prune_waits(open_folder / "cache", cacheadmin, policy) as said:
        pass
    assert said["trial"]["ended"] == [ENTRY]


def test_what_is_pinned_while_a_prune_waits_is_not_ended_by_it(
    open_folder: Path, cacheadmin: Cacheadmin, policy: Path
) -> None:
    with while_a_prune_waits(open_folder / "cache", cacheadmin, policy) as said:
        cacheadmin("pin", "add", policy, ENTRY, code=0)
    assert (said["trial"]["ended"], said["trial"]["put_back"]) == ([], [ENTRY])
    assert "trial could not be ended" not in " ".join(said["warnings"])
    assert (open_folder / "cache" / ENTRY).is_dir()
    assert not (open_folder / "cache" / ENTRY).is_symlink()


def test_what_an_environment_links_that_comes_while_a_prune_waits_is_not_ended_by_it(
    open_folder: Path, cacheadmin: Cacheadmin, policy: Path
) -> None:
    environment = open_folder / "env"
    with while_a_prune_waits(open_folder / "cache", cacheadmin, policy) as said:
        (open_folder / "hidden").rename(environment)
        (open_folder / "registry" / "mine").symlink_to(environment)
    assert said["trial"]["ended"] == []
    assert dangling_links(environment) == {}


def test_no_trial_ends_while_a_pin_can_not_be_read(
    open_folder: Path, cacheadmin: Cacheadmin, policy: Path
) -> None:
    pins = open_folder / "cache.pins"
    shutil.rmtree(pins, ignore_errors=True)
    pins.mkdir(mode=0o755)
    (pins / "mine.pin").write_text("{")
    said = cacheadmin("prune", policy, "--format", "json").json
    assert said["trial"]["ended"] == []
    assert "no trial ends: the pin" in " ".join(said["warnings"])
    assert (open_folder / "cache" / ENTRY / "pkg").is_dir()


def test_what_is_pinned_is_not_ended_by_a_purge_either(
    open_folder: Path, cacheadmin: Cacheadmin, policy: Path
) -> None:
    cacheadmin("pin", "add", policy, ENTRY, code=0)
    words = ("runs", "purge", policy, "--all", "--now")
    assert f"{ENTRY} stays on trial: " in cacheadmin(*words, code=0).stderr
    assert (open_folder / "cache" / ENTRY / "pkg").is_dir()
    cacheadmin("pin", "remove", policy, ENTRY, code=0)
    assert "1 trial ended" in cacheadmin(*words, code=0).stderr
    assert not (open_folder / "cache" / ENTRY).exists()


def test_a_purge_of_one_run_ends_no_trial_of_another(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    lay_out(open_folder)
    cache = open_folder / "cache"
    shutil.rmtree(open_folder / "env")
    policy = cacheadmin.policy(cache, "hosts: {only: this}\n", complete=False)
    age(cache, days=60)
    cacheadmin("prune", policy, code=0)
    more = write_archive(cache, "more", {"more.py": b""})
    age(more, days=60)
    second = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert second["trial"]["planted"] == [f"archive-v0/{more.name}"]
    cacheadmin("runs", "purge", policy, second["run_id"], "--now", code=0)
    assert not more.exists()
    assert (cache / ENTRY / "pkg").is_dir()
