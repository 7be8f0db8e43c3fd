"""A name proves nothing: what somebody else has under a name of ours is theirs, and stays so."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.registry import entry_name, old_entry_name
from cacheadmin.fs.new_folders import make_folder
from cacheadmin.fs.rights import Rights
from cacheadmin.prune.open_folders import Parents
from tests.support.auditing import link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, tree_snapshot
from tests.support.users import SHARED_GROUP, User, other_users

pytestmark = pytest.mark.root


@pytest.fixture
def users() -> tuple[User, User]:
    ana, eve = other_users(2)
    return ana, eve


@pytest.fixture
def cache(open_folder: Path) -> Path:
    cache = open_folder / "cache"
    make_cache(cache)
    for folder in (cache, cache / "archive-v0"):
        os.chown(folder, 0, SHARED_GROUP)
        folder.chmod(0o2775)
    (cache / "sdists-v9").mkdir()
    os.chown(cache / "sdists-v9", 0, SHARED_GROUP)
    (cache / "sdists-v9").chmod(0o2775)
    return cache


def private_folder(path: Path, user: User) -> Path:
    """Make a folder that only its owner can enter, with files that are open to all."""
    path.mkdir(parents=True)
    (path / "secret").write_text("secret")
    (path / "secret").chmod(0o644)
    own(path, user)
    path.chmod(0o700)
    return path


def as_user(user: User, *command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=False, capture_output=True, **user.process_arguments())


# Folders of ours in buckets


def test_a_private_folder_that_was_renamed_to_ours_is_not_given_away_and_is_a_finding(
    cacheadmin: Cacheadmin, cache: Path, users: tuple[User, User], open_folder: Path
) -> None:
    ana, eve = users
    link_environment(open_folder / "proj", cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc")
    policy = cacheadmin.policy(cache, f"venvs:\n  include: [{open_folder}/proj]\n")
    private = private_folder(cache / "sdists-v9" / "private", ana)
    taken = cache / "sdists-v9" / "cacheadmin"
    assert as_user(eve, "mv", private, taken).returncode == 0
    before = tree_snapshot(taken)
    said = cacheadmin("protect", policy, code=7)
    assert "sdists-v9" in said.stdout
    assert f"folder of uid {ana.uid}" in said.stdout
    assert tree_snapshot(taken) == before
    assert as_user(eve, "cat", taken / "secret").returncode != 0
    (found,) = cacheadmin(
        "audit", policy, "--rule", "name-taken", "--fail-on", "error", "--format", "json", code=8
    ).json["findings"]
    assert (found["subject"], found["owner"]) == (str(taken), f"uid {ana.uid}")
    # That release's prune is not held off: both say so.
    unprotected = cacheadmin("audit", policy, "--rule", "protection-missing", "--format", "json")
    assert str(cache / "sdists-v9") in {one["subject"] for one in unprotected.json["findings"]}
    checks = cacheadmin("preflight", policy, "--format", "json").json["checks"]
    assert any("sdists-v9" in check["detail"] for check in checks if check["status"] != "pass")
    taken.rename(private)
    cacheadmin("protect", policy, code=0)
    cacheadmin("audit", policy, "--rule", "name-taken", "--fail-on", "error", code=0)


@contextmanager
def exchanging(user: User, one: Path, other: Path) -> Iterator[None]:
    """Let a member swap two names as fast as they can, until the end."""
    pid = os.fork()
    if pid == 0:
        os.setgroups(list(user.groups))
        os.setgid(user.gid)
        os.setuid(user.uid)
        swap = ctypes.CDLL(None).renameat2
        names = os.fsencode(one), os.fsencode(other)
        while True:
            swap(-100, ctypes.c_char_p(names[0]), -100, ctypes.c_char_p(names[1]), 2)
    try:
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("maker", ["folder", "parent"])
def test_a_folder_swapped_while_one_is_made_keeps_owner_and_mode(
    cache: Path, users: tuple[User, User], maker: str
) -> None:
    _, eve = users
    # Root's own private folder: no owner tells it from one that was just made.
    private, made = cache / "private", cache / "wheels-v7"
    private.mkdir(mode=0o700)
    (private / "secret").touch()
    watched = os.open(private, os.O_RDONLY)
    before = os.fstat(watched)
    cache_fd = os.open(cache, os.O_RDONLY)
    rights = Rights(0, SHARED_GROUP, 0o2775)
    rounds = 0
    end = time.monotonic() + 3
    with exchanging(eve, private, made):
        while time.monotonic() < end:
            rounds += 1
            try:
                if maker == "folder":
                    os.close(make_folder(cache_fd, made.name, rights))
                else:
                    with Parents(cache_fd, make_missing=True) as parents:
                        parents.of(f"{made.name}/x")
            except OSError:
                pass
            now = os.fstat(watched)
            assert (now.st_mode, now.st_uid, now.st_gid) == (
                before.st_mode,
                before.st_uid,
                before.st_gid,
            )
            for name in (private, made):
                try:
                    os.rmdir(name)
                except OSError:
                    pass
    assert rounds > 100
    assert sorted(os.listdir(watched)) == ["secret"]
    os.close(watched)
    os.close(cache_fd)


# Restoring


def test_an_archive_is_not_restored_into_a_folder_that_somebody_made_in_its_place(
    cacheadmin: Cacheadmin, cache: Path, users: tuple[User, User]
) -> None:
    ana, eve = users
    archive = private_folder(cache / "archive-v0" / "VVVVVVVVVVVVVVVV", ana)
    age(archive, 60)
    policy = cacheadmin.policy(cache)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert f"archive-v0/{archive.name}" in {row["path"] for row in run["removals"]}
    archive.mkdir()
    os.chown(archive, eve.uid, eve.gid)
    archive.chmod(0o777)
    said = cacheadmin("runs", "restore", policy, run["run_id"], code=7)
    assert f"archive-v0/{archive.name} stays in quarantine" in said.stderr
    assert f"a folder of uid {eve.uid} has its name now" in said.stderr
    assert list(archive.iterdir()) == []
    archive.rmdir()
    cacheadmin("runs", "restore", policy, run["run_id"], code=0)
    assert (archive / "secret").read_text() == "secret"
    assert archive.stat().st_mode & 0o777 == 0o700
    assert archive.stat().st_uid == ana.uid


@pytest.mark.parametrize(
    ("mode", "owner", "comes_back"),
    [(0o755, "eve", False), (0o755, "ana", True), (0o2775, "eve", True), (0o700, "root", False)],
)
def test_pointers_come_back_into_a_folder_made_again_only_where_it_has_the_same_users(
    cacheadmin: Cacheadmin,
    cache: Path,
    users: tuple[User, User],
    mode: int,
    owner: str,
    comes_back: bool,
) -> None:
    ana, eve = users
    bucket = cache / "wheels-v3"
    (bucket / "pypi").mkdir(parents=True)
    (bucket / "pypi" / "old").write_text("old")
    own(bucket, ana)
    bucket.chmod(mode)
    age(bucket, 60)
    policy = cacheadmin.policy(cache)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert "wheels-v3" in {row["path"] for row in run["removals"]}
    (bucket / "pypi").mkdir(parents=True)
    uid = {"ana": ana.uid, "eve": eve.uid, "root": 0}[owner]
    for folder in (bucket, bucket / "pypi"):
        os.chown(folder, uid, ana.gid)
    # What was private is not even merged into a folder of root that others can read.
    bucket.chmod(mode if owner != "root" else 0o755)
    (bucket / "pypi").chmod(0o755)
    said = cacheadmin("runs", "restore", policy, run["run_id"])
    if comes_back and owner == "ana":
        assert said.code == 0
        assert (bucket / "pypi" / "old").read_text() == "old"
    else:
        # A group's bucket may be merged; ana's own folder in it may not.
        assert said.code == 7
        assert "made another folder wheels-v3" in said.stderr
        assert not (bucket / "pypi" / "old").exists()


# The registry


@pytest.fixture
def registry(open_folder: Path) -> Path:
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    return registry


@pytest.fixture
def environment(open_folder: Path, cache: Path, users: tuple[User, User]) -> Path:
    home = open_folder / "home"
    home.mkdir()
    archive = cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc"
    return link_environment(home / "proj", archive, user=users[0])


def test_a_registry_name_that_somebody_took_is_an_error_with_their_name_and_a_finding(
    cacheadmin: Cacheadmin,
    cache: Path,
    registry: Path,
    environment: Path,
    users: tuple[User, User],
) -> None:
    ana, eve = users
    policy = cacheadmin.policy(cache, f"venvs:\n  registry: {registry}\n  from_cache: false\n")
    taken = registry / entry_name(ana.uid, str(environment))
    old = registry / old_entry_name(str(environment))
    for name in (taken, old):
        assert as_user(eve, "ln", "-s", "/nonexistent", name).returncode == 0
    insecure = "--insecure-policy"
    said = cacheadmin("venv", "add", policy, environment, insecure, user=ana, code=77)
    assert f"belongs to uid {eve.uid} and leads to /nonexistent" in said.stderr
    # Known by another way, the name of the old form tells too.
    where = cacheadmin.policy(
        cache, f"venvs: {{registry: {registry}, include: [{environment}]}}\n", name="both"
    )
    found = cacheadmin("audit", where, "--rule", "name-taken", "--format", "json").json["findings"]
    assert {(row["subject"], row["owner"]) for row in found} == {
        (str(taken), f"uid {eve.uid}"),
        (str(old), f"uid {eve.uid}"),
    }
    taken.unlink()
    old.unlink()
    for _ in range(2):
        cacheadmin("venv", "add", policy, environment, insecure, user=ana, code=0)
    assert [os.readlink(link) for link in registry.iterdir()] == [str(environment)]
    assert (
        cacheadmin("audit", where, "--rule", "name-taken", "--format", "json").json["findings"]
        == []
    )


def test_a_link_of_somebody_else_to_the_same_environment_stops_nobody(
    cacheadmin: Cacheadmin,
    cache: Path,
    registry: Path,
    environment: Path,
    users: tuple[User, User],
) -> None:
    ana, eve = users
    policy = cacheadmin.policy(cache, f"venvs:\n  registry: {registry}\n  from_cache: false\n")
    own(cacheadmin.folder / "state", ana)
    insecure = "--insecure-policy"
    for user in (eve, ana):
        cacheadmin("venv", "add", policy, environment, insecure, user=user, code=0)
    assert {link.lstat().st_uid for link in registry.iterdir()} == {ana.uid, eve.uid}
    cacheadmin("venv", "remove", policy, environment, insecure, user=ana, code=0)
    assert {link.lstat().st_uid for link in registry.iterdir()} == {eve.uid}
    said = cacheadmin("venv", "remove", policy, environment, insecure, user=ana, code=77)
    assert f"registered by uid {eve.uid}" in said.stderr
    shutil.rmtree(environment)
