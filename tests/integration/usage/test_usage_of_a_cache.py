"""``cacheadmin usage``: what takes the room, for whom, and how much of it would come back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache
from tests.support.users import User
from tests.support.uv_releases import NEWEST

KEYS = ("bytes", "logical_bytes", "reclaimable_bytes", "files", "archives")


def usage_of(cacheadmin: Cacheadmin, policy: Path, by: str = "package", **named: Any) -> Any:
    return cacheadmin("usage", policy, "--by", by, "--format", "json", code=0, **named).json


def rows_of(document: Any) -> dict[tuple[str, str | None, str | None], dict[str, int]]:
    return {(row["kind"], row["name"], row["version"]): row for row in document["groups"]}


def du(path: Path, *options: str) -> int:
    command = ["du", "-s", *options, path]
    return int(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]
    )


def test_every_grouping_adds_up_to_what_du_says(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", "0.5.10", "six==1.16.0", "docopt==0.6.2")
    shared.environment("b", NEWEST, "six==1.17.0", "idna==3.7", "numpy==2.3.5")
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    (shared.path / ".tmpAbCdEf").mkdir()
    (shared.path / "notes").write_text("x")
    policy = cacheadmin.policy(shared.path)
    for by in ("bucket", "package", "version", "owner", "team"):
        document = usage_of(cacheadmin, policy, by)
        assert document["schema"] == "cacheadmin/usage/1"
        assert document["by"] == by
        total, groups = document["total"], document["groups"]
        assert {key: total[key] for key in KEYS} == {
            key: sum(row[key] for row in groups) for key in KEYS
        }
        assert total["bytes"] == du(shared.path, "--block-size=1")
        assert total["reclaimable_bytes"] == total["bytes"]
        assert total["files"] == du(shared.path, "--inodes")
        assert total["archives"] == len(list((shared.path / "archive-v0").iterdir()))
        sizes = [row["bytes"] for row in groups]
        assert sizes == sorted(sizes, reverse=True)
        assert document["unread"] == []


def test_packages_versions_and_buckets_are_told_apart(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", "0.5.10", "six==1.16.0", "docopt==0.6.2")
    shared.environment("b", NEWEST, "six==1.17.0", "six==1.17.0", "numpy==2.3.5")
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    policy = cacheadmin.policy(shared.path)
    packages = rows_of(usage_of(cacheadmin, policy))
    names = {name for kind, name, _ in packages if kind == "package"}
    assert names >= {"six", "docopt", "numpy", "cowsay"}
    assert packages["package", "six", None]["archives"] == 2
    assert packages["environment", "cowsay", None]["archives"] == 1
    assert "cowsay (cached environment)" in cacheadmin("usage", policy, "--by", "package").stdout
    (numpy,) = [path.parent for path in shared.path.glob("archive-v0/*/numpy")]
    assert packages["package", "numpy", None]["bytes"] >= du(numpy, "--block-size=1")
    versions = rows_of(usage_of(cacheadmin, policy, "version"))
    assert versions["package", "six", "1.16.0"]["archives"] == 1
    assert versions["package", "six", "1.17.0"]["archives"] == 1
    # The source distribution, its metadata and what was unpacked are docopt's as well.
    (revision,) = [path.parent for path in shared.path.glob("sdists-v*/**/docopt*.whl")]
    (archive,) = [path.parent for path in shared.path.glob("archive-v0/*/docopt.py")]
    sources = du(revision, "--block-size=1") + du(archive, "--block-size=1")
    assert versions["package", "docopt", "0.6.2"]["bytes"] >= sources
    buckets = rows_of(usage_of(cacheadmin, policy, "bucket"))
    for bucket in shared.path.glob("*-v*"):
        row = buckets["bucket", bucket.name, None]
        assert row["bytes"] == du(bucket, "--block-size=1")
        assert row["files"] == du(bucket, "--inodes")


def test_planted_roots_are_ours_and_no_package(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    shared.environment("a", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    before = {by: rows_of(usage_of(cacheadmin, policy, by)) for by in ("package", "owner")}
    cacheadmin("protect", policy, code=0)
    ours = set(shared.path.glob("*-v*/cacheadmin"))
    assert len(ours) > 2
    alone = [path.parent for path in ours if len(list(path.parent.iterdir())) == 1]
    inodes = sum(du(path, "--inodes") for path in ours) + len(alone)
    for by, rows in before.items():
        after = rows_of(usage_of(cacheadmin, policy, by))
        assert after.pop(("protection", None, None))["files"] == inodes
        assert {key: row["files"] for key, row in after.items()} == {
            key: row["files"] for key, row in rows.items()
        }


def test_an_archive_is_measured_once_until_something_shares_it(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", NEWEST, "six==1.16.0", "idna==3.7")
    policy = cacheadmin.policy(shared.path)
    first = usage_of(cacheadmin, policy)
    assert first["archives_from_state"] == 0
    second = usage_of(cacheadmin, policy)
    assert second["archives_from_state"] == 2
    assert (second["groups"], second["total"]) == (first["groups"], first["total"])

    linked = shared.environment("linked", NEWEST, "six==1.16.0", link_mode="hardlink")
    third = usage_of(cacheadmin, policy)
    assert third["archives_from_state"] == 1
    before, after = (rows_of(one)["package", "six", None] for one in (first, third))
    assert after["reclaimable_bytes"] < before["reclaimable_bytes"] - 20_000
    assert (after["bytes"], after["files"]) == (before["bytes"], before["files"])

    shared.remove_environment(linked)
    usage_of(cacheadmin, policy)
    fourth = usage_of(cacheadmin, policy)
    assert fourth["archives_from_state"] == 2
    assert rows_of(fourth)["package", "six", None] == before

    (idna,) = [path.parent for path in shared.path.glob("archive-v0/*/idna")]
    (idna / "added").write_bytes(b"x" * 100_000)
    fifth = usage_of(cacheadmin, policy)
    assert fifth["archives_from_state"] == 1
    assert fifth["total"]["bytes"] == du(shared.path, "--block-size=1")


def test_without_a_state_the_numbers_are_the_same(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    usage_of(cacheadmin, policy)
    remembered = usage_of(cacheadmin, policy)
    (cacheadmin.folder / "state" / "test.sqlite").unlink()
    anew = usage_of(cacheadmin, policy)
    assert (anew["groups"], anew["total"]) == (remembered["groups"], remembered["total"])
    assert anew["archives_from_state"] == 0


def test_what_two_archives_share_counts_once_and_comes_back_with_both(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello", link_mode="hardlink")
    policy = cacheadmin.policy(shared.path)
    document = usage_of(cacheadmin, policy)
    rows, total = rows_of(document), document["total"]
    assert total["bytes"] == total["reclaimable_bytes"] == du(shared.path, "--block-size=1")
    assert sum(row["bytes"] for row in rows.values()) > total["bytes"]
    wheel = rows["package", "cowsay", None]
    assert wheel["reclaimable_bytes"] < wheel["bytes"] - 20_000


@pytest.mark.root
def test_clones_are_not_exclusive_however_often_they_were_measured(
    xfs: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(xfs, index)
    # Not by copying: on XFS that clones as well (copy_file_range).
    shared.environment("a", NEWEST, "numpy==2.3.5", link_mode="symlink")
    policy = cacheadmin.policy(shared.path)
    usage_of(cacheadmin, policy)
    alone = usage_of(cacheadmin, policy)
    assert alone["archives_from_state"] == 1
    numpy = rows_of(alone)["package", "numpy", None]
    assert numpy["reclaimable_bytes"] == numpy["bytes"]
    shared.environment("b", NEWEST, "numpy==2.3.5", link_mode="clone")
    cloned = rows_of(usage_of(cacheadmin, policy))["package", "numpy", None]
    assert cloned["bytes"] == numpy["bytes"]
    assert cloned["reclaimable_bytes"] < numpy["bytes"] * 0.1


@pytest.mark.root
def test_owners_and_teams(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, ben, eve = three_users
    shared = SharedCache.create(open_folder, index, [ana, ben, eve])
    shared.environment("a", NEWEST, "six==1.16.0", user=ana)
    shared.environment("b", NEWEST, "idna==3.7", "pytz==2024.1", user=ben)
    shared.environment("c", NEWEST, "cowsay==6.0", user=eve)
    policy = cacheadmin.policy(
        shared.path,
        f"teams:\n  everybody:\n    paths: ['{shared.path}']\n",
    )
    owners = rows_of(usage_of(cacheadmin, policy, "owner"))
    counts = {name: row["archives"] for (_, name, _), row in owners.items()}
    assert counts[f"uid {ana.uid}"] == 1
    assert counts[f"uid {ben.uid}"] == 2
    assert counts[f"uid {eve.uid}"] == 1
    teams = rows_of(usage_of(cacheadmin, policy, "team"))
    assert teams["team", "everybody", None]["archives"] == 4


@pytest.mark.root
def test_a_plain_user_gets_numbers_and_hears_what_is_missing(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, ben, _ = three_users
    shared = SharedCache.create(open_folder, index, [ana, ben])
    shared.environment("a", NEWEST, "six==1.16.0", "idna==3.7", user=ana)
    (closed,) = [path.parent for path in shared.path.glob("archive-v0/*/idna")]
    (closed / "idna").chmod(0o700)
    policy = cacheadmin.policy(shared.path, f"state: sqlite:///{open_folder}/none/state.db\n")
    result = cacheadmin("usage", policy, "--by", "package", "--format", "json", user=ben, code=0)
    (problem,) = result.json["unread"]
    assert problem["path"] == f"archive-v0/{closed.name}/idna"
    assert "Permission denied" in problem["reason"]
    assert f"{closed.name}/idna: Permission denied" in result.stderr
    assert "state" in result.stderr
    assert ("package", "six", None) in rows_of(result.json)


def test_the_table_names_the_largest_first_and_escapes(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", NEWEST, "six==1.16.0", "numpy==2.3.5")
    (shared.path / "archive-v0" / "odd" / "e\x1b[31mvil-1.0.dist-info").mkdir(parents=True)
    policy = cacheadmin.policy(shared.path)
    text = cacheadmin("usage", policy, "--by", "version", code=0).stdout
    lines = text.splitlines()
    assert lines[0].split() == ["version", "archives", "files", "logical", "allocated", "exclusive"]
    assert lines[2].startswith("numpy 2.3.5 ")
    assert lines[-1].startswith("total ")
    assert "\x1b" not in text
    assert "(metadata)" in text
    assert cacheadmin("usage", policy, "--by", "colour").code == 2


def test_links_in_the_cache_are_not_followed(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    shared.environment("a", NEWEST, "six==1.16.0")
    outside = shared.homes / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(os.urandom(1 << 20))
    (six,) = [path.parent for path in shared.path.glob("archive-v0/*/six.py")]
    policy = cacheadmin.policy(shared.path)
    usage_of(cacheadmin, policy)
    status = six.stat()
    (info,) = six.glob("*.dist-info")
    shutil.copytree(info, outside / "info")
    shutil.rmtree(info)
    info.symlink_to(outside / "info")
    (six / "more").symlink_to(outside)
    os.utime(six, ns=(status.st_atime_ns, status.st_mtime_ns))
    for bucket in ("simple-v9", "sdists-v99"):
        (shared.path / bucket).symlink_to(outside)
    document = usage_of(cacheadmin, policy)
    assert document["archives_from_state"] == 0
    assert document["total"]["bytes"] == du(shared.path, "--block-size=1")
