"""A search that remembers finds what one without memory finds, whatever happened in between."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.evidence.search import SearchPart, SearchTask, search
from cacheadmin.evidence.searched_folders import SearchMemory, SeenFolders
from tests.support.waiting import let_clocks_tick

DAY_NS = 86_400 * 10**9
KEY = ("tree", 0, "")
INTO_A_CACHE = "/cache/archive-v0/abcdefghijklmnopqrstu/six.py"

Change = Callable[[Path, Path], None]
"""What is done to one folder of the tree; the other one is another of its folders."""


def make_folder(one: Path, other: Path) -> None:
    (one / f"new{len(os.listdir(one))}").mkdir()


def make_file(one: Path, other: Path) -> None:
    (one / f"file{len(os.listdir(one))}").touch()


def make_an_environment(one: Path, other: Path) -> None:
    (one / "pyvenv.cfg").touch()


def make_a_target(one: Path, other: Path) -> None:
    (one / "six-1.0.dist-info").mkdir(exist_ok=True)


def end_an_environment(one: Path, other: Path) -> None:
    (one / "pyvenv.cfg").unlink(missing_ok=True)


def link_into_a_cache(one: Path, other: Path) -> None:
    if not os.path.lexists(one / "six.py"):
        (one / "six.py").symlink_to(INTO_A_CACHE)


def link_elsewhere(one: Path, other: Path) -> None:
    (one / "six.py").unlink(missing_ok=True)
    (one / "six.py").symlink_to("/usr/share/six.py")


def redirect(one: Path, other: Path) -> None:
    if not (one / ".venv").is_dir():
        (one / ".venv").write_text(f"{other}\n")


def redirect_by_a_link(one: Path, other: Path) -> None:
    if not os.path.lexists(one / ".venv"):
        (one / ".venv").symlink_to(other)


def make_it_a_cache(one: Path, other: Path) -> None:
    (one / "CACHEDIR.TAG").touch()
    (one / "archive-v0" / "entry").mkdir(parents=True, exist_ok=True)


def move(one: Path, other: Path) -> None:
    if one not in (other, *other.parents) and not (other / one.name).exists():
        one.rename(other / one.name)


def replace_by_a_link(one: Path, other: Path) -> None:
    tree = next(folder for folder in one.parents if folder.name == "tree")
    away = Path(tempfile.mkdtemp(dir=tree.parent))
    one.rename(away / "folder")
    one.symlink_to(away / "folder")


def change_places(one: Path, other: Path) -> None:
    between = other.parent / "between"
    if one not in (other, *other.parents) and other not in one.parents and not between.exists():
        one.rename(between)
        other.rename(one)
        between.rename(other)


def remove(one: Path, other: Path) -> None:
    shutil.rmtree(one)


def set_times_back(one: Path, other: Path) -> None:
    os.utime(one, ns=(0, 1_600_000_000_000_000_000))


def wait(one: Path, other: Path) -> None:
    let_clocks_tick()


CHANGES: tuple[Change, ...] = (
    *(make_folder, make_folder, make_file, make_an_environment, make_a_target),
    *(end_an_environment, link_into_a_cache, link_elsewhere, redirect, redirect_by_a_link),
    *(make_it_a_cache, move, replace_by_a_link, change_places, remove, set_times_back, wait, wait),
)


class Site:
    """A tree that is searched, and what is remembered of it."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        for path in ("a/b/c", "a/d", "e/f/g/h"):
            (self.tree / path).mkdir(parents=True)
        self.kept: dict | None = None
        self.now_ns = 1_000 * DAY_NS
        self.listed: list[SearchPart] = []

    def folder(self, number: int) -> Path:
        """Return one of the folders that are there."""
        found = [Path(base) for base, _, _ in os.walk(self.tree)][1:]
        return found[number % len(found)] if found else self.tree / "none"

    def search(self, before: SeenFolders | None = None, **more: object) -> tuple[set, dict, int]:
        """Return the candidates, the folders that were watched, and how many were too deep."""
        task = SearchTask((str(self.tree),), "homes", before=before, is_top=True, **more)
        self.listed = list(search(task))
        candidates = {(one.path, one.kind) for part in self.listed for one in part.candidates}
        watched = dict(one for part in self.listed for one in part.watched)
        return candidates, watched, sum(part.deeper for part in self.listed)

    def search_with_memory(self, **more: object) -> tuple[set, dict, int]:
        memory = SearchMemory(self.kept, now_ns=self.now_ns, every_ns=7 * DAY_NS)
        found = self.search(memory.before(KEY), **more)
        memory.note(KEY, [part.seen for part in self.listed], len(found[1]))
        written = memory.written()
        if written is not None:
            packed = msgpack.packb(written, unicode_errors="surrogateescape")
            self.kept = msgpack.unpackb(packed, unicode_errors="surrogateescape")
        return found


