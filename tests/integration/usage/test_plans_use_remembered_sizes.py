"""A plan measures no archive again whose size `usage` remembers, and says the same sizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.bench.farms import Farm
from tests.support.cacheadmin_cli import Cacheadmin

ARCHIVES = 30


def sizes_of(cacheadmin: Cacheadmin, farm: Farm, state: str) -> dict[str, tuple[int, int, int]]:
    text = f"state: sqlite:///{farm.cache.parent}/{state}.db\nprune: {{archives: false}}\n"
    policy = cacheadmin.policy(farm.cache, text, name=state)
    rows: list[dict[str, Any]] = cacheadmin("plan", policy, "--format", "json").json["kept"]
    return {one["path"]: (one["bytes"], one["reclaimable_bytes"], one["files"]) for one in rows}


def test_a_plan_says_the_same_sizes_with_and_without_memory(
    cacheadmin: Cacheadmin, tmp_path: Path
) -> None:
    (tmp_path / "farm").mkdir()
    farm = Farm(tmp_path / "farm")
    farm.grow_cache(ARCHIVES)
    fresh = sizes_of(cacheadmin, farm, "one")
    cacheadmin("usage", cacheadmin.folder / "policies" / "one.yaml", code=0)
    assert sizes_of(cacheadmin, farm, "one") == fresh

    # An environment takes one archive by hard links, another one is written to, a third is gone.
    linked, written, gone = (farm.cache / "archive-v0" / f"a{one:015d}" for one in range(3))
    for path in linked.rglob("*"):
        if path.is_file():
            os.link(path, tmp_path / f"{path.parent.name}-{path.name}")
    (written / "more.py").write_bytes(b"x" * 100_000)
    (written / "more").mkdir()
    gone.rename(tmp_path / "gone")
    later = sizes_of(cacheadmin, farm, "one")
    assert later == sizes_of(cacheadmin, farm, "two")
    assert later["archive-v0/" + linked.name][1] < fresh["archive-v0/" + linked.name][1]
    assert later["archive-v0/" + written.name][0] > fresh["archive-v0/" + written.name][0]
    assert later.get("archive-v0/" + gone.name) is None


def test_a_pointer_s_own_size_is_that_of_its_link(cacheadmin: Cacheadmin, tmp_path: Path) -> None:
    (tmp_path / "farm").mkdir()
    farm = Farm(tmp_path / "farm")
    farm.grow_cache(3)
    pointers = farm.cache / "wheels-v7" / "pypi"
    (pointers / "p1" / "1.0-py3-none-any").unlink()
    os.link(pointers / "p2" / "1.0-py3-none-any", tmp_path / "another-name", follow_symlinks=False)
    found = sizes_of(cacheadmin, farm, "one")
    first, without_link, with_two_names = (
        found[f"wheels-v7/pypi/p{one}/1.0-py3-none-any"] for one in range(3)
    )
    assert (first[1], first[2]) == (first[0], 1)
    assert without_link == (0, 0, 0)
    assert with_two_names[1:] == (0, 1)
