"""What is not read as a known release writes it could name any archive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST


def archives(shared: SharedCache) -> set[str]:
    return set(os.listdir(shared.path / "archive-v0"))


def installs_offline(shared: SharedCache, name: str) -> bool:
    environment = shared.environment(name, NEWEST)
    arguments = ("pip", "install", "--offline", "--python", environment, "six==1.16.0")
    return shared.uv(NEWEST, *arguments, link_mode="copy", check=False).returncode == 0


@pytest.mark.parametrize("what", ["bucket", "folder"])
def test_what_lies_behind_a_linked_pointer_folder_is_not_taken_for_nothing(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, what: str
) -> None:
    shared.environment("v", NEWEST, "six==1.16.0", link_mode="hardlink")
    bucket = next(shared.path.glob("wheels-v*"))
    linked = bucket if what == "bucket" else bucket / "index"
    moved = open_folder / "other disk"
    shutil.move(linked, moved)
    linked.symlink_to(moved)
    assert installs_offline(shared, "before")
    before = archives(shared)

    result = cacheadmin("prune", cacheadmin.policy(shared.path), "--format", "json", code=0).json

    assert archives(shared) == before
    assert installs_offline(shared, "after")
    assert result["verdict"] == "limited"
    named = str(linked.relative_to(shared.path))
    assert any(named in limit["detail"] for limit in result["limits"])


def test_a_bucket_of_a_version_to_come_keeps_what_it_may_point_to(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """A format of the future: no link, and the id in a file of another ending."""
    gone = shared.environment("v", NEWEST, "six==1.16.0")
    shared.remove_environment(gone)
    bucket = next(shared.path.glob("wheels-v*"))
    future = bucket.rename(shared.path / "wheels-v99")
    for pointer in future.rglob("*.http"):
        link = pointer.with_suffix("")
        pointer.with_suffix(".json").write_text(f'{{"archive": "{os.readlink(link)[-16:]}"}}')
        link.unlink()
        pointer.unlink()
    before = archives(shared)

    cacheadmin("prune", cacheadmin.policy(shared.path), code=0)

    assert archives(shared) == before


@pytest.mark.parametrize("name", ["1.16.0-py2.py3-none-any.json", "unheard-of"])
def test_a_file_that_no_release_writes_among_the_pointers_could_name_any_archive(
    shared: SharedCache, cacheadmin: Cacheadmin, name: str
) -> None:
    gone = shared.environment("v", NEWEST, "six==1.16.0")
    shared.remove_environment(gone)
    package = next(shared.path.glob("wheels-v*/index/*/six"))
    for file in package.iterdir():
        file.unlink()
    (package / name).write_text("{}")
    before = archives(shared)
    policy = cacheadmin.policy(shared.path)

    cacheadmin("prune", policy, code=0)
    assert archives(shared) == before

    (package / name).unlink()
    cacheadmin("prune", policy, code=0)
    assert archives(shared) < before


def test_an_interpreter_record_of_a_shape_to_come_is_a_gap(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("v", NEWEST, "six==1.16.0")
    for record in shared.path.glob("interpreter-v*/**/*.msgpack"):
        record.write_bytes(b"\x81\xa7version\x06")
    for pointer in shared.path.glob("wheels-v*/index/*/six"):
        shutil.rmtree(pointer)
    policy = cacheadmin.policy(shared.path, complete=False)

    result = cacheadmin("prune", policy, "--format", "json", code=0).json

    assert "records.damaged" in {gap["id"] for gap in result["gaps"]}
    assert dangling_links(environment) == {}
