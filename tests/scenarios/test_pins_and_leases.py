"""What somebody pinned stays: root's pins beside the cache, everybody's leases in the registry."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

PACKAGES = {"six": "six==1.16.0", "idna": "idna==3.7", "cowsay": "cowsay==6.0"}


def abandon_everything(shared: SharedCache) -> dict[str, str]:
    """Let real uv fill the cache, then lose environment and pointers; return archives by package.

    That is what a host that others can't see looks like from here: nothing in
    the cache and no environment tells that the archives are used.
    """
    environment = shared.environment("proj", NEWEST, *PACKAGES.values())
    shared.remove_environment(environment)
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    found = {}
    for metadata in shared.path.glob("archive-v0/*/*.dist-info"):
        archive = str(metadata.parent.relative_to(shared.path))
        found[metadata.name.partition("-")[0].lower()] = archive
    return {name: found[name] for name in PACKAGES}


def removals(cacheadmin: Cacheadmin, policy: Path) -> set[str]:
    rows = cacheadmin("plan", policy, "--format", "json").json["removals"]
    return {row["path"] for row in rows if row["kind"] == "archive"}


def statuses(cacheadmin: Cacheadmin, policy: Path) -> dict[str, str]:
    rows = cacheadmin("pin", "list", policy, "--format", "json", code=0).json["pins"]
    return {row["target"]: row["status"] for row in rows}


def test_a_pin_keeps_an_archive_until_it_is_taken_back(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    assert removals(cacheadmin, policy) == set(archives.values())

    archive_id = archives["six"].partition("/")[2]
    # An id may begin with a dash.
    cacheadmin("pin", "add", policy, "--reason", "the paper", "--", archive_id, code=0)
    cacheadmin("pin", "add", policy, "idna==3.7", code=0)
    assert removals(cacheadmin, policy) == {archives["cowsay"]}
    (row,) = [
        row
        for row in cacheadmin("plan", policy, "--format", "json").json["kept"]
        if row["path"] == archives["six"]
    ]
    assert row["rule"] == "archive.pinned"
    assert "the paper" in row["reason"]

    cacheadmin("prune", policy, code=0)
    left = {str(path.relative_to(shared.path)) for path in shared.path.glob("archive-v0/*")}
    assert left & set(archives.values()) == {archives["six"], archives["idna"]}

    cacheadmin("pin", "remove", policy, "--", archive_id, code=0)
    assert removals(cacheadmin, policy) == {archives["six"]}
    assert cacheadmin("pin", "remove", policy, "--", archive_id).code == 66


@pytest.mark.root
@pytest.mark.parametrize("left", ["an empty mount point", "nothing"])
def test_leases_and_registrations_keep_while_the_registrys_disk_is_not_mounted(
    shared: SharedCache, cacheadmin: Cacheadmin, three_users: list[User], left: str
) -> None:
    ana, ben, _ = three_users
    archives = abandon_everything(shared)
    environment = shared.environment("used", NEWEST, "six==1.16.0")
    registry = shared.path.with_name("registry")
    registry.mkdir()
    bucket = shared.path / "wheels-v3"
    bucket.mkdir()
    age(bucket, 60)
    policy = cacheadmin.policy(shared.path, f"venvs: {{registry: {registry}}}\n")
    mounting = ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", registry]
    if subprocess.run(mounting, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        cacheadmin("venv", "add", policy, environment, user=ben, code=0)
        cacheadmin("pin", "add", policy, "idna", user=ana, code=0)
        cacheadmin("pin", "add", policy, "wheels-v3", user=ana, code=0)
    finally:
        subprocess.run(["umount", registry], check=True)
    if left == "nothing":
        registry.rmdir()
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()

    said = cacheadmin("prune", policy, code=0).stdout
    assert f"registry {registry} could not be looked at" in said
    assert dangling_links(environment) == {}
    assert (shared.path / archives["idna"]).is_dir()
    assert bucket.is_dir()


@pytest.mark.root
def test_a_pin_keeps_whichever_mount_of_the_cache_a_policy_names(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    elsewhere = shared.path.with_name("elsewhere")
    elsewhere.mkdir()
    here = cacheadmin.policy(shared.path, name="here")
    there = cacheadmin.policy(elsewhere, name="there")
    mounting = subprocess.run(["mount", "--bind", shared.path, elsewhere], check=False)
    if mounting.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        assert not cacheadmin("pin", "add", here, "six", code=0).stderr.count("warning")
        # Beside a mount point: who has the cache elsewhere does not look there.
        said = cacheadmin("pin", "add", there, "idna", code=0).stderr
        assert f"{elsewhere}.pins lies beside it" in said
        for policy in (here, there):
            assert statuses(cacheadmin, policy) == {"six": "active", "idna": "active"}
            assert removals(cacheadmin, policy) == {archives["cowsay"]}
        cacheadmin("prune", there, code=0)
        assert (shared.path / archives["six"]).is_dir()
        assert (shared.path / archives["idna"]).is_dir()
        cacheadmin("pin", "remove", there, "six", code=0)
        assert removals(cacheadmin, here) == {archives["six"]}
    finally:
        subprocess.run(["umount", elsewhere], check=True)


@pytest.mark.root
def test_a_pin_beside_another_mount_that_comes_while_a_prune_waits_is_seen(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    elsewhere = shared.path.with_name("elsewhere")
    elsewhere.mkdir()
    here = cacheadmin.policy(shared.path, name="here")
    there = cacheadmin.policy(elsewhere, name="there")
    mounting = subprocess.run(["mount", "--bind", shared.path, elsewhere], check=False)
    if mounting.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        with open(shared.path / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            pruning = cacheadmin.start("prune", here)
            quarantine = Path(f"{shared.path}.cacheadmin/quarantine")
            # Its journal is there before it asks for the lock.
            until(lambda: list(quarantine.glob("*/journal*")) or pruning.poll() is not None)
            cacheadmin("pin", "add", there, "six", code=0)
        assert pruning.wait(timeout=60) == 0
    finally:
        subprocess.run(["umount", elsewhere], check=True)
    assert (shared.path / archives["six"]).is_dir()
    assert not (shared.path / archives["cowsay"]).exists()


@pytest.mark.parametrize("below", ["", "/six.py", None])
def test_a_pin_of_a_folder_or_a_file_brings_back_what_is_on_trial_there(
    shared: SharedCache, cacheadmin: Cacheadmin, below: str | None
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path, complete=False)
    cacheadmin("prune", policy, code=0)
    six = shared.path / archives["six"]
    assert six.is_symlink()
    cacheadmin("pin", "add", policy, "idna", code=0)
    (file,) = Path(f"{shared.path}.pins").iterdir()
    target = "archive-v0" if below is None else archives["six"] + below
    # As an administrator who writes the file by hand, or pinned before the trial began.
    file.write_text(json.dumps(json.loads(file.read_text()) | {"path": target, "package": None}))
    cacheadmin("prune", policy, code=0)
    assert not six.is_symlink()
    assert six.is_dir()


def test_what_is_on_trial_can_be_pinned_and_comes_back(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path, complete=False)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert set(archives.values()) <= set(done["trial"]["planted"])

    # An id may begin with a dash.
    said = cacheadmin("pin", "add", policy, "--", archives["six"].partition("/")[2], code=0)
    assert "1 entry of it on trial" in said.stderr
    cacheadmin("pin", "add", policy, "idna==3.7", code=0)
    back = cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["put_back"]
    assert {archives["six"], archives["idna"]} <= set(back)
    on_trial = {name for name, path in archives.items() if (shared.path / path).is_symlink()}
    assert on_trial == {"cowsay"}


@pytest.mark.root
def test_pinning_again_through_another_mount_takes_no_pin_from_who_does_not_see_that(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    through = cacheadmin.policy(elsewhere, name="through")
    cacheadmin("pin", "add", policy, "six", "--reason", "a service on node7", code=0)
    if subprocess.run(["mount", "--bind", shared.path, elsewhere], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        told = cacheadmin("pin", "add", through, "six", "--expires", "30d", code=0)
    finally:
        subprocess.run(["umount", elsewhere], check=True)
    assert f"stays, too: {shared.path}.pins/" in told.stderr
    assert archives["six"] not in removals(cacheadmin, policy)


def test_losing_the_state_loses_no_pin_and_pinning_again_replaces(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    cacheadmin("pin", "add", policy, "six", "--reason", "first", "--expires", "30d", code=0)
    cacheadmin("pin", "add", policy, "six", "--reason", "second", "--expires", "30d", code=0)
    shutil.rmtree(cacheadmin.folder / "state")
    assert archives["six"] not in removals(cacheadmin, policy)
    (row,) = cacheadmin("pin", "list", policy, "--format", "json", code=0).json["pins"]
    assert row["reason"] == "second"
    assert row["expires_at"] > row["created_at"]


def test_a_pin_ends_when_its_time_has_really_passed_and_not_when_a_clock_says_so(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    begun = time.monotonic()
    cacheadmin("pin", "add", policy, "six", "--expires", "3s", code=0)
    cacheadmin("pin", "add", policy, "idna", "--expires", "30d", code=0)
    # As if the clock had been set forward by a year: by the calendar it is long over.
    for file in Path(f"{shared.path}.pins").iterdir():
        document = json.loads(file.read_text())
        if document["package"] == "idna":
            document["created_ns"] -= 365 * 86400 * 10**9
            document["expires_ns"] -= 365 * 86400 * 10**9
            file.write_text(json.dumps(document))
    # A busy machine may need as long for that.
    assert archives["six"] not in removals(cacheadmin, policy) or time.monotonic() > begun + 3
    until(lambda: removals(cacheadmin, policy) == {archives["six"], archives["cowsay"]})
    assert time.monotonic() > begun + 3
    assert statuses(cacheadmin, policy) == {"six": "expired", "idna": "overdue"}
    text = cacheadmin("pin", "list", policy, code=0).stdout
    assert "expired, keeps nothing" in text
    # Without the state nobody knows how old it is: it keeps again.
    shutil.rmtree(cacheadmin.folder / "state")
    assert archives["six"] not in removals(cacheadmin, policy)


def test_wrong_targets_and_times_are_told_with_what_may_have_been_meant(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    unknown = cacheadmin("pin", "add", policy, "idma", code=66)
    assert "idna" in unknown.stderr
    assert "idna==3.7" in cacheadmin("pin", "add", policy, "idna==9", code=66).stderr
    cacheadmin("pin", "add", policy, "six", "--expires", "soon", code=2)
    cacheadmin("pin", "add", policy, "six", "--expires", "2020-01-01", code=2)
    cacheadmin("pin", "add", policy, "six", "--expires", "0s", code=2)
    # Written down, no run could read it: it would keep everything, and be no pin of six.
    for late in ("9999-12-31", "300000d"):
        said = cacheadmin("pin", "add", policy, "six", "--expires", late, code=2).stderr
        assert f"{late} is too far away" in said
    assert "nothing is pinned" in cacheadmin("pin", "list", policy, code=0).stdout


@pytest.fixture
def registry(open_folder: Path) -> Path:
    """A registry as the manual says: sticky, and everybody may write."""
    folder = open_folder / "registry"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def leased(
    open_folder: Path, index: Index, three_users: list[User], registry: Path, cacheadmin: Cacheadmin
) -> tuple[SharedCache, dict[str, str], Path]:
    """A shared cache whose archives nothing keeps, with a registry."""
    shared = SharedCache.create(open_folder, index, three_users)
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  registry: {registry}\n")
    return shared, archives, policy


Leased = tuple[SharedCache, dict[str, str], Path]


@pytest.mark.root
def test_users_without_rights_keep_what_they_need_and_nobody_else_takes_it_away(
    leased: Leased, cacheadmin: Cacheadmin, registry: Path
) -> None:
    shared, archives, policy = leased
    ana, ben, _ = shared.users
    cacheadmin("pin", "add", policy, "six", "--reason", "node3", user=ana, code=0)
    cacheadmin("pin", "add", policy, "idna", user=ben, code=0)
    assert {file.stat().st_uid for file in registry.iterdir()} == {ana.uid, ben.uid}
    assert removals(cacheadmin, policy) == {archives["cowsay"]}

    refused = cacheadmin("pin", "remove", policy, "six", user=ben, code=77)
    assert f"uid {ana.uid}" in refused.stderr
    for file in registry.iterdir():
        if file.stat().st_uid == ana.uid:
            stolen = subprocess.run(
                ["rm", "-f", file], check=False, capture_output=True, **ben.process_arguments()
            )
            assert stolen.returncode != 0

    # Everybody sees who keeps what; root's own pins too.
    cacheadmin("pin", "add", policy, "cowsay", code=0)
    listed = cacheadmin("pin", "list", policy, "--format", "json", user=ben, code=0).json["pins"]
    assert {row["target"]: row["uid"] for row in listed} == {
        "six": ana.uid,
        "idna": ben.uid,
        "cowsay": 0,
    }
    assert removals(cacheadmin, policy) == set()
    cacheadmin("pin", "remove", policy, "six", user=ana, code=0)
    assert removals(cacheadmin, policy) == {archives["six"]}


@pytest.mark.root
def test_a_lease_that_ends_counts_from_the_first_prune_that_saw_it(
    leased: Leased, cacheadmin: Cacheadmin
) -> None:
    shared, archives, policy = leased
    cacheadmin("pin", "add", policy, "six", "--expires", "1s", user=shared.users[0], code=0)
    # Real time, in which no prune has seen it.
    time.sleep(2.5)
    assert archives["six"] not in removals(cacheadmin, policy)
    cacheadmin("prune", policy, code=0)
    until(lambda: removals(cacheadmin, policy) == {archives["six"]})


@pytest.mark.root
def test_without_a_registry_a_user_is_told_where_a_lease_could_go(
    open_folder: Path, index: Index, three_users: list[User], cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(open_folder, index, three_users)
    abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    refused = cacheadmin("pin", "add", policy, "six", user=three_users[0], code=77)
    assert "venvs.registry" in refused.stderr


@pytest.mark.root
def test_hostile_files_in_the_registry_keep_nothing_and_stop_nobody(
    leased: Leased, cacheadmin: Cacheadmin, registry: Path
) -> None:
    shared, archives, policy = leased
    ana, _, eve = shared.users
    cacheadmin("pin", "add", policy, "six", user=ana, code=0)
    (own,) = registry.iterdir()
    document = json.loads(own.read_text())
    hostile = {
        "garbage.pin": b"\x00\xff[[[[",
        "deep.pin": b"[" * 30_000,
        "away.pin": json.dumps(document | {"path": "../../etc", "package": None}).encode(),
        "claims.pin": json.dumps(document | {"uid": 0, "package": "nothing"}).encode(),
        "half.pin": json.dumps(document | {"reason": "\ud800", "package": "nothing"}).encode(),
        "\x1b[31mred\n.pin": b"{}",
        "other-cache.pin": json.dumps(
            document | {"cache": "/srv/other", "inode": 1, "package": "idna"}
        ).encode(),
    }
    for name, content in hostile.items():
        (registry / name).write_bytes(content)
    os.mkfifo(registry / "a-fifo.pin")
    (registry / "folder.pin").mkdir()
    (registry / "shadow.pin").symlink_to("/etc/shadow")
    with (registry / "a-terabyte.pin").open("wb") as file:
        file.truncate(2**40)
    for number in range(1200):
        (registry / f"many{number:04}.pin").write_text(
            json.dumps(document | {"package": f"p{number}"})
        )
    for path in registry.iterdir():
        if path != own:
            os.lchown(path, eve.uid, eve.gid)

    begun = time.monotonic()
    plan = cacheadmin("plan", policy, "--format", "json", timeout=60)
    assert time.monotonic() - begun < 30
    gone = {row["path"] for row in plan.json["removals"] if row["kind"] == "archive"}
    # Ana's pin holds, eve's rubbish neither keeps nor removes anything.
    assert gone == {archives["idna"], archives["cowsay"]}
    limits = str(plan.json["limits"])
    for name in ("a-fifo.pin", "a-terabyte.pin", "more than 1000 pins"):
        assert name in limits
    # Not one line for each.
    assert len(plan.json["limits"]) < 20
    listed = cacheadmin("pin", "list", policy, code=0)
    assert "\x1b" not in listed.stdout + listed.stderr
    assert "claims.pin" not in listed.stdout
    rows = cacheadmin("pin", "list", policy, "--format", "json", code=0).json["pins"]
    assert {row["uid"] for row in rows if row["package"] == "nothing"} <= {eve.uid}
    cacheadmin("prune", policy, code=0)
    assert (shared.path / archives["six"]).is_dir()
    assert not (shared.path / archives["idna"]).exists()


@pytest.mark.root
def test_one_users_file_costs_no_other_user_a_pin(
    leased: Leased, cacheadmin: Cacheadmin, registry: Path
) -> None:
    shared, archives, policy = leased
    ana, _, eve = shared.users
    cacheadmin("pin", "add", policy, "six", user=ana, code=0)
    (own,) = registry.iterdir()
    half = registry / "half.pin"
    half.write_text(json.dumps(json.loads(own.read_text()) | {"reason": "\ud800"}))
    os.chown(half, eve.uid, eve.gid)
    # JSON may hold half a character, which no file and no message can. All pins of the
    # registry were lost by it, and all archives kept.
    assert removals(cacheadmin, policy) == {archives["idna"], archives["cowsay"]}
    listed = cacheadmin("pin", "list", policy, "--format", "json", code=0)
    assert [row["uid"] for row in listed.json["pins"]] == [ana.uid]
    assert str(half) in listed.stderr


@pytest.mark.root
def test_a_pin_folder_that_others_could_empty_is_not_used(
    shared: SharedCache, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    folder = Path(f"{shared.path}.pins")
    folder.mkdir()
    os.chown(folder, three_users[2].uid, three_users[2].gid)
    refused = cacheadmin("pin", "add", policy, "six", code=77)
    assert "others could take pins away" in refused.stderr
    assert list(folder.iterdir()) == []
    shutil.rmtree(folder)
    folder.symlink_to("/etc")
    cacheadmin("pin", "add", policy, "six", code=77)
    folder.unlink()


def test_an_unreadable_pin_of_an_administrator_keeps_everything(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    cacheadmin("pin", "add", policy, "six", code=0)
    (file,) = Path(f"{shared.path}.pins").iterdir()
    file.write_text("damaged by the disk")
    assert removals(cacheadmin, policy) == set()
    plan = cacheadmin("plan", policy, code=4).stdout
    assert str(file) in plan
    assert "everything is kept" in plan


def test_a_cache_that_is_reached_by_another_path_has_its_pins(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    before = cacheadmin.policy(shared.path, name="before")
    cacheadmin("pin", "add", before, "six", "--reason", "the paper", code=0)
    # Its disk is mounted elsewhere from now on.
    moved = shared.path.with_name("moved")
    shared.path.rename(moved)
    after = cacheadmin.policy(moved, f"aliases: ['{shared.path}/']\n", name="after")
    assert statuses(cacheadmin, after) == {"six": "active"}
    assert removals(cacheadmin, after) == set(archives.values()) - {archives["six"]}
    cacheadmin("pin", "remove", after, "six", code=0)
    assert removals(cacheadmin, after) == set(archives.values())
