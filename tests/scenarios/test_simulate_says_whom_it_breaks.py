"""`cacheadmin simulate`: whom a release's own prune would break, and nothing is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cacheadmin.uv.prune_words import EXPECTED
from tests.integration.uv.test_uv_binaries_are_read_not_run import a_binary
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import (
    SharedCache,
    copy_in_place_of,
    dangling_links,
    links_of,
    tree_snapshot,
)
from tests.support.uv_releases import NEWEST, newest_bucket, uv_binary


def access_times(cache: Path) -> dict[str, int]:
    """Return the access time of everything in a cache, links themselves included."""
    found = {}
    for folder, folders, files in os.walk(cache):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            found[path] = os.lstat(path).st_atime_ns
    return found


def test_an_older_release_on_a_newer_cache_removes_everything_and_the_lock(
    shared: SharedCache, cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    policy = cacheadmin.policy(shared.path)
    said = cacheadmin("simulate", policy, "--uv", "0.8.5", "--format", "json", code=0).json
    assert said["unlinks_lock"]
    (broken,) = [row for row in said["breaks"] if row["venv"] == str(environment)]
    assert broken["packages"] == ["idna 3.7", "six 1.16.0"]
    with copy_in_place_of(shared.path):
        shared.uv("0.8.5", "cache", "prune")
        assert broken["links"] == len(dangling_links(environment))
        assert not list((shared.path / "archive-v0").iterdir())
        assert not (shared.path / ".lock").exists()
    told = cacheadmin("simulate", policy, "--uv", "0.8.5", code=0).stdout
    assert "BREAK 1 environment of 1 user" in told
    assert "it would delete .lock" in told


def test_links_that_dangle_already_are_not_counted_again(shared: SharedCache, cacheadmin) -> None:
    hurt = shared.environment("hurt", NEWEST, "six==1.16.0", "idna==3.7")
    lost = shared.environment("lost", NEWEST, "six==1.16.0")
    (archive,) = {Path(text).parents[0] for text in links_of(lost).values() if "six.py" in text}
    for path in archive.iterdir():
        if path.is_file():
            path.unlink()
        else:
            for inner in path.iterdir():
                inner.unlink()
    policy = cacheadmin.policy(shared.path)
    said = cacheadmin("simulate", policy, "--uv", "0.8.5", "--format", "json", code=0).json
    before = len(dangling_links(hurt))
    assert before > 0
    (broken,) = [row for row in said["breaks"] if row["venv"] in map(str, (hurt, lost))]
    with copy_in_place_of(shared.path):
        shared.uv("0.8.5", "cache", "prune")
        assert broken["venv"] == str(hurt)
        assert broken["links"] == len(dangling_links(hurt)) - before


def test_cleaning_a_package_says_whose_environments_lose_it(
    shared: SharedCache, cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    policy = cacheadmin.policy(shared.path)
    words = ("simulate", policy, "--uv", NEWEST, "--clean", "Six", "docopt")
    said = cacheadmin(*words, "--format", "json", code=0).json
    assert said["clean"] == ["six", "docopt"]
    (broken,) = said["breaks"]
    assert broken["packages"] == ["six 1.16.0"]
    told = cacheadmin(*words, "--force", code=0).stdout
    assert f"uv cache clean --force six docopt of uv {NEWEST} would remove" in told
    with copy_in_place_of(shared.path):
        shared.uv(NEWEST, "cache", "clean", "six", "docopt")
        assert broken["links"] == len(dangling_links(environment))
    for wrong in (("--clean", "six/.."), ("--clean", "six", "--ci"), ("six",)):
        assert cacheadmin("simulate", policy, "--uv", NEWEST, *wrong, code=2).stderr
    old = cacheadmin("simulate", policy, "--uv", "0.8.19", "--force", code=2).stderr
    assert "--force" in old
    assert "0.8.20" in old


def test_a_binary_given_by_its_path_answers_as_its_release(shared: SharedCache, cacheadmin) -> None:
    shared.environment("proj", "0.9.0", "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    answers = [
        cacheadmin("simulate", policy, "--uv", named, "--format", "json", code=0).json["removals"]
        for named in ("0.6.4", str(uv_binary("0.6.4")))
    ]
    assert answers[0] == answers[1] != []


def test_preflight_answers_for_a_release(shared: SharedCache, cacheadmin) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    assert (
        "Environments it would break: 1"
        in cacheadmin("preflight", policy, "--for-uv", "0.5.10", code=5).stdout
    )
    assert (
        cacheadmin("preflight", policy, "--for-uv", NEWEST, "--format", "json", code=0).json[
            "verdict"
        ]
        == "safe"
    )


def test_links_out_of_the_cache_are_an_alarm_until_0_11_20(
    shared: SharedCache, cacheadmin, tmp_path: Path
) -> None:
    shared.environment("proj", "0.9.0", "six==1.16.0")
    (tmp_path / "precious").mkdir()
    (shared.path / "environments-v2").mkdir(exist_ok=True)
    (shared.path / "environments-v2" / "out").symlink_to(tmp_path / "precious")
    policy = cacheadmin.policy(shared.path)
    said = cacheadmin("simulate", policy, "--uv", "0.9.0", "--format", "json", code=0).json
    assert said["outside"] == [str(tmp_path / "precious")]
    assert "environments-v2/out" not in said["removals"]
    assert "ALARM" in cacheadmin("simulate", policy, "--uv", "0.9.0").stdout
    later = cacheadmin("simulate", policy, "--uv", "0.11.33", "--format", "json", code=0).json
    assert later["outside"] == []
    assert "environments-v2/out" in later["removals"]


@pytest.mark.parametrize("release", ["0.5.10", NEWEST])
def test_nothing_is_touched_not_even_access_times(
    shared: SharedCache, cacheadmin, release: str
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0", "docopt==0.6.2")
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    old = 1_600_000_000 * 10**9
    for folder, folders, files in os.walk(shared.path):
        for name in (*folders, *files):
            # Under relatime a time this old is moved by the next look.
            os.utime(os.path.join(folder, name), ns=(old, old), follow_symlinks=False)
    policy = cacheadmin.policy(shared.path)
    before, times = tree_snapshot(shared.path), access_times(shared.path)
    cacheadmin("simulate", policy, "--uv", release, code=0)
    after, later = tree_snapshot(shared.path), access_times(shared.path)
    assert after == before
    moved = {path for path in times if times[path] != later[path]}
    if os.geteuid() != 0:
        # Without root the access time of links can't be kept.
        moved -= set(links_of(shared.path))
    assert moved == set()


def test_no_lock_is_taken_while_uv_prunes_and_runs(shared: SharedCache, cacheadmin) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    locked = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('held', flush=True); time.sleep(60)",
            shared.path / ".lock",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert locked.stdout is not None
        locked.stdout.readline()
        # Held exclusively by somebody else: whoever wanted it would hang.
        cacheadmin("simulate", policy, "--uv", NEWEST, code=0, timeout=30)
    finally:
        locked.kill()
        locked.wait()


def test_a_release_nobody_knows_is_explained_and_can_be_learned(
    shared: SharedCache, cacheadmin, tmp_path: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    (shared.path / "wheels-v98").mkdir()
    policy = cacheadmin.policy(shared.path)
    asked = cacheadmin("simulate", policy, "--uv", "0.99.0", code=2)
    assert "newer than the release table" in asked.stderr
    assert "cacheadmin uv learn PATH" in asked.stderr
    kept = cacheadmin("plan", policy, "--format", "json").json["kept"]
    assert {"wheels-v98": "bucket.unknown"}.items() <= {r["path"]: r["rule"] for r in kept}.items()
    buckets = (b"archive-v0", b"sdists-v10", b"wheels-v98", b"environments-v2", b"simple-v90")
    binary = a_binary(tmp_path / "uv", b"0.99.0version_info", *buckets)
    learned = cacheadmin("uv", "learn", binary, "--policy", policy, "--format", "json", code=0)
    assert (learned.json["uv"], learned.json["stored"]) == ("0.99.0", True)
    said = cacheadmin("simulate", policy, "--uv", "0.99.0", "--format", "json", code=0)
    assert "wheels-v98" not in said.json["removals"]
    assert newest_bucket("wheels") in said.json["removals"]
    assert "is newer than what was compared" in said.stderr
    kept = cacheadmin("plan", policy, "--format", "json").json["kept"]
    assert {r["path"]: r["rule"] for r in kept}["wheels-v98"] == "bucket.needed"


def test_nothing_is_claimed_of_a_prune_that_says_something_new(
    shared: SharedCache, cacheadmin: Cacheadmin, tmp_path: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    buckets = (b"archive-v0", b"sdists-v10", b"wheels-v98", b"environments-v2", b"simple-v90")
    words = EXPECTED | {"Removing stale wheel"}
    binary = a_binary(tmp_path / "uv", b"0.99.0version_info", *buckets, prune=words)
    asked = cacheadmin("simulate", policy, "--uv", binary, code=5)
    assert "Removing stale wheel" in asked.stderr
    learned = cacheadmin("uv", "learn", binary, "--policy", policy, code=0)
    assert "claim nothing of it" in learned.stderr
    again = cacheadmin("simulate", policy, "--uv", "0.99.0", code=5)
    assert "can't be told" in again.stderr
    told = cacheadmin("protect", policy, code=0).stdout
    assert "protected from every known release" in told
    assert "nothing is claimed of the prune of uv 0.99.0" in told
    # Learned once more as it should be, all is claimed again.
    whole = a_binary(tmp_path / "uv2", b"0.99.0version_info", *buckets)
    cacheadmin("uv", "learn", whole, "--policy", policy, code=0)
    cacheadmin("simulate", policy, "--uv", "0.99.0", code=0)
    assert "protected from every release" in cacheadmin("protect", policy, code=0).stdout


def test_simulating_beside_a_running_tool_names_its_process(
    shared: SharedCache, cacheadmin
) -> None:
    program = "import time; print('up', flush=True); time.sleep(300)"
    tool = subprocess.Popen(
        [binary_for(NEWEST), "tool", "run", "--from", "cowsay", "python", "-c", program],
        env=uv_environment(cache=shared.path, home=shared.home(), index=shared.index),
        cwd=shared.home(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    killer = threading.Timer(60, os.killpg, [tool.pid, 9])
    killer.start()
    try:
        assert tool.stdout is not None
        assert tool.stdout.readline() == b"up\n"
        policy = cacheadmin.policy(shared.path)
        said = cacheadmin("simulate", policy, "--uv", NEWEST, "--format", "json", code=0).json
        assert said["processes"]
    finally:
        killer.cancel()
        os.killpg(tool.pid, 9)
        tool.wait()
