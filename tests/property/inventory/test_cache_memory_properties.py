"""A cache that is read with a memory is what it is without, whatever was done to it in between."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.inventory import reader
from cacheadmin.inventory.entries import Inventory
from tests.support.small_farm import DAY_NS, SmallFarm
from tests.support.waiting import let_clocks_tick

ARCHIVES = 4


@pytest.fixture(scope="module", params=[reader.AT_ONCE, 2], autouse=True)
def at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Buckets that one answer holds, and buckets that take several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "AT_ONCE", request.param)
        yield


Change = Callable[[SmallFarm, int, int], None]


def write_pointer(farm: SmallFarm, which: int, other: int) -> None:
    """As uv does: a new file, renamed over the old one."""
    file = farm.pointer(which)
    if file.parent.is_dir():
        new = file.with_name(".tmp-new")
        new.write_bytes(farm.pointer_content(other))
        new.rename(file)


def write_another_pointer(farm: SmallFarm, which: int, other: int) -> None:
    folder = farm.pointer(which).parent
    if folder.is_dir():
        (folder / f"2.{other}-py3-none-any.http").write_bytes(farm.pointer_content(other))


def link_pointer(farm: SmallFarm, which: int, other: int) -> None:
    link = farm.pointer(which).with_suffix("")
    if link.parent.is_dir():
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../../archive-v0/{farm.archive(other).name}")


def edit_pointer_in_place(farm: SmallFarm, which: int, other: int) -> None:
    if farm.pointer(which).is_file():
        with open(farm.pointer(which), "r+b") as file:
            file.write(farm.pointer_content(other))


def edit_pointer_and_set_its_time_back(farm: SmallFarm, which: int, other: int) -> None:
    if farm.pointer(which).is_file():
        before = farm.pointer(which).stat()
        edit_pointer_in_place(farm, which, other)
        os.utime(farm.pointer(which), ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_pointer_and_set_all_times_back(farm: SmallFarm, which: int, other: int) -> None:
    file = farm.pointer(which)
    if file.is_file():
        times = [(path, path.stat().st_mtime_ns) for path in (file, file.parent)]
        write_pointer(farm, which, other)
        for path, modified_ns in times:
            os.utime(path, ns=(modified_ns, modified_ns))


def give_all_the_same_time(farm: SmallFarm, which: int, other: int) -> None:
    for folder, folders, files in os.walk(farm.cache):
        for name in (*folders, *files):
            os.utime(f"{folder}/{name}", ns=(7, 10**18), follow_symlinks=False)


def shorten_pointer(farm: SmallFarm, which: int, other: int) -> None:
    if farm.pointer(which).is_file():
        os.truncate(farm.pointer(which), other)


def remove_pointer(farm: SmallFarm, which: int, other: int) -> None:
    farm.pointer(which).unlink(missing_ok=True)


def give_pointer_another_name(farm: SmallFarm, which: int, other: int) -> None:
    target = farm.pointer(other).with_name(f"3.{which}-py3-none-any.http")
    if farm.pointer(which).is_file() and target.parent.is_dir() and not target.exists():
        os.link(farm.pointer(which), target)


def give_pointer_to_another(farm: SmallFarm, which: int, other: int) -> None:
    link = farm.pointer(which).with_suffix("")
    for path in (farm.pointer(which), link):
        if os.geteuid() == 0 and os.path.lexists(path):
            os.chown(path, 1000 + other, -1, follow_symlinks=False)


def close_pointer(farm: SmallFarm, which: int, other: int) -> None:
    if farm.pointer(which).is_file():
        farm.pointer(which).chmod(0o600 if other % 2 else 0)


def put_beside_pointer(farm: SmallFarm, which: int, other: int) -> None:
    name = ("notes", "1.0-py3-none-any.lock", "1.0-py3-none-any.msgpack", ".gitignore")[other]
    if farm.pointer(which).parent.is_dir():
        (farm.pointer(which).parent / name).write_text("x")


def put_a_pipe(farm: SmallFarm, which: int, other: int) -> None:
    path = farm.pointer(which).with_name("9.0-py3-none-any.http")
    if path.parent.is_dir() and not path.exists():
        os.mkfifo(path)


def change_folders(farm: SmallFarm, which: int, other: int) -> None:
    one, two = farm.pointer(which).parent, farm.pointer(other).parent
    if one.is_dir() and two.is_dir() and one != two:
        one.rename(farm.folder / "between")
        two.rename(one)
        (farm.folder / "between").rename(two)


def replace_folder_by_a_copy(farm: SmallFarm, which: int, other: int) -> None:
    folder = farm.pointer(which).parent
    if folder.is_dir() and not folder.is_symlink():
        shutil.copytree(folder, farm.folder / "copy", symlinks=True, copy_function=shutil.copy2)
        shutil.rmtree(folder)
        (farm.folder / "copy").rename(folder)


def replace_folder_by_a_link(farm: SmallFarm, which: int, other: int) -> None:
    folder = farm.pointer(which).parent
    away = farm.folder / f"away{which}"
    if folder.is_dir() and not folder.is_symlink() and not away.exists():
        folder.rename(away)
        folder.symlink_to(away)


def move_index_away(farm: SmallFarm, which: int, other: int) -> None:
    here, there = farm.cache / "wheels-v7" / "pypi", farm.cache / "wheels-v7" / "index"
    if here.exists() and not there.exists():
        here.rename(there)
    elif there.exists() and not here.exists():
        there.rename(here)


def make_folder(farm: SmallFarm, which: int, other: int) -> None:
    folder = farm.cache / "wheels-v7" / ("pypi", ".tmpfolder", "index/0123")[other % 3] / "more"
    folder.mkdir(parents=True, exist_ok=True)


def put_into_archive(farm: SmallFarm, which: int, other: int) -> None:
    if farm.archive(which).is_dir():
        (farm.archive(which) / f"q{other}-2.0.dist-info").mkdir(exist_ok=True)


def rename_in_archive(farm: SmallFarm, which: int, other: int) -> None:
    for info in farm.archive(which).glob("*.dist-info"):
        target = info.with_name(f"r{other}-3.0.dist-info")
        if not target.exists():
            info.rename(target)
            os.utime(farm.archive(which), ns=(1, 1))


def change_archives(farm: SmallFarm, which: int, other: int) -> None:
    one, two = farm.archive(which), farm.archive(other)
    if one.is_dir() and two.is_dir() and one != two:
        one.rename(farm.folder / "between")
        two.rename(one)
        (farm.folder / "between").rename(two)


def empty_archive(farm: SmallFarm, which: int, other: int) -> None:
    if farm.archive(which).is_dir():
        shutil.rmtree(farm.archive(which))
        farm.archive(which).mkdir()


def remove_archive(farm: SmallFarm, which: int, other: int) -> None:
    shutil.rmtree(farm.archive(which), ignore_errors=True)


def make_archive_again(farm: SmallFarm, which: int, other: int) -> None:
    if not farm.archive(which).exists() and farm.pointer(which).parent.parent.is_dir():
        farm.make_archive(which)


def replace_archive_by_a_link(farm: SmallFarm, which: int, other: int) -> None:
    away = farm.folder / f"archive{which}"
    if farm.archive(which).is_dir() and not away.exists() and not farm.archive(which).is_symlink():
        farm.archive(which).rename(away)
        farm.archive(which).symlink_to(away)


def make_archive_an_environment(farm: SmallFarm, which: int, other: int) -> None:
    if farm.archive(which).is_dir():
        (farm.archive(which) / "pyvenv.cfg").touch()


def jump(farm: SmallFarm, which: int, other: int) -> None:
    farm.now_ns += (other - 2) * 4 * DAY_NS


def wait(farm: SmallFarm, which: int, other: int) -> None:
    let_clocks_tick()


CHANGES: tuple[Change, ...] = (
    *(write_pointer, write_another_pointer, link_pointer, edit_pointer_in_place, shorten_pointer),
    *(edit_pointer_and_set_its_time_back, replace_pointer_and_set_all_times_back),
    *(give_all_the_same_time, remove_pointer, give_pointer_another_name, close_pointer),
    *(give_pointer_to_another, put_beside_pointer, put_a_pipe, change_folders, make_folder),
    *(replace_folder_by_a_copy, replace_folder_by_a_link, move_index_away, put_into_archive),
    *(rename_in_archive, change_archives, empty_archive, remove_archive, make_archive_again),
    *(replace_archive_by_a_link, make_archive_an_environment, jump, wait),
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(CHANGES),
        st.integers(0, ARCHIVES - 1),
        st.integers(0, ARCHIVES - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def ordered(inventory: Inventory) -> Inventory:
    """Return an inventory without its moment, its entries by path: folders have no order."""
    return replace(
        inventory,
        read_at_ns=0,
        wheel_pointers=tuple(sorted(inventory.wheel_pointers, key=lambda one: one.path)),
        strays=tuple(sorted(inventory.strays, key=lambda one: one.path)),
        unreadable=tuple(sorted(inventory.unreadable, key=lambda one: (one.path, one.reason))),
        builds=tuple(sorted(inventory.builds, key=lambda one: one.path)),
    )


def compare(farm: SmallFarm) -> None:
    assert ordered(farm.inventory()) == ordered(farm.inventory(remembering=False))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_change_of_a_cache_is_seen(change: Change) -> None:
    with tempfile.TemporaryDirectory() as folder:
        farm = SmallFarm(Path(folder).resolve(), ARCHIVES)
        for number in range(2):
            # As old releases write it, and with a link.
            if number:
                link_pointer(farm, number, number)
            let_clocks_tick()
            farm.inventory()
            change(farm, number, (number + 1) % ARCHIVES)
            compare(farm)


def check_memory(steps: list[tuple[Change, int, int, bool]]) -> None:
    """Look after each change, with memory and without."""
    with tempfile.TemporaryDirectory() as folder:
        farm = SmallFarm(Path(folder).resolve(), ARCHIVES)
        for change, which, other, settles in steps:
            if settles:
                let_clocks_tick()
                farm.inventory()
            change(farm, which, other)
            compare(farm)


@settings(max_examples=10)
@given(STEPS)
def test_a_cache_read_with_memory_is_the_cache(
    steps: list[tuple[Change, int, int, bool]],
) -> None:
    check_memory(steps)


@pytest.mark.long
@settings(max_examples=200)
@given(STEPS)
def test_so_it_is_with_many_more(steps: list[tuple[Change, int, int, bool]]) -> None:
    check_memory(steps)
