"""A large bucket is shared out to readers, and what comes of it is what one of them would say."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.inventory import pointer_folders, reader
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.contents import OVER_TIME
from cacheadmin.inventory.entries import Inventory
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.readers import Readers
from tests.support.small_farm import SmallFarm

ARCHIVES = 700


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SmallFarm]:
    """A cache of seven hundred wheels, with something odd beside them."""
    farm = SmallFarm(tmp_path, ARCHIVES)
    archives = farm.cache / "archive-v0"
    (archives / ".tmpabc").mkdir()
    (archives / "file").touch()
    (archives / "moved0000000000").symlink_to("/nowhere")
    (farm.cache / "wheels-v7" / "pypi" / "p3" / "odd").touch()
    yield farm


def read(farm: SmallFarm, workers: int = 2) -> tuple[Inventory, int]:
    """Return what is in a cache, and how many readers have read it."""
    with (
        open_cache(str(farm.cache)) as cache,
        Readers(keep=(cache.fd,), workers=workers) as readers,
    ):
        return read_inventory(cache, readers), len(readers.pids)


def told(inventory: Inventory) -> list[list[str]]:
    """Return all that it tells, in an order."""
    return [
        sorted(map(repr, found))
        for found in (
            inventory.archives.values(),
            inventory.wheel_pointers,
            inventory.strays,
            inventory.unreadable,
            inventory.buckets,
            inventory.watched.items(),
        )
    ]


def test_it_is_what_one_reader_would_say(farm: SmallFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts, readers = read(farm, workers=4)
    assert readers == 4
    monkeypatch.setattr(reader, "AT_ONCE", 10 * ARCHIVES)
    assert told(in_parts) == told(read(farm)[0])
    assert len(in_parts.archives) == len(in_parts.wheel_pointers) == ARCHIVES


@pytest.fixture
def counter() -> Iterator[mmap.mmap]:
    """A number that readers share with the test: they may write no file. For one reader."""
    with mmap.mmap(-1, 8) as memory:
        yield memory


def count(counter: mmap.mmap, more: int = 0) -> int:
    (number,) = struct.unpack("q", counter[:8])
    counter[:8] = struct.pack("q", number + more)
    return int(number)


def test_what_is_left_is_told_in_parts_however_much_it_is(tmp_path: Path) -> None:
    """Who makes many folders of long names must not make their bucket unreadable."""
    farm = SmallFarm(tmp_path, 1)
    for number in range(40_000):
        (farm.cache / "archive-v0" / f"{number:0250d}").mkdir()
        (farm.cache / "wheels-v7" / "pypi" / f"{number:0250d}").mkdir()
    with open_cache(str(farm.cache)) as cache:
        for bucket in ("archive-v0", "wheels-v7"):
            task = reader.EntryTask(cache.fd, bucket)
            left = [len(part.left) for part in reader.read_entry(task)]
            assert sum(left) >= 40_000 - reader.AT_ONCE
            # 64 MiB are the most that a part may be, a path here takes a quarter of a KiB.
            assert max(left) <= 256 * reader.AT_ONCE


def test_a_part_that_no_reader_can_read_keeps_its_bucket_and_costs_no_more_of_them(
    farm: SmallFarm, counter: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "AT_ONCE", 100)
    monkeypatch.setattr(reader, "_WAVE", 2)

    def die(_self: object, _task: reader.EntryTask) -> Iterator[None]:
        count(counter, 1)
        os._exit(1)

    monkeypatch.setattr(reader._EntryReader, "read_part", die)
    inventory, _ = read(farm, workers=1)
    assert {one.path for one in inventory.unreadable} >= {"archive-v0", "wheels-v7"}
    # The first hundred names of the folder, in an order that differs from disk to disk.
    assert 90 < len(inventory.archives) <= 100
    # Of fourteen parts two, then one: after three failures nothing more of an account is read.
    assert count(counter) == 3


def test_who_took_too_much_time_in_one_part_takes_none_in_the_next(
    farm: SmallFarm, counter: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "AT_ONCE", 100)
    monkeypatch.setattr(reader, "_WAVE", 2)

    def takes_too_much(_uid: int, share: float = 1.0) -> bool:
        count(counter, share == 0.5)
        return share == 1.0

    monkeypatch.setattr(pointer_folders, "note_owner", takes_too_much)
    inventory, _ = read(farm, workers=1)
    assert len(inventory.wheel_pointers) == ARCHIVES
    assert sum(one.understood for one in inventory.wheel_pointers) == 99
    # One part of a hundred folders was tried, beside the last of archives; six were not.
    assert count(counter) == 100
    assert {one.uid for one in inventory.unreadable if one.reason == OVER_TIME} == {os.getuid()}
