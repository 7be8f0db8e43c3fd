"""A cache that can't be changed from here: a clear refusal, and looking still works."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.shared_cache import SharedCache, tree_snapshot
from tests.support.uv_releases import NEWEST


@pytest.mark.root
def test_a_read_only_mount_is_refused_with_code_77(shared: SharedCache, cacheadmin) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    mounting = subprocess.run(["mount", "--bind", shared.path, shared.path], check=False)
    if mounting.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", shared.path], check=True)
        before = tree_snapshot(shared.path)
        for command in ("preflight", "plan", "prune"):
            refused = cacheadmin(command, policy, code=77)
            assert "is read-only: mounted so at" in refused.stderr
        assert tree_snapshot(shared.path) == before
        assert not os.path.lexists(shared.path / ".cacheadmin")
        for command in (["scan"], ["schemas"], ["simulate", "--uv", "0.8.5"]):
            cacheadmin(command[0], policy, *command[1:], code=0)
    finally:
        subprocess.run(["umount", shared.path], check=True)


@pytest.mark.root
def test_a_user_who_may_not_write_is_refused_with_code_77(
    shared: SharedCache, cacheadmin, three_users
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    shared.path.chmod(0o755)
    before = tree_snapshot(shared.path)
    refused = cacheadmin("prune", policy, code=77, user=three_users[0])
    assert "can't be written by you" in refused.stderr
    assert tree_snapshot(shared.path) == before
