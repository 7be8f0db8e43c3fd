"""What in a cache is as it was is not read again; what is not as it was, or in doubt, is."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.cache_memory import CacheMemory
from cacheadmin.inventory.contents import EntriesByKind
from cacheadmin.inventory.reader import read_entry
from cacheadmin.inventory.root import EntryTask
from cacheadmin.snapshot.snapshot import look_at
from cacheadmin.state import remembered_inventory
from cacheadmin.state.remembered_inventory import CacheMemoryFile
from tests.support.small_farm import DAY_NS, SmallFarm
from tests.support.waiting import let_clocks_tick

ARCHIVES = 5

# The buckets, the index below one, and a folder for each pointer.
FOLDERS = ARCHIVES + 2


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SmallFarm]:
    """A cache that was read once, older than a clock's tick."""
    farm = SmallFarm(tmp_path, ARCHIVES)
    (farm.pointer(1).with_suffix("")).symlink_to(f"../../../archive-v0/{farm.archive(1).name}")
    let_clocks_tick()
    farm.inventory()
    yield farm


def memory_file(farm: SmallFarm) -> CacheMemoryFile:
    with open_cache(str(farm.cache)) as cache:
        return CacheMemoryFile(farm.state, cache.identity)


def read_again(farm: SmallFarm) -> EntriesByKind:
    """Return what a reader says that remembers."""
    plain = memory_file(farm).read_plain()
    contents = EntriesByKind()
    with open_cache(str(farm.cache)) as cache:
        memory = CacheMemory(plain, cache.identity.device, now_ns=farm.now_ns, every_ns=7 * DAY_NS)
        for name in ("archive-v0", "wheels-v7"):
            for part in read_entry(EntryTask(cache.fd, name), memory):
                contents.add(part)
    return contents


def test_what_is_as_it_was_is_not_read_again(farm: SmallFarm) -> None:
    contents = read_again(farm)
    assert len(contents.same_archives) == ARCHIVES and not contents.archives
    assert len(contents.same_folders) == FOLDERS and not contents.wheel_pointers


def test_only_what_changed_is_read(farm: SmallFarm) -> None:
    with open(farm.pointer(2), "r+b") as file:
        file.write(farm.pointer_content(3))
    (farm.archive(4) / "more").touch()
    contents = read_again(farm)
    assert [one.path for one in contents.wheel_pointers] == ["wheels-v7/pypi/p2/1.0-py3-none-any"]
    assert [one.archives for one in contents.wheel_pointers] == [{farm.archive(3).name}]
    assert [one.id for one in contents.archives] == [farm.archive(4).name]


def test_what_is_younger_than_a_tick_is_not_remembered(farm: SmallFarm) -> None:
    for number in range(20):
        farm.pointer(0).write_bytes(farm.pointer_content(number % ARCHIVES))
        farm.inventory()
        with open(farm.pointer(0), "r+b") as file:
            file.write(farm.pointer_content((number + 1) % ARCHIVES))
        expected = {farm.archive((number + 1) % ARCHIVES).name}
        found = {one.path: one for one in farm.inventory().wheel_pointers}
        assert found["wheels-v7/pypi/p0/1.0-py3-none-any"].archives == expected


def test_everything_is_read_anew_now_and_then(farm: SmallFarm) -> None:
    read = set()
    for _ in range(7):
        farm.now_ns += DAY_NS
        contents = read_again(farm)
        read.update(one.id for one in contents.archives)
        read.update(one.path for one in contents.folders_seen)
        farm.inventory()
    assert len(read) == ARCHIVES + FOLDERS


def test_a_clock_set_back_has_everything_read(farm: SmallFarm) -> None:
    farm.now_ns -= DAY_NS
    contents = read_again(farm)
    assert not contents.same_archives and not contents.same_folders


def test_what_is_gone_is_forgotten(farm: SmallFarm) -> None:
    size = os.path.getsize(memory_file(farm).path)
    for number in range(1, ARCHIVES):
        farm.pointer(number).unlink()
        farm.archive(number).rename(farm.folder / f"gone{number}")
    let_clocks_tick()
    farm.inventory()
    assert os.path.getsize(memory_file(farm).path) < size
    assert len(farm.inventory().archives) == 1