@pytest.mark.parametrize("change", dict.fromkeys(CHANGES), ids=lambda one: one.__name__)
def test_each_change_of_what_was_searched_is_found(tmp_path: Path, change: Change) -> None:
    site = Site(tmp_path)
    for number in range(8):
        let_clocks_tick()
        site.search_with_memory()
        one, other = site.folder(number), site.folder(3 * number + 1)
        if one.is_dir() and other.is_dir():
            change(one, other)
        assert site.search_with_memory() == site.search()


@settings(max_examples=30)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(CHANGES), st.integers(0, 30), st.integers(0, 30)), max_size=12
    ),
    depth=st.sampled_from((None, 1, 2)),
    exclude=st.sampled_from(((), ("a",), ("*/e/f",))),
)
def test_what_is_remembered_is_what_searching_finds(
    steps: list[tuple[Change, int, int]], depth: int | None, exclude: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder).resolve())
        let_clocks_tick()
        site.search_with_memory()
        for change, first, second in steps:
            one, other = site.folder(first), site.folder(second)
            if one.is_dir() and other.is_dir():
                change(one, other)
            # What one policy leaves out, another may search by the same memory.
            assert site.search_with_memory() == site.search()
            bounds = {"depth": depth, "exclude": exclude}
            assert site.search_with_memory(**bounds) == site.search(**bounds)


def test_a_tree_that_is_as_it_was_is_not_listed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (site.folder(0) / "half\udcff character").mkdir()
    let_clocks_tick()
    first = site.search_with_memory()
    assert sum(part.seen.count for part in site.listed) == len(first[1])
    assert site.search_with_memory() == first
    # What is listed is noted.
    assert sum(part.seen.count for part in site.listed) == 0


@pytest.mark.parametrize("passed", [-1, 7 * DAY_NS])
def test_all_is_listed_when_that_is_due(tmp_path: Path, passed: int) -> None:
    """After `scan.full_every`, and where the clock was set back."""
    site = Site(tmp_path)
    let_clocks_tick()
    folders = len(site.search_with_memory()[1])
    site.now_ns += passed
    site.search_with_memory()
    assert sum(part.seen.count for part in site.listed) == folders


def test_what_is_gone_is_forgotten_in_time(tmp_path: Path) -> None:
    site = Site(tmp_path)
    sizes = []
    for _ in range(6):
        for number in range(600):
            (site.tree / "a" / f"{number}").mkdir()
        let_clocks_tick()
        site.search_with_memory()
        assert site.kept is not None
        sizes.append(len(site.kept["trees"][0][5]))
        for number in range(600):
            (site.tree / "a" / f"{number}").rmdir()
    assert max(sizes) < 4 * sizes[0]
    site.now_ns += 8 * DAY_NS
    memory = SearchMemory(site.kept, now_ns=site.now_ns, every_ns=7 * DAY_NS)
    assert memory.written() == {"trees": []}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.pop(),
        lambda tree: tree.__setitem__(5, tree[5][:-1]),
        lambda tree: tree.__setitem__(5, tree[5][:-32]),
        lambda tree: tree.__setitem__(6, tree[6] + "\0more"),
        lambda tree: tree.__setitem__(1, "0"),
        lambda tree: tree.__setitem__(6, None),
    ],
)
def test_what_is_damaged_is_not_believed(tmp_path: Path, spoil: Callable[[list], object]) -> None:
    site = Site(tmp_path)
    let_clocks_tick()
    folders = len(site.search_with_memory()[1])
    assert site.kept is not None
    spoil(site.kept["trees"][0])
    assert site.search_with_memory() == site.search()
    site.kept = {"trees": "none"}
    assert site.search_with_memory() == site.search()
    assert folders == len(site.search()[1])
