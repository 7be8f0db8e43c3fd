"""Environments that users make and remove while they are looked at stop no prune.

Jobs make an environment every minute, and remove it. What is gone uses nothing; what came
in its place is looked at, then or by the look before the moves. One that could not be read
keeps everything in the cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.evidence.facts import Environment, EnvironmentStatus
from cacheadmin.fs.linked_tree import LinkedTree
from tests.support.small_farm import SmallFarm

Begun = tuple[LinkedTree, Iterator[Any], Path]

CHURN = """
import subprocess, sys
while True:
    subprocess.run(["rm", "-rf", sys.argv[2]])
    subprocess.run(["cp", "-a", sys.argv[1], sys.argv[2]])
"""


@pytest.fixture
def farm(tmp_path: Path) -> SmallFarm:
    """An environment of several hundred folders with links."""
    farm = SmallFarm(tmp_path)
    farm.make_environment("one")
    for number in range(60):
        for inner in range(5):
            folder = farm.packages("one") / f"package{number}" / f"inner{inner}"
            folder.mkdir(parents=True)
            (folder / "p0.py").symlink_to(farm.archive(0) / "p0.py")
    farm.install("one", 1)
    return farm


@pytest.fixture
def churned(farm: SmallFarm) -> Iterator[str]:
    """The path of one that is copied from it, and removed, without end."""
    path = str(farm.environment("two"))
    churning = subprocess.Popen([sys.executable, "-c", CHURN, farm.environment("one"), path])
    yield path
    churning.kill()
    churning.wait()


def of(path: str, seen: list[Environment]) -> Environment | None:
    return next((one for one in seen if one.path == path), None)


def test_one_that_comes_and_goes_is_never_unreadable(farm: SmallFarm, churned: str) -> None:
    met = 0
    for number in range(400):
        one = of(churned, farm.look(deep=number % 2 == 0, remembering=False)[0])
        if one is not None:
            assert (one.status, one.complete) != (EnvironmentStatus.UNREADABLE, False), one.reason
            met += 1
        if met == 40:
            return
    assert met > 0


def test_one_that_was_made_again_is_looked_at(farm: SmallFarm) -> None:
    """As by `uv venv --clear`, between the search and the scan."""

    def make_again() -> None:
        if farm.packages("two").exists():
            return
        farm.environment("two").rename(farm.folder / "old")
        shutil.rmtree(farm.folder / "old")
        farm.make_environment("two")
        farm.install("two", 3)

    (farm.environment("two") / "old").mkdir(parents=True)
    for remembering in (True, True, False):
        seen, _ = farm.look(before_scan=make_again, remembering=remembering)
        two = of(str(farm.environment("two")), seen)
        assert two is not None
        assert two.archives == {farm.archive(3).name}


def test_one_that_is_replaced_again_and_again_is_unreadable(farm: SmallFarm) -> None:
    def replace() -> None:
        path, other = farm.environment("two"), farm.environment("three")
        shutil.rmtree(other, ignore_errors=True)
        path.rename(other)
        path.mkdir()

    farm.environment("two").mkdir()
    two = of(str(farm.environment("two")), farm.look(before_scan=replace, remembering=False)[0])
    assert two is not None
    assert (two.status, two.complete) == (EnvironmentStatus.UNREADABLE, False)


def test_one_in_which_a_folder_went_is_looked_at_again_and_not_remembered(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_first = os.scandir

    def scandir(folder: object) -> object:
        # What was listed is gone when it is its turn; another has its place a moment later.
        inner = farm.packages("one") / "package7" / "inner0"
        if isinstance(folder, int) and os.readlink(f"/proc/self/fd/{folder}").endswith("package7"):
            entries = list(seen_first(folder))  # type: ignore[call-overload]
            shutil.rmtree(inner, ignore_errors=True)
            return _Entries(entries)
        return seen_first(folder)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    (one,) = farm.look()[0]
    monkeypatch.undo()
    assert (one.status, one.complete) == (EnvironmentStatus.OK, True)
    # Every later look of the same run takes it for changed.
    assert 0 in one.watched.values()
    assert farm.look()[1] == [one.path]


def test_one_whose_library_went_is_looked_at_again(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.listdir

    def listdir(folder: object = ".") -> list[str]:
        if folder == "lib":
            shutil.rmtree(farm.environment("one") / "lib", ignore_errors=True)
        return real(folder)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "listdir", listdir)
    (one,) = farm.look(remembering=False)[0]
    monkeypatch.undo()
    assert (one.status, one.complete) == (EnvironmentStatus.OK, True)
    assert one.watched[one.path] == 0


class _Entries(list[object]):
    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def begun(tmp_path: Path) -> Begun:
    """A visit of a tree of three folders with links, after the first of them."""
    top = tmp_path / "top"
    for name in ("a", "b", "c"):
        (top / name).mkdir(parents=True)
        (top / name / "link").symlink_to("/somewhere")
    tree = LinkedTree(str(top))
    folders = tree.folders()
    first, _, _ = next(folders)
    shutil.rmtree(first)
    return tree, folders, top


def test_what_was_listed_and_is_gone_holds_nothing(begun: Begun) -> None:
    tree, folders, top = begun
    for path in top.iterdir():
        shutil.rmtree(path)
    assert list(folders) == []
    assert (tree.vanished, tree.problems) == (True, [])


def test_what_went_with_all_that_it_lay_in_may_hold_links(begun: Begun) -> None:
    """As when a disk is taken away, or the process through whose root it was seen ends."""
    tree, folders, top = begun
    top.rename(top.with_name("away"))
    assert list(folders) == []
    assert (tree.vanished, len(tree.problems)) == (False, 2)


def test_a_name_that_is_there_and_leads_nowhere_may_hold_links(begun: Begun) -> None:
    """As what an automounter can't mount: the kernel says that it is not there."""
    tree, folders, top = begun
    for path in top.iterdir():
        shutil.rmtree(path)
        path.symlink_to("nowhere")
    assert list(folders) == []
    assert (tree.vanished, len(tree.problems)) == (False, 2)
