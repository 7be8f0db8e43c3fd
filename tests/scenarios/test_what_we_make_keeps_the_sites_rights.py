"""What we make, or give back, in a shared cache serves all its members as what uv makes.

Without the access list of the cache's root every command of the second member
with umask 022 fails: `failed to open file .../sdists-v9/.git: Permission denied`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.prune.test_interrupted_and_restored_runs import RUBBISH, small_cache
from tests.scenarios.test_sharing_a_cache_with_umask_022 import (
    give_default_list,
    shared_by,
    two_users,
)
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("getfacl") is None, reason="needs getfacl, of the package acl"),
]


def rights_of(*folders: Path) -> str:
    """Return owner, group, mode and lists, as getfacl says them."""
    command = ["getfacl", "--absolute-names", "--numeric", *folders]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def shared(open_folder: Path, index: Index) -> SharedCache:
    """A cache of two members with umask 022, and an environment of the first."""
    shared = shared_by(open_folder, index, two_users())
    give_default_list(shared.path)
    shared.environment("first", "0.8.5", "six==1.16.0", "docopt==0.6.2")
    return shared


def test_what_the_guard_gives_back_is_what_was_there_and_serves_both_members(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    ana, ben = shared.users
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    cacheadmin("protect", policy, code=0)
    sources = shared.path / "sdists-v9"
    before = rights_of(sources, shared.path / "sdists-v7")
    inode = sources.stat().st_ino
    with ExitStack() as held, guarding(cacheadmin, policy):
        # Held open, so that no other folder gets its number.
        held.callback(os.close, os.open(sources, os.O_RDONLY | os.O_DIRECTORY))
        until((shared.path.with_name("cache.cacheadmin") / "quarantine").exists)
        # Another release's prune deletes the bucket; what is there then is the guard's.
        shared.uv(NEWEST, "cache", "prune", user=ana)
        until(lambda: (sources / "cacheadmin").is_dir() and sources.stat().st_ino != inode)
        until(lambda: cacheadmin("protect", policy, "--check").code == 0)
        assert rights_of(sources, shared.path / "sdists-v7") == before
        for release in ("0.5.10", "0.8.5", NEWEST):
            for user in (ana, ben):
                shared.environment(
                    f"{user.name}-{release}", release, "docopt==0.6.2", "idna==3.7", user=user
                )
    cacheadmin("audit", policy, "--rule", "default-acl-missing", "--fail-on", "warning", code=0)


def test_what_protect_makes_has_the_lists_of_the_caches_root(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    ana, ben = shared.users
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    shutil.rmtree(shared.path / "sdists-v9")
    cacheadmin("protect", policy, code=0)
    made = [shared.path / "sdists-v9", shared.path / "sdists-v9" / "cacheadmin"]
    assert rights_of(*made).count("default:group::rwx") == len(made)
    for user in (ana, ben):
        shared.environment(f"{user.name}-after", "0.8.5", "docopt==0.6.2", user=user)


def test_a_folder_that_is_made_again_by_a_restore_has_the_rights_it_had(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = small_cache(open_folder / "cache")
    ana, _ = two_users()
    policy = cacheadmin.policy(cache)
    bucket = cache / "archive-v0"
    os.chown(bucket, ana.uid, 61099)
    bucket.chmod(0o3771)
    subprocess.run(["setfacl", "-m", "u:61050:rx,d:u:61050:rx", bucket], check=True)
    before = rights_of(bucket)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert set(RUBBISH) <= {row["path"] for row in run["removals"]}
    bucket.rmdir()
    old = os.umask(0o077)
    try:
        cacheadmin("runs", "restore", policy, run["run_id"], code=0)
    finally:
        os.umask(old)
    assert all((cache / name).is_dir() for name in RUBBISH)
    assert rights_of(bucket) == before
