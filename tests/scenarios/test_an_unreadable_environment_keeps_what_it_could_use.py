"""A plain user cannot look into a colleague's home: what is there stays whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST, newest_bucket

pytestmark = pytest.mark.root


@pytest.fixture
def closed(open_folder: Path, index: Index, three_users: list[User]) -> SharedCache:
    """A cache where the second user's home is closed to all others."""
    shared = SharedCache.create(open_folder, index, three_users[:2])
    ana, ben = shared.users
    shared.environment("open", NEWEST, "six==1.16.0", user=ana)
    shared.environment("secret", NEWEST, "idna==3.7", user=ben)
    shared.home(ben).chmod(0o700)
    return shared


def test_limited_and_named_and_no_archive_goes(
    closed: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    ana, ben = closed.users
    secret = closed.home(ben) / "secret"
    # Ben cleaned up his pointers: only his environment still uses the archive.
    closed.uv(NEWEST, "cache", "clean", "--quiet", "nothing-of-that-name", user=ben)
    for pointer in (closed.path / newest_bucket("wheels")).glob("*/*/idna/*"):
        pointer.unlink()
    quarantine = open_folder / "quarantine"
    quarantine.mkdir()
    os.chown(quarantine, ana.uid, ana.gid)
    state = f"sqlite:///{cacheadmin.folder}/home-{ana.name}/state.sqlite"
    policy = cacheadmin.policy(
        closed.path,
        f"venvs:\n  include: ['{closed.homes}/*/*', '{secret}']\n"
        f"quarantine:\n  path: {quarantine}\nstate: {state}\n",
    )

    answer = cacheadmin("preflight", policy, "--format", "json", user=ana, code=4).json
    assert answer["verdict"] == "limited"
    assert str(secret) in str(answer["checks"])

    archives = set(os.listdir(closed.path / "archive-v0"))
    plan = cacheadmin("plan", policy, "--format", "json", user=ana, code=4).json
    assert [row for row in plan["removals"] if row["kind"] == "archive"] == []
    assert {row["path"] for row in plan["kept"]} >= {f"archive-v0/{name}" for name in archives}

    cacheadmin("prune", policy, user=ana, code=0)
    assert set(os.listdir(closed.path / "archive-v0")) == archives
    assert dangling_links(secret) == {}


def test_the_policy_may_refuse_instead(closed: SharedCache, cacheadmin: Cacheadmin) -> None:
    ana, ben = closed.users
    policy = cacheadmin.policy(
        closed.path,
        f"venvs:\n  include: ['{closed.home(ben)}/secret']\n  unreadable: refuse\n"
        f"state: sqlite:///{cacheadmin.folder}/home-{ana.name}/state.sqlite\n",
    )
    refused = cacheadmin("prune", policy, user=ana, code=5)
    assert str(closed.home(ben) / "secret") in refused.stderr
