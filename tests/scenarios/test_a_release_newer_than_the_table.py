"""Tonight somebody has a uv that cacheadmin does not know: nobody breaks, little is said."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.integration.uv.test_uv_binaries_are_read_not_run import a_binary
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST, REPOSITORY, newest_bucket, uv_binary

BUCKETS = (b"archive-v0", b"sdists-v10", b"wheels-v98", b"environments-v2", b"simple-v90")


def a_newer_uv(environment: Path, *more: bytes, buckets: tuple[bytes, ...] = BUCKETS) -> Path:
    """Install a uv 0.99.0 in an environment, as pip does; return its binary."""
    binary = a_binary(environment / "bin" / "uv", b"0.99.0version_info", *buckets, *more)
    binary.chmod(0o755)
    (packages,) = environment.glob("lib/python*/site-packages")
    metadata = packages / "uv-0.99.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.3\nName: uv\nVersion: 0.99.0\n")
    return binary


@pytest.fixture
def idle_and_new(shared: SharedCache) -> tuple[SharedCache, Path]:
    """A cache that the newest release left long ago, and an environment with a newer uv."""
    shared.environment("old", NEWEST, "idna==3.7")
    (shared.path / "wheels-v98" / "pypi").mkdir(parents=True)
    age(shared.homes, days=90)
    age(shared.path, days=90)
    return shared, shared.environment("proj", "0.8.5", "six==1.16.0")


def statuses(cacheadmin: Cacheadmin, policy: Path) -> dict[str, str]:
    said = cacheadmin("schemas", policy, "--format", "json", code=0).json
    return {row["name"]: row["status"] for row in said["buckets"]}


def limits_of(cacheadmin: Cacheadmin, policy: Path) -> list[dict[str, str]]:
    said = cacheadmin("plan", policy, "--format", "json").json
    return [one for one in said["limits"] if one["id"].endswith(".unknown")]


def test_roots_own_binary_is_believed_and_nothing_is_said(
    idle_and_new: tuple[SharedCache, Path], cacheadmin: Cacheadmin
) -> None:
    shared, environment = idle_and_new
    policy = cacheadmin.policy(shared.path)
    assert statuses(cacheadmin, policy)["wheels-v98"] == "unknown"
    a_newer_uv(environment)
    found = statuses(cacheadmin, policy)
    assert (found["wheels-v98"], found[newest_bucket("wheels")]) == ("needed", "unneeded")
    assert limits_of(cacheadmin, policy) == []
    assert "0.99.0 (from its binary)" in cacheadmin("schemas", policy, code=0).stdout
    cacheadmin("prune", policy, code=0)
    assert not (shared.path / newest_bucket("wheels")).exists()
    assert (shared.path / "wheels-v98").exists()
    assert all(not dangling_links(one) for one in shared.environments)


def test_a_users_binary_only_keeps_and_one_line_says_what_to_do(
    idle_and_new: tuple[SharedCache, Path], cacheadmin: Cacheadmin
) -> None:
    shared, environment = idle_and_new
    policy = cacheadmin.policy(shared.path)
    binary = a_newer_uv(environment)
    binary.chmod(0o777)
    found = statuses(cacheadmin, policy)
    # What others could have written makes nothing of its own removable.
    assert (found["wheels-v98"], found[newest_bucket("wheels")]) == ("unknown", "unneeded")
    (limit,) = limits_of(cacheadmin, policy)
    assert limit["id"] == "releases.unknown"
    for word in ("uv 0.99.0", shared.users[0].name, str(binary), "wheels-v98"):
        assert word in limit["detail"]
    (command,) = [part for part in limit["fix"].split("`") if part.startswith("cacheadmin ")]
    assert command == f"cacheadmin uv learn {binary}"
    cacheadmin(*command.split()[1:], "--policy", policy, code=0)
    assert limits_of(cacheadmin, policy) == []
    assert statuses(cacheadmin, policy)["wheels-v98"] == "needed"
    assert "0.99.0 (from its binary)" in cacheadmin("schemas", policy, code=0).stdout


@pytest.mark.root
def test_a_lying_binary_takes_nothing_from_anybody_else(
    idle_and_new: tuple[SharedCache, Path], cacheadmin: Cacheadmin
) -> None:
    shared, environment = idle_and_new
    # Somebody else has the same release: its binary is nowhere to be found.
    other = shared.environment("other", "0.8.5")
    config = other / "pyvenv.cfg"
    config.write_text(config.read_text().replace("0.8.5", "0.99.0"))
    found = f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    policy = cacheadmin.policy(shared.path, found)
    a_newer_uv(environment).chmod(0o777)
    os.chown(other, 65533, 65533)
    os.chown(config, 65533, 65533)
    assert statuses(cacheadmin, policy)[newest_bucket("wheels")] == "needed"


def test_a_bucket_of_a_new_kind_is_found_by_its_name(
    idle_and_new: tuple[SharedCache, Path], cacheadmin: Cacheadmin
) -> None:
    shared, environment = idle_and_new
    (shared.path / "gadgets-v3").mkdir()
    policy = cacheadmin.policy(shared.path)
    binary = a_newer_uv(environment, b"x" * 7 + b"gadgets-v3and so on")
    binary.chmod(0o777)
    (limit,) = limits_of(cacheadmin, policy)
    assert "gadgets-v3, wheels-v98 could name any archive" in limit["detail"]
    learned = cacheadmin("uv", "learn", binary, "--policy", policy, "--format", "json", code=0).json
    assert "gadgets-v3" in learned["buckets"]
    assert limits_of(cacheadmin, policy) == []
    assert statuses(cacheadmin, policy)["gadgets-v3"] == "needed"


CUT = "0.13.7"


def with_a_table_cut_short(folder: Path) -> dict[str, str]:
    """Copy the program with a table that ends at 0.13.7; return what runs the copy."""
    copy = folder / "older"
    shutil.copytree(REPOSITORY / "cacheadmin", copy / "cacheadmin")
    file = copy / "cacheadmin" / "uv" / "releases.json"
    table = json.loads(file.read_text())
    table["checked_up_to"] = CUT
    end = tuple(map(int, CUT.split(".")))
    table["changes"] = [
        row for row in table["changes"] if tuple(map(int, row["since"].split("."))) <= end
    ]
    file.write_text(json.dumps(table))
    return {"PYTHONPATH": os.fspath(copy)}


@pytest.mark.parametrize("mine", [True, False], ids=["root's", "a user's"])
def test_a_real_release_that_the_table_lacks_breaks_nobody_and_idle_buckets_go(
    shared: SharedCache, cacheadmin: Cacheadmin, tmp_path: Path, mine: bool
) -> None:
    before = shared.environment("before", "0.13.6", "idna==3.7")
    age(shared.homes, days=90)
    age(shared.path, days=90)
    now = shared.environment("now", NEWEST, "six==1.16.0")
    (packages,) = now.glob("lib/python*/site-packages")
    metadata = packages / f"uv-{NEWEST}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.3\nName: uv\nVersion: {NEWEST}\n")
    shutil.copy(uv_binary(NEWEST), now / "bin" / "uv")
    (now / "bin" / "uv").chmod(0o755 if mine else 0o777)
    found = f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    policy = cacheadmin.policy(shared.path, found)
    older = with_a_table_cut_short(tmp_path)
    told = cacheadmin("prune", policy, "--format", "json", code=0, environment=older)
    buckets = {row["path"] for row in told.json["removals"] if row["kind"] == "bucket"}
    assert {"wheels-v7", "sdists-v10", "simple-v27"} <= buckets
    assert {path.name for path in shared.path.glob("wheels-v*")} == {newest_bucket("wheels")}
    assert not dangling_links(before)
    assert not dangling_links(now)
    assert len(told.stderr.splitlines()) <= 1
    limits = [one for one in told.json["limits"] if one["id"].endswith(".unknown")]
    assert len(limits) == (0 if mine else 1)
    again = cacheadmin("prune", policy, code=0, environment=older)
    assert len(again.stderr.splitlines()) <= 1
    shared.uv(NEWEST, "pip", "install", "--python", now, "idna==3.7")
    assert not dangling_links(now)


@pytest.mark.root
def test_root_is_not_told_to_learn_what_one_account_says_of_anothers_release(
    idle_and_new: tuple[SharedCache, Path], cacheadmin: Cacheadmin
) -> None:
    shared, lying = idle_and_new
    honest = shared.environment("other", "0.8.5")
    needed = newest_bucket("wheels")
    policy = cacheadmin.policy(
        shared.path, f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    )
    said = (b"archive-v0", b"sdists-v10", needed.encode(), b"simple-v90")
    for environment, uid, buckets in ((lying, 65533, BUCKETS), (honest, 65532, said)):
        a_newer_uv(environment, buckets=buckets)
        for path in (environment, *environment.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)
    (limit,) = limits_of(cacheadmin, policy)
    assert "name different buckets" in limit["detail"]
    assert limit["fix"].endswith("`cacheadmin uv learn PATH-OF-UV`")
    cacheadmin("prune", policy, code=0)
    assert (shared.path / needed).exists()
    # Who could have written it is said where it is learned all the same.
    told = cacheadmin("uv", "learn", lying / "bin" / "uv", "--policy", policy, code=0)
    assert "can be changed by uid 65533" in told.stderr
