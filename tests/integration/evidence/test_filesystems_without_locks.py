"""Where a filesystem has no locks, each command says so in one line, and changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.shared_cache import SharedCache, tree_snapshot
from tests.support.uv_releases import NEWEST, REPOSITORY

# What filesystems without locks answer, as seen: FUSE gateways, NFS, half-made ones.
ERRORS = (524, 37, 95, 38, 5)

# A fault that needs a kernel of its own otherwise: only flock(2) answers differently.
_FAULT = """
import fcntl, os
def flock(fd, operation):
    raise OSError({number}, os.strerror({number}))
fcntl.flock = flock
"""


@pytest.fixture
def cache(shared: SharedCache) -> SharedCache:
    shared.environment("env", NEWEST, "six==1.16.0")
    shared.environment("gone", NEWEST, "idna==3.7")
    shared.remove_environment(shared.environments[-1])
    (shared.path / "wheels-v1").mkdir()
    return shared


def policy_of(cacheadmin: Cacheadmin, cache: SharedCache, text: str = "") -> Path:
    return cacheadmin.policy(
        cache.path,
        f"venvs: {{include: ['{cache.homes}/*/*'], complete: true}}\nhosts: {{only: this}}\n{text}",
    )


def without_locks(
    cacheadmin: Cacheadmin, number: int, *arguments: str | os.PathLike[str]
) -> Result:
    """Run one command where flock fails with that number."""
    folder = cacheadmin.folder / f"fault-{number}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_FAULT.format(number=number))
    return cacheadmin(*arguments, environment={"PYTHONPATH": f"{folder}:{REPOSITORY}"})


def is_one_clear_line(result: Result) -> bool:
    said = result.stderr.splitlines()
    return (
        result.code == 5
        and said[0].startswith("cacheadmin: refused: ")
        and "can't be locked: " in said[0]
        and "unexpected" not in result.stderr
    )


@pytest.mark.parametrize("number", ERRORS)
def test_prune_is_refused_and_changes_nothing(
    cacheadmin: Cacheadmin, cache: SharedCache, number: int
) -> None:
    before = tree_snapshot(cache.path)
    result = without_locks(cacheadmin, number, "prune", policy_of(cacheadmin, cache))
    assert is_one_clear_line(result), result
    assert f"(error {number})" in result.stderr
    assert tree_snapshot(cache.path) == before


@pytest.mark.parametrize("number", (524, 95))
@pytest.mark.parametrize("text", ["lock: {busy: concurrent}\n", "lock: {busy: skip}\n"])
def test_so_it_is_when_it_would_not_wait(
    cacheadmin: Cacheadmin, cache: SharedCache, number: int, text: str
) -> None:
    before = tree_snapshot(cache.path)
    result = without_locks(cacheadmin, number, "prune", policy_of(cacheadmin, cache, text))
    assert is_one_clear_line(result), result
    assert tree_snapshot(cache.path) == before


def test_protect_and_runs_say_the_same(cacheadmin: Cacheadmin, cache: SharedCache) -> None:
    policy = policy_of(cacheadmin, cache)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    assert run
    for words in (("protect",), ("runs", "restore"), ("prune",)):
        assert is_one_clear_line(without_locks(cacheadmin, 524, *words, policy)), words


def test_preflight_tries_the_lock_and_refuses(cacheadmin: Cacheadmin, cache: SharedCache) -> None:
    policy = policy_of(cacheadmin, cache)
    before = tree_snapshot(cache.path)
    for number in ERRORS:
        result = without_locks(cacheadmin, number, "preflight", policy, "--format", "json")
        assert (result.code, result.json["verdict"]) == (5, "refused")
        checks = {check["id"]: check for check in result.json["checks"]}
        assert checks["lock.works"]["status"] == "fail"
        assert f"(error {number})" in checks["lock.works"]["detail"]
        assert "lock.holders" not in checks
    result = cacheadmin("preflight", policy, "--format", "json")
    assert "lock.works" not in {check["id"] for check in result.json["checks"]}
    assert tree_snapshot(cache.path) == before