def spoilt(column: str, value: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda plain: {**plain, column: value(plain[column])}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: {"about": plain["about"]},
        spoilt("names", lambda names: names[:-1]),
        spoilt("names", lambda names: [*names[:-1], 5]),
        spoilt("inodes", lambda inodes: inodes[:-1]),
        spoilt("contents", lambda contents: b"\xff" * len(contents)),
        spoilt("stamps", lambda stamps: list(stamps)[:3]),
        spoilt("folders", lambda folders: ["pypi", *folders[1:]]),
        spoilt("pointers", lambda pointers: [[[1]] if one else one for one in pointers]),
        spoilt("named", lambda named: []),
        spoilt("writes", lambda writes: [[1] if one else one for one in writes]),
        spoilt("paths", lambda paths: {}),
    ],
)
def test_a_memory_of_another_shape_is_none(
    farm: SmallFarm, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    expected = farm.inventory(remembering=False)
    file = memory_file(farm)
    plain = file.read_plain()
    assert plain is not None
    file.write_plain(spoil(plain))
    found = farm.inventory()
    assert found.archives == expected.archives
    assert set(found.wheel_pointers) == set(expected.wheel_pointers)
    # And it is one again.
    assert len(read_again(farm).same_folders) == FOLDERS


def test_a_damaged_file_is_no_memory_of_a_cache(farm: SmallFarm) -> None:
    file = Path(memory_file(farm).path)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not read_again(farm).same_archives
    assert len(farm.inventory().archives) == ARCHIVES


def test_reading_a_memory_takes_no_more_room_than_it_has(farm: SmallFarm) -> None:
    file = memory_file(farm)
    tracemalloc.start()
    try:
        assert file.read_plain() is not None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000


def test_the_memory_of_another_cache_is_not_used(farm: SmallFarm, tmp_path: Path) -> None:
    other = SmallFarm(tmp_path / "other", 2)
    other.state = farm.state
    Path(memory_file(other).path).write_bytes(Path(memory_file(farm).path).read_bytes())
    assert not read_again(other).same_archives
    assert len(other.inventory().archives) == 2


def test_a_bucket_that_is_another_folder_now_is_read(farm: SmallFarm) -> None:
    bucket = farm.cache / "wheels-v7"
    bucket.rename(farm.folder / "kept")
    (bucket / "pypi").mkdir(parents=True)
    assert read_again(farm).same_folders == []
    assert farm.inventory().wheel_pointers == ()


def test_where_times_are_coarse_or_late_nothing_is_remembered(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        def is_precise(self, device: int, path: str) -> bool:
            return False

    Path(memory_file(farm).path).unlink()
    monkeypatch.setattr(remembered_inventory, "Devices", Network)
    assert len(farm.inventory().archives) == ARCHIVES
    assert not os.path.exists(memory_file(farm).path)


def test_all_commands_share_one_memory_of_a_cache(farm: SmallFarm) -> None:
    farm.folder.chmod(0o755)
    Path(memory_file(farm).path).unlink()
    for number in range(2):
        policy = farm.folder / f"policy{number}.yaml"
        policy.write_text(
            f"version: 1\nname: farm\ncache: {farm.cache}\nstate: {farm.state}\n"
            f"venvs:\n  include: ['{farm.envs}/{number}*']\n  from_cache: false\n"
        )
        policy.chmod(0o644)
    with look_at(str(farm.folder / "policy0.yaml")):
        farm.now_ns = time.time_ns()
        assert len(read_again(farm).same_archives) == ARCHIVES
    before = os.stat(memory_file(farm).path).st_ino
    with look_at(str(farm.folder / "policy1.yaml")) as snapshot:
        assert len(snapshot.inventory.archives) == ARCHIVES
    # Nothing was new to the second.
    assert os.stat(memory_file(farm).path).st_ino == before
