"""Hardlinks, clones and copies only, one release: our prune equals uv's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import reinstall_a_changed_tool
from tests.support.shared_cache import SharedCache, copy_in_place_of, names_in
from tests.support.uv_releases import NEWEST


def shape_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Names, types, link targets and contents, not the inodes."""
    shape: dict[str, tuple[object, ...]] = {}
    for name in names_in(folder):
        path = folder / name
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        shape[name] = (stat.S_IFMT(status.st_mode), content)
    return shape


@pytest.mark.root  # only root can look at everybody's processes
@pytest.mark.parametrize("release", [pytest.param("0.10.12", marks=pytest.mark.long), NEWEST])
def test_safe_and_the_same_tree_as_after_the_prune_of_uv(
    shared: SharedCache, cacheadmin: Cacheadmin, release: str
) -> None:
    packages = ("six==1.16.0", "idna==3.6", "docopt==0.6.2", "numpy==2.3.5")
    for mode in ("hardlink", "clone", "copy"):
        environment = shared.environment(f"by-{mode}", release, *packages, link_mode=mode)
    superseded = reinstall_a_changed_tool(shared, environment, release, link_mode="copy")
    unpacking = shared.path / ".tmpAbCdEf"
    (unpacking / "six").mkdir(parents=True)
    (shared.path / "archive-v0" / "left-by-a-crash").mkdir()
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  include: ['{shared.homes}/*/*']\nprune:\n  builds:\n    after: 0s\n",
    )

    before = shape_of(shared.path)
    with copy_in_place_of(shared.path):
        shared.uv(release, "cache", "prune")
        by_uv = shape_of(shared.path)
    assert shape_of(shared.path) == before

    assert cacheadmin("preflight", policy, "--format", "json", code=0).json["verdict"] == "safe"
    cacheadmin("prune", policy, code=0)
    ours = shape_of(shared.path)

    assert ours == by_uv
    assert superseded
    assert not set(superseded) & set(ours)
