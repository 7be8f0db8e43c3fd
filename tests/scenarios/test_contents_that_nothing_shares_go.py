"""uv's content-addressed cache (a preview) fills ``files-v0``: what nothing shares can go."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

PREVIEW = {"UV_PREVIEW": "1"}
AT_ONCE = (
    "venvs: {{complete: true, discover: [{{root: {homes}, depth: 3}}]}}\n"
    "quarantine: {{keep: 0s}}\nprune: {{builds: {{after: {after}}}}}\n"
)


def stored(cache: Path) -> dict[str, int]:
    """Return the stored contents and how many hard links each has."""
    found = {}
    for folder, _, names in os.walk(cache / "files-v0"):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, cache)] = os.lstat(path).st_nlink
    return found


@pytest.fixture
def addressed(shared: SharedCache) -> SharedCache:
    """Two packages by their content; a pointer was lost to one of them."""
    environment = shared.environment("proj", NEWEST)
    words = ("pip", "install", "--python", environment)
    shared.uv(NEWEST, *words, "six==1.16.0", "idna==3.7", extra_environment=PREVIEW)
    assert {len(path.name) for path in (shared.path / "archive-v0").iterdir()} == {24}
    shared.uv(NEWEST, "pip", "uninstall", "--python", environment, "idna")
    for pointer in shared.path.glob("wheels-v*/*/*/idna/*"):
        pointer.unlink()
    return shared


def policy_of(shared: SharedCache, cacheadmin: Cacheadmin, after: str = "0s") -> Path:
    return cacheadmin.policy(shared.path, AT_ONCE.format(homes=shared.homes, after=after))


def test_they_go_after_the_archive_that_shared_them(
    addressed: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(addressed, cacheadmin)
    (environment,) = addressed.environments
    shared_before = {path for path, links in stored(addressed.path).items() if links > 1}
    assert shared_before == set(stored(addressed.path))
    for _ in range(2):
        # First the archive; when that is deleted, what it alone shared.
        cacheadmin("prune", policy, code=0)
        cacheadmin("runs", "purge", policy, "--all", code=0)
    left = stored(addressed.path)
    assert set(left) < shared_before
    assert min(left.values()) > 1
    assert not dangling_links(environment)
    # What was deleted is stored again when somebody needs it.
    words = ("pip", "install", "--python", environment, "idna==3.7")
    addressed.uv(NEWEST, *words, extra_environment=PREVIEW)
    assert set(stored(addressed.path)) == shared_before
    assert not dangling_links(environment)


def test_they_wait_and_what_is_shared_or_strange_stays(
    addressed: SharedCache, cacheadmin: Cacheadmin
) -> None:
    bucket = addressed.path / "files-v0"
    loose = bucket / "ab" / ("ab" + "0" * 62)
    loose.parent.mkdir(exist_ok=True)
    loose.write_text("x")
    (bucket / "notes").write_text("somebody's")
    (bucket / "ab" / ("cd" + "0" * 62)).write_text("in a folder of another name")
    patient = policy_of(addressed, cacheadmin, after="1d")
    rows = {
        row["path"]: row
        for row in cacheadmin("plan", patient, "--format", "json").json["kept"]
        if row["path"].startswith("files-v0/")
    }
    assert rows[str(loose.relative_to(addressed.path))]["kind"] == "file"
    assert rows[str(loose.relative_to(addressed.path))]["rule"] == "file.recent"
    assert rows["files-v0/notes"]["rule"] == "stray.unknown"
    policy = policy_of(addressed, cacheadmin)
    said = cacheadmin("plan", policy, "--format", "json").json["removals"]
    (row,) = [row for row in said if row["kind"] == "file"]
    assert (row["rule"], row["rests_on"]) == ("file.unshared", "proof")
    assert stat.S_ISREG(loose.lstat().st_mode)
    # Linked again in the meantime: the plan is old, the link count is not.
    saved = cacheadmin.folder / "plan.json"
    cacheadmin("plan", policy, "--out", saved)
    archive = min((addressed.path / "archive-v0").iterdir())
    os.link(loose, archive / "again")
    cacheadmin("prune", policy, "--plan", saved, code=0)
    assert loose.exists()
    assert (bucket / "notes").exists()
