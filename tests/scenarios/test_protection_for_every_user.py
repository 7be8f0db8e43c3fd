"""Who may protect a cache, and that it stays usable for everybody who shares it."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from cacheadmin.uv.releases import buckets_of
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links, names_in, tree_snapshot
from tests.support.users import User, me
from tests.support.uv_releases import NEWEST, newest_bucket
from tests.support.waiting import until

pytestmark = pytest.mark.root

# One release of each source bucket that a release at hand has.
RELEASES = ("0.2.37", "0.4.10", "0.4.30", "0.5.10", "0.6.4", "0.7.22", "0.8.5", "0.11.33", NEWEST)


def policy_for(shared: SharedCache, cacheadmin: Cacheadmin) -> Path:
    return cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")


@pytest.fixture
def of_three(open_folder: Path, index: Index, three_users: list[User]) -> SharedCache:
    """A cache of three users in one group, with an environment of the first."""
    shared = SharedCache.create(open_folder, index, three_users)
    shared.environment("first", "0.9.0", "six==1.16.0")
    return shared


def test_a_second_user_installs_with_every_release_into_buckets_we_made(
    of_three: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_for(of_three, cacheadmin)
    cacheadmin("protect", policy, code=0)
    _, ben, eve = of_three.users
    assert [path.parent.name for path in of_three.path.glob("*/.git")] == ["sdists-v9"]
    for release in RELEASES:
        (bucket,) = [
            name for name in buckets_of(release) or () if name.startswith(("sdists", "built-"))
        ]
        for user in (ben, eve):
            of_three.environment(f"with-{release}", release, "idna==3.7", user=user)
        assert (of_three.path / bucket / ".git").stat().st_mode & stat.S_IWGRP
    of_three.environment("built", NEWEST, "docopt==0.6.2", user=ben)
    # What real uv put there is real: it is seen, and kept when we go.
    cacheadmin("protect", policy, code=0)
    cacheadmin("protect", policy, "--remove", code=0)
    assert not [name for name in names_in(of_three.path) if name.endswith("/cacheadmin")]
    assert all(dangling_links(environment) == {} for environment in of_three.environments)
    assert (of_three.path / newest_bucket("sdists") / ".git").exists()


def test_users_prune_as_before(of_three: SharedCache, cacheadmin: Cacheadmin) -> None:
    policy = policy_for(of_three, cacheadmin)
    cacheadmin("protect", policy, code=0)
    ben = of_three.users[1]
    for release in ("0.8.5", NEWEST):
        of_three.uv(release, "cache", "prune", user=ben)
        assert dangling_links(of_three.environments[0]) == {}
        cacheadmin("protect", policy, code=0)


def test_an_owner_who_is_not_root_protects_their_cache(
    of_three: SharedCache, cacheadmin: Cacheadmin
) -> None:
    ana = of_three.users[0]
    os.chown(of_three.path, ana.uid, ana.gid)
    policy = policy_for(of_three, cacheadmin)
    os.chown(cacheadmin.folder / "state", ana.uid, ana.gid)
    insecure = "--insecure-policy"
    done = cacheadmin("protect", policy, insecure, "--format", "json", user=ana, code=0).json
    assert done["complete"]
    assert "every archive counts as used" in done["note"]
    made = of_three.path / "sdists-v12" / "cacheadmin"
    assert (made.stat().st_uid, made.stat().st_gid) == (ana.uid, ana.gid)
    of_three.uv("0.6.4", "cache", "prune", user=me())
    assert dangling_links(of_three.environments[0]) == {}
    with guarding(cacheadmin, policy, insecure, user=ana):
        until(lambda: cacheadmin("protect", policy, "--check", insecure, user=ana).code == 0)


def test_who_may_not_write_there_is_told_so_and_changes_nothing(
    of_three: SharedCache, cacheadmin: Cacheadmin
) -> None:
    stranger = replace(of_three.users[2], name="stranger", uid=61999, gid=61999, groups=())
    policy = policy_for(of_three, cacheadmin)
    before = tree_snapshot(of_three.path)
    insecure = "--insecure-policy"
    for command in (("protect",), ("guard",)):
        said = cacheadmin(*command, policy, insecure, user=stranger, code=77, timeout=30)
        assert "can't be written" in said.stderr
    cacheadmin("protect", policy, insecure, "--check", user=stranger, code=4)
    assert tree_snapshot(of_three.path) == before


def test_a_bucket_that_can_not_be_written_is_named_and_the_others_are_planted(
    of_three: SharedCache, cacheadmin: Cacheadmin
) -> None:
    ana = of_three.users[0]
    os.chown(of_three.path, ana.uid, ana.gid)
    os.chown(cacheadmin.folder, ana.uid, ana.gid)
    closed = of_three.path / "sdists-v9"
    os.chown(closed, 0, 0)
    closed.chmod(0o755)
    policy = policy_for(of_three, cacheadmin)
    os.chown(cacheadmin.folder / "state", ana.uid, ana.gid)
    done = cacheadmin(
        "protect", policy, "--insecure-policy", "--format", "json", user=ana, code=7
    ).json
    rows = {row["name"]: row for row in done["buckets"]}
    assert rows["sdists-v9"]["missing"] == done["archives"] > 0
    assert "Permission denied" in rows["sdists-v9"]["problem"]
    assert rows["sdists-v10"]["missing"] == 0
    told = cacheadmin("protect", policy, "--insecure-policy", user=ana, code=7).stdout
    assert "sdists-v9" in told
    assert "sdists-v10" not in told
