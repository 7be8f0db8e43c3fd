"""Quarantine: on the cache's filesystem, nobody else's, undo warned of where it is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.shared_cache import SharedCache, tree_snapshot
from tests.support.uv_releases import NEWEST


@pytest.fixture
def rubbish(shared: SharedCache) -> SharedCache:
    """A cache with something to remove."""
    shared.environment("proj", NEWEST, "six==1.16.0")
    (shared.path / "archive-v0" / ".tmprubbish").mkdir()
    return shared


def with_quarantine(cacheadmin, cache: Path, path: Path) -> Path:
    return cacheadmin.policy(cache, f"quarantine:\n  path: {path}\n")


def refused(cacheadmin, shared: SharedCache, policy: Path, words: str) -> None:
    before = tree_snapshot(shared.path)
    result = cacheadmin("prune", policy, code=5)
    assert words in result.stderr
    assert tree_snapshot(shared.path) == before


def test_a_link_in_its_place_is_refused(cacheadmin, rubbish: SharedCache, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    Path(f"{rubbish.path}.cacheadmin").symlink_to(tmp_path / "real")
    refused(cacheadmin, rubbish, cacheadmin.policy(rubbish.path), "is not a folder")
    assert list((tmp_path / "real").iterdir()) == []


def test_a_folder_that_others_can_write_is_refused(cacheadmin, rubbish: SharedCache) -> None:
    place = rubbish.homes / "quarantine"
    place.mkdir()
    place.chmod(0o777)
    refused(
        cacheadmin,
        rubbish,
        with_quarantine(cacheadmin, rubbish.path, place),
        "can be written by others",
    )


def test_a_parent_that_others_can_write_is_refused(cacheadmin, rubbish: SharedCache) -> None:
    parent = Path(f"{rubbish.path}.cacheadmin")
    parent.mkdir()
    parent.chmod(0o777)
    refused(cacheadmin, rubbish, cacheadmin.policy(rubbish.path), "can be written by others")
    assert list(parent.iterdir()) == []


def test_a_bucket_is_refused_by_whatever_name_it_is_reached(
    cacheadmin, rubbish: SharedCache
) -> None:
    alias = rubbish.homes / "alias"
    alias.symlink_to(rubbish.path / "archive-v0")
    for place in (alias / "inner" / "quarantine", alias / "quarantine"):
        policy = with_quarantine(cacheadmin, rubbish.path, place)
        before = tree_snapshot(rubbish.path)
        # A last part that is a link is refused as such.
        result = cacheadmin("prune", policy, code=5)
        assert "lies in the cache" in result.stderr or "is not a folder" in result.stderr
        assert tree_snapshot(rubbish.path) == before


@pytest.mark.root
def test_a_folder_of_somebody_else_is_refused(cacheadmin, rubbish, three_users) -> None:
    place = rubbish.homes / "quarantine"
    place.mkdir(mode=0o700)
    os.chown(place, three_users[0].uid, three_users[0].gid)
    refused(cacheadmin, rubbish, with_quarantine(cacheadmin, rubbish.path, place), "belongs to uid")


@pytest.mark.root
def test_another_filesystem_is_refused(cacheadmin, rubbish: SharedCache) -> None:
    place = rubbish.homes / "other"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        policy = with_quarantine(cacheadmin, rubbish.path, place / "quarantine")
        refused(cacheadmin, rubbish, policy, "is on another filesystem than the cache")
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_cache_that_is_a_mount_point_is_pruned_and_every_report_says_what_is_lost(
    cacheadmin, shared: SharedCache
) -> None:
    image = shared.homes / "image"
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, shared.path], check=False).returncode:
        pytest.skip("loop mounts are not allowed here")
    try:
        shared.path.chmod(0o2775)
        shared.environment("proj", NEWEST, "six==1.16.0")
        rubbish = shared.path / "archive-v0" / ".tmprubbish"
        rubbish.mkdir()
        policy = cacheadmin.policy(shared.path)
        warning = "so quarantine lies inside the cache"
        assert warning in cacheadmin("preflight", policy).stdout
        result = cacheadmin("prune", policy, "--format", "json", code=0)
        assert any(warning in text for text in result.json["warnings"])
        assert warning in result.stderr
        assert result.json["quarantine"] == f"{shared.path}/.cacheadmin/quarantine"
        assert not rubbish.exists()
        cacheadmin("runs", "restore", policy, result.json["run_id"], code=0)
        assert rubbish.exists()
        again = cacheadmin("prune", policy, "--format", "json", code=0)
        # Any user's prune empties it: undo is lost, nothing else.
        shared.uv(NEWEST, "cache", "prune")
        assert not (shared.path / ".cacheadmin").exists()
        cacheadmin("runs", "restore", policy, again.json["run_id"], code=66)
        cacheadmin("prune", policy, code=0)
    finally:
        subprocess.run(["umount", shared.path], check=True)


def test_backups_and_git_leave_it_out(cacheadmin, rubbish: SharedCache) -> None:
    subprocess.run(["git", "init", "-q", rubbish.path.parent], check=True)
    cacheadmin("prune", cacheadmin.policy(rubbish.path), code=0)
    place = Path(f"{rubbish.path}.cacheadmin") / "quarantine"
    assert any(place.glob("2*/**/.tmprubbish"))
    tag = (place / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    seen = subprocess.run(
        ["git", "-C", rubbish.path.parent, "status", "--porcelain", "--untracked-files=all"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert ".cacheadmin" not in seen
    archive = rubbish.path.parent / "backup.tar"
    backup = ["tar", "-cf", archive, "--exclude-caches-all", "-C", place.parent.parent, "."]
    subprocess.run(backup, check=True)
    kept = subprocess.run(["tar", "-tf", archive], check=True, capture_output=True, text=True)
    assert "quarantine/" not in kept.stdout
    # What lies there is put back as before.
    cacheadmin("runs", "restore", cacheadmin.policy(rubbish.path), code=0)


def test_a_folder_of_the_admins_is_not_marked_when_it_holds_more(
    cacheadmin, rubbish: SharedCache
) -> None:
    place = rubbish.path.parent / "backed-up"
    place.mkdir(mode=0o700)
    (place / "precious").touch()
    cacheadmin("prune", with_quarantine(cacheadmin, rubbish.path, place), code=0)
    assert not (place / "CACHEDIR.TAG").exists()
