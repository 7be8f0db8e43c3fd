"""Not a byte, inode or block of quota is left: prunes free what the plan says all the same.

What rests on proof is deleted at once, environments stay whole, and no command
ends with an unexpected error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.filesystems import filesystem, fill, free_bytes, use_up_inodes
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root


@dataclass
class FullDisk:
    """A cache on a filesystem of its own that is full; ``measure`` tells what is free there."""

    shared: SharedCache
    mounted: Path
    environment: Path
    command_line: Cacheadmin
    measure: Callable[[Path], int]

    def __call__(self, *arguments: str, code: int | None = None) -> Result:
        """Run one command, and see that it ends with words of ours."""
        result = self.command_line(*arguments, code=code)
        assert "unexpected" not in result.stderr
        return result

    def policy(self, text: str = "") -> str:
        """Return a policy whose state lies on the full filesystem, too."""
        state = f"state: sqlite:///{self.mounted}/state/state.sqlite\n"
        return str(self.command_line.policy(self.shared.path, text + state))

    def free(self) -> int:
        """Return what is free: bytes, or inodes where these are what is short."""
        return self.measure(self.mounted)


def free_files(mounted: Path) -> int:
    return os.statvfs(mounted).f_ffree


SHAPES = {
    "ext4": ("ext4", (), fill, free_bytes),
    "xfs": ("xfs", (), fill, free_bytes),
    "tmpfs": ("tmpfs", (), fill, free_bytes),
    "inodes": ("ext4", ("-N", "2048"), use_up_inodes, free_files),
}


@pytest.fixture(params=SHAPES)
def disk(
    request: pytest.FixtureRequest, open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> Iterator[FullDisk]:
    """An environment that links to the cache, and much that nobody needs, on a full disk."""
    kind, make, use_up, measure = SHAPES[request.param]
    size = 320 if kind == "xfs" else 64
    with filesystem(kind, open_folder, size, make=make) as mounted:
        (mounted / "state").mkdir()
        shared = SharedCache.create(mounted, index)
        environment = shared.environment("known", NEWEST, "six==1.16.0", "idna==3.7")
        gone = shared.environment("gone", NEWEST, "pytz==2023.3", "cowsay==6.0")
        shared.remove_environment(gone)
        for pointer in shared.path.glob("wheels-v*/*/*/pytz/*"):
            pointer.unlink()
        abandoned(shared.path)
        age(shared.path, 60)
        use_up(mounted)
        yield FullDisk(shared, mounted, environment, cacheadmin, measure)


def abandoned(cache: Path) -> None:
    """Leave a bucket of a release that nobody has, builds, and an archive without pointers."""
    for folder in ("simple-v1/pypi", "builds-v0/.tmpAbandoned", "archive-v0/Unused_abcdefghij"):
        (cache / folder).mkdir(parents=True)
        for number in range(20):
            (cache / folder / f"{number}").write_bytes(os.urandom(20_000))


def test_the_first_prune_frees_what_the_plan_says(disk: FullDisk) -> None:
    policy = disk.policy()
    before = disk.free()
    totals = disk("plan", policy, "--format", "json", code=4).json["totals"]
    removable = totals["files" if disk.measure is free_files else "reclaimable_bytes"]
    assert removable > 0
    done = disk("prune", policy, "--format", "json", code=0)
    assert done.json["outcome"] == "committed"
    assert disk.free() - before >= 0.8 * removable
    assert dangling_links(disk.environment) == {}
