"""A look that remembers sees what a look without memory sees, whatever happened in between."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_farm import DAY_NS, SmallFarm
from tests.support.waiting import let_clocks_tick

NAMES = ("one", "two", "three")
ARCHIVES = 5


def _existing(farm: SmallFarm, number: int) -> str | None:
    """Return one of the environments that have a package folder of their own."""
    there = [
        path.name
        for path in sorted(farm.envs.iterdir())
        if not path.is_symlink() and farm.packages(path.name).is_dir()
    ]
    return there[number % len(there)] if there else None


def install(farm: SmallFarm, name: str, number: int) -> None:
    farm.install(name, number % ARCHIVES)


def install_by_hardlink(farm: SmallFarm, name: str, number: int) -> None:
    farm.install(name, number % ARCHIVES, "hardlink")


def install_by_copy(farm: SmallFarm, name: str, number: int) -> None:
    farm.install(name, number % ARCHIVES, "copy")


def install_by_another_name_of_the_cache(farm: SmallFarm, name: str, number: int) -> None:
    link = farm.folder / "link"
    if not link.is_symlink():
        link.symlink_to(farm.cache)
    farm.install(name, number % ARCHIVES, cache=link)


def uninstall(farm: SmallFarm, name: str, number: int) -> None:
    farm.uninstall(name, number % ARCHIVES)


def lead_another_name_elsewhere(farm: SmallFarm, name: str, number: int) -> None:
    link = farm.folder / "link"
    other = farm.folder / "other"
    (other / "archive-v0").mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
        link.symlink_to(other if number % 2 else farm.cache)


def rename(farm: SmallFarm, name: str, number: int) -> None:
    target = farm.environment(NAMES[number % len(NAMES)])
    if not os.path.lexists(target):
        farm.environment(name).rename(target)


def change_places(farm: SmallFarm, name: str, number: int) -> None:
    other = _existing(farm, number)
    if other is not None and other != name:
        farm.environment(name).rename(farm.folder / "between")
        farm.environment(other).rename(farm.environment(name))
        (farm.folder / "between").rename(farm.environment(other))


def change_package_folders(farm: SmallFarm, name: str, number: int) -> None:
    other = _existing(farm, number)
    if other is not None and other != name:
        farm.packages(name).rename(farm.folder / "between")
        farm.packages(other).rename(farm.packages(name))
        (farm.folder / "between").rename(farm.packages(other))


def copy_with_times(farm: SmallFarm, name: str, number: int) -> None:
    target = farm.environment(NAMES[number % len(NAMES)])
    if not os.path.lexists(target):
        shutil.copytree(farm.environment(name), target, symlinks=True)


def replace_by_a_copy(farm: SmallFarm, name: str, number: int) -> None:
    home = farm.environment(name)
    shutil.copytree(home, farm.folder / "copy", symlinks=True)
    shutil.rmtree(home)
    (farm.folder / "copy").rename(home)


def move_and_leave_a_link(farm: SmallFarm, name: str, number: int) -> None:
    place = (farm.environment(name), farm.environment(name) / "lib", farm.packages(name))[
        number % 3
    ]
    away = farm.folder / "away" / str(len(os.listdir(farm.folder)) + number)
    away.parent.mkdir(exist_ok=True)
    if not os.path.lexists(away) and not place.is_symlink():
        place.rename(away)
        place.symlink_to(away)


def change_behind_a_link(farm: SmallFarm, name: str, number: int) -> None:
    packages = farm.packages(name)
    info = packages / f"p{number % ARCHIVES}-1.0.dist-info"
    if not info.exists():
        info.mkdir()
        (info / "METADATA").symlink_to(farm.archive(number % ARCHIVES) / info.name / "METADATA")


def remove(farm: SmallFarm, name: str, number: int) -> None:
    shutil.rmtree(farm.environment(name))


def make(farm: SmallFarm, name: str, number: int) -> None:
    target = NAMES[number % len(NAMES)]
    if not os.path.lexists(farm.environment(target)):
        farm.make_environment(target)


def edit_config(farm: SmallFarm, name: str, number: int) -> None:
    extends = ("", f"extends-environment = {farm.archive(number % ARCHIVES)}\n")[number % 2]
    with open(farm.environment(name) / "pyvenv.cfg", "w") as file:
        file.write(f"home = /usr/bin\nuv = 0.13.{number % 9}\n{extends}")


def edit_path_file(farm: SmallFarm, name: str, number: int) -> None:
    borrowed = farm.folder / f"project{number % 2}"
    borrowed.mkdir(exist_ok=True)
    with open(farm.packages(name) / "project.pth", "w") as file:
        file.write(f"{borrowed}\n" if number % 3 else "# nothing\n")


def change_what_a_path_file_names(farm: SmallFarm, name: str, number: int) -> None:
    borrowed = farm.folder / f"project{number % 2}"
    borrowed.mkdir(exist_ok=True)
    link = borrowed / f"p{number % ARCHIVES}.py"
    if link.is_symlink():
        link.unlink()
    else:
        link.symlink_to(farm.archive(number % ARCHIVES) / link.name)


def remove_what_a_path_file_names(farm: SmallFarm, name: str, number: int) -> None:
    shutil.rmtree(farm.folder / f"project{number % 2}", ignore_errors=True)


def add_another_python(farm: SmallFarm, name: str, number: int) -> None:
    packages = farm.environment(name) / "lib" / f"python3.{number % 3}" / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (packages / f"p{number % ARCHIVES}.py").unlink(missing_ok=True)
    (packages / f"p{number % ARCHIVES}.py").symlink_to(
        farm.archive(number % ARCHIVES) / f"p{number % ARCHIVES}.py"
    )


def link_a_program(farm: SmallFarm, name: str, number: int) -> None:
    program = farm.environment(name) / "bin" / f"program{number % 3}"
    program.unlink(missing_ok=True)
    program.symlink_to(farm.archive(number % ARCHIVES) / f"p{number % ARCHIVES}.py")


def remove_archive(farm: SmallFarm, name: str, number: int) -> None:
    shutil.rmtree(farm.archive(number % ARCHIVES), ignore_errors=True)


def make_archive_again(farm: SmallFarm, name: str, number: int) -> None:
    if not farm.archive(number % ARCHIVES).exists():
        farm.make_archive(number % ARCHIVES)


def take_archive_away_and_back(farm: SmallFarm, name: str, number: int) -> None:
    kept = farm.folder / f"kept{number % ARCHIVES}"
    archive = farm.archive(number % ARCHIVES)
    if kept.exists() and not archive.exists():
        kept.rename(archive)
    elif archive.exists() and not kept.exists():
        archive.rename(kept)


def set_times_back(farm: SmallFarm, name: str, number: int) -> None:
    for path in (farm.environment(name), farm.packages(name), farm.environment(name) / "lib"):
        os.utime(path, ns=(0, 1_600_000_000_000_000_000 + number))


def give_to_another(farm: SmallFarm, name: str, number: int) -> None:
    if os.geteuid() == 0:
        os.chown(farm.environment(name), 1000 + number % 3, -1)


def jump(farm: SmallFarm, name: str, number: int) -> None:
    farm.now_ns += (number % 21 - 10) * DAY_NS


def wait(farm: SmallFarm, name: str, number: int) -> None:
    let_clocks_tick()


Change = Callable[[SmallFarm, str, int], None]

CHANGES: tuple[Change, ...] = (
    *(install, install, install_by_hardlink, install_by_copy, uninstall, rename),
    *(install_by_another_name_of_the_cache, lead_another_name_elsewhere, change_places),
    *(change_package_folders, copy_with_times, replace_by_a_copy, move_and_leave_a_link),
    *(change_behind_a_link, remove, make, edit_config, edit_path_file, set_times_back),
    *(change_what_a_path_file_names, remove_what_a_path_file_names, add_another_python),
    *(link_a_program, remove_archive, make_archive_again, take_archive_away_and_back),
    *(give_to_another, jump, wait, wait),
)

STEPS = st.lists(
    st.tuples(st.sampled_from(CHANGES), st.integers(0, 2), st.integers(0, 209), st.booleans()),
    min_size=1,
    max_size=12,
)


def compare(farm: SmallFarm) -> None:
    assert farm.look()[0] == farm.look(remembering=False)[0]


def laid_out(folder: str) -> SmallFarm:
    farm = SmallFarm(Path(folder).resolve(), ARCHIVES)
    for number, name in enumerate(NAMES[:2]):
        farm.make_environment(name)
        farm.install(name, number)
    return farm


@pytest.mark.parametrize("change", dict.fromkeys(CHANGES), ids=lambda change: change.__name__)
def test_each_change_of_what_is_remembered_is_seen(change: Change) -> None:
    with tempfile.TemporaryDirectory() as folder:
        farm = laid_out(folder)
        for number in range(6):
            name = _existing(farm, 0)
            if name is None:
                break
            let_clocks_tick()
            farm.look()
            change(farm, name, number)
            compare(farm)


def check_memory(steps: list[tuple[Change, int, int, bool]]) -> None:
    """Look after each change, with memory and without."""
    with tempfile.TemporaryDirectory() as folder:
        farm = laid_out(folder)
        for change, which, number, settles in steps:
            name = _existing(farm, which)
            if name is None:
                break
            if settles:
                let_clocks_tick()
                farm.look()
            change(farm, name, number)
            compare(farm)


@settings(max_examples=10)
@given(STEPS)
def test_answers_from_memory_are_the_answers_of_a_look(
    steps: list[tuple[Change, int, int, bool]],
) -> None:
    check_memory(steps)


@pytest.mark.long
@settings(max_examples=200)
@given(STEPS)
def test_so_they_are_with_many_more(steps: list[tuple[Change, int, int, bool]]) -> None:
    check_memory(steps)
