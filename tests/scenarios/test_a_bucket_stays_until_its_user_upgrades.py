"""A bucket that one user's uv 0.5.10 needs stays until they upgrade and fall silent.

Then exactly the buckets of that release go, and the archives only they led
to, if no environment links them. Whoever wrote to a bucket lately has its release
somewhere, whatever other uv lies in their home.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cacheadmin.uv.releases import buckets_of
from tests.support.projects import project_in, sync
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST, uv_binary

OLD = "0.5.10"
ONLY_OLD = buckets_of(OLD) - buckets_of(NEWEST)


def removals(cacheadmin, policy: Path) -> set[str]:
    rows = cacheadmin("plan", policy, "--format", "json").json["removals"]
    return {row["path"] for row in rows}


def a_cache_of_two_releases(shared: SharedCache) -> tuple[Path, set[str], set[str]]:
    """Return the old release's environment, and archives of idna (linked) and six (not)."""
    linking = shared.environment("linking", OLD, "idna==3.7")
    linked = archives(shared)
    shared.environment("copied", OLD, "six==1.16.0", link_mode="copy")
    copied = archives(shared) - linked
    shared.environment("new", NEWEST, "cowsay==6.0")
    return linking, linked, copied


def archives(shared: SharedCache) -> set[str]:
    return {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}


def upgrade(shared: SharedCache, folder: str) -> Path:
    """Install the newest uv for the user, as `pip install --target` does."""
    installed = shared.home() / folder
    shutil.copytree(uv_binary(NEWEST).parent.parent, installed, copy_function=shutil.copy)
    for dist_info in installed.glob("*.dist-info"):
        os.utime(dist_info)
    return installed


def test_who_upgraded_and_wrote_nothing_since_needs_the_old_buckets_no_more(
    shared: SharedCache, cacheadmin
) -> None:
    linking, linked, copied = a_cache_of_two_releases(shared)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    assert removals(cacheadmin, policy) == set()
    schemas = cacheadmin("schemas", policy, "--format", "json", code=0).json
    needed = {row["name"]: row["status"] for row in schemas["buckets"]}
    present = {name for name in ONLY_OLD if (shared.path / name).is_dir()}
    assert present
    assert {needed[name] for name in present} == {"needed"}
    (upgrades,) = schemas["upgrades"]
    assert present <= set(upgrades["buckets"])

    upgrade(shared, "tools")
    assert removals(cacheadmin, policy) == set(), "they were written to a moment ago"
    for name in present:
        age(shared.path / name, days=40)
    assert removals(cacheadmin, policy) == present | copied
    cacheadmin("prune", policy, code=0)
    assert not (archives(shared) & copied)
    assert linked <= archives(shared)
    assert dangling_links(linking) == {}


def test_falling_silent_does_the_same(shared: SharedCache, cacheadmin) -> None:
    linking = shared.environment("linking", OLD, "idna==3.7")
    linked = archives(shared)
    age(shared.path, days=40)
    age(linking, days=40)
    shared.environment("new", NEWEST, "cowsay==6.0")
    policy = cacheadmin.policy(shared.path)
    present = {name for name in ONLY_OLD if (shared.path / name).is_dir()}
    # Its record is all that tells of the environment, which is still there.
    assert removals(cacheadmin, policy) == present - {"interpreter-v4"}
    longer = cacheadmin.policy(shared.path, "uv:\n  active_within: 60d\n")
    assert removals(cacheadmin, longer) == set()
    cacheadmin("prune", cacheadmin.policy(shared.path), code=0)
    assert linked <= archives(shared)
    assert dangling_links(linking) == {}


def test_who_downloads_wheels_keeps_what_was_built_with_that_release(
    shared: SharedCache, cacheadmin, open_folder: Path
) -> None:
    """A job installs wheels each day, and built one package from its source a month ago."""
    job = project_in(open_folder / "job", "docopt==0.6.2")
    shutil.rmtree(sync(shared, job, "0.8.5"))
    age(shared.path, days=40)
    shared.environment("new", NEWEST, "cowsay==6.0", link_mode="copy")
    shutil.rmtree(sync(shared, project_in(open_folder / "other", "six==1.16.0"), "0.8.5"))
    policy = cacheadmin.policy(shared.path)

    cacheadmin("prune", policy, code=0)

    # From the cache alone: without the built wheel it would be built once more, which takes tools.
    environment = sync(shared, job, "0.8.5", "--offline")
    assert dangling_links(environment) == {}
    age(shared.path, days=40)
    shared.environment("newer", NEWEST, "pytz", link_mode="copy")
    assert "sdists-v9" in removals(cacheadmin, policy)
