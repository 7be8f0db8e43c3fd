"""What a plan says comes back is what `df` gains, on real filesystems, within 1%."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import filesystem, free_bytes
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def mounted(request: pytest.FixtureRequest) -> Iterator[Path]:
    from tests.support.users import open_temporary_folder

    folder = open_temporary_folder("cacheadmin-filesystem-")
    try:
        with filesystem(request.param, folder) as path:
            yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_filesystem(mounted: Path, index: Index) -> Iterator[SharedCache]:
    """A cache and its environments on one filesystem."""
    folder = mounted / "work"
    folder.mkdir()
    yield SharedCache.create(folder, index)
    shutil.rmtree(folder)


def large_wheel(folder: Path, name: str) -> str:
    """Make a wheel of 24 MiB that no filesystem can compress, with a program in it."""
    dice = random.Random(name)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": b"def main():\n    print('ready')\n",
        **{f"{name}/large{number}.bin": dice.randbytes(3 << 20) for number in range(7)},
        **{f"{name}/small{number}.bin": dice.randbytes(9_000) for number in range(350)},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/RECORD", record)
    return str(wheel)


def forget_all_wheels(cache: Path) -> None:
    """Remove every pointer, as if every wheel had been superseded."""
    for bucket in cache.glob("wheels-v*"):
        for folder in bucket.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)


def prune_and_compare(cacheadmin: Cacheadmin, policy: Path, mounted: Path) -> tuple[int, int]:
    """Return the bytes that the plan said come back, and those that did."""
    planned = cacheadmin("plan", policy, "--format", "json").json
    before = free_bytes(mounted)
    pruned = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert pruned["totals"] == planned["totals"]
    cacheadmin("runs", "purge", policy, "--all", code=0)
    return planned["totals"]["reclaimable_bytes"], free_bytes(mounted) - before


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy", "clone"])
def test_df_gains_what_was_predicted(
    on_filesystem: SharedCache, cacheadmin: Cacheadmin, mounted: Path, open_folder: Path, mode: str
) -> None:
    shared = on_filesystem
    left, kept = (large_wheel(open_folder, name) for name in ("left", "kept"))
    gone = shared.environment("gone", NEWEST, "numpy==2.3.5", "six", left, link_mode=mode)
    stays = shared.environment("stays", NEWEST, "six", "idna==3.10", kept, link_mode=mode)
    forget_all_wheels(shared.path)
    shared.remove_environment(gone)
    archives = {path.name for path in (shared.path / "archive-v0").iterdir()}
    # Blocks count, not lengths; and a name elsewhere keeps what it names.
    (sparse,) = shared.path.glob("archive-v0/*/left/small0.bin")
    os.truncate(sparse, 5 << 30)
    (outside,) = shared.path.glob("archive-v0/*/left/large0.bin")
    os.link(outside, shared.homes / "kept-by-somebody")
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")

    predicted, gained = prune_and_compare(cacheadmin, policy, mounted)

    remaining = {path.name for path in (shared.path / "archive-v0").iterdir()}
    assert len(archives - remaining) == (2 if mode == "symlink" else 5)
    assert not dangling_links(stays)
    assert predicted > 40 << 20
    assert predicted == pytest.approx(gained, rel=0.01)


def test_clones_in_the_cache_come_back_when_both_go_and_no_environment_has_them(
    on_filesystem: SharedCache, cacheadmin: Cacheadmin, mounted: Path, open_folder: Path
) -> None:
    shared = on_filesystem
    mode = "hardlink" if mounted.name == "ext4" else "clone"
    both, held = (large_wheel(open_folder, name) for name in ("both", "held"))
    for wheel, name in ((both, "both"), (held, "held")):
        shared.uv(NEWEST, "tool", "run", "--from", wheel, name, link_mode=mode)
    shared.environment("stays", NEWEST, held, link_mode=mode)
    forget_all_wheels(shared.path)
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  include: ['{shared.homes}/*/*']\n"
        "prune:\n  environments:\n    idle: 0s\n    keep_latest: false\n",
    )
    rows = cacheadmin("plan", policy, "--format", "json").json["removals"]
    archives = [row for row in rows if row["kind"] == "archive"]
    assert len(archives) == 4
    # Each of the two that share `both` frees nothing of it alone.
    assert max(row["reclaimable_bytes"] for row in archives) < 4 << 20

    predicted, gained = prune_and_compare(cacheadmin, policy, mounted)

    assert predicted > 20 << 20
    assert predicted < 30 << 20
    assert predicted == pytest.approx(gained, rel=0.01)
