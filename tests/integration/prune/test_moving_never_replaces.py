"""Moves out and back: nothing is replaced, followed, or forgotten for want of descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.fs.rename import rename_to_free_name
from cacheadmin.prune.moves import make_folders, move_out
from cacheadmin.prune.open_folders import Parents
from cacheadmin.prune.restoration import put_back
from tests.support.shared_cache import tree_snapshot


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[int, int]]:
    fds = []
    for name in ("cache", "entries"):
        (tmp_path / name).mkdir()
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
    yield fds[0], fds[1]
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("kind", ["file", "empty folder", "dangling link"])
def test_a_taken_name_is_never_replaced(folders, tmp_path: Path, kind: str) -> None:
    cache_fd, entries_fd = folders
    taken = tmp_path / "cache" / "name"
    if kind == "file":
        (tmp_path / "entries" / "name").write_text("old")
        taken.write_text("new")
    elif kind == "empty folder":
        (tmp_path / "entries" / "name").mkdir()
        taken.mkdir()
    else:
        (tmp_path / "entries" / "name").write_text("old")
        taken.symlink_to("nowhere")
    before = tree_snapshot(tmp_path)
    with pytest.raises(FileExistsError):
        rename_to_free_name("name", entries_fd, cache_fd)
    assert tree_snapshot(tmp_path) == before


def test_more_folders_than_descriptors_are_moved_and_come_back_with_their_times(
    folders, tmp_path: Path
) -> None:
    cache_fd, entries_fd = folders
    paths = [f"sdists-v9/pypi/package{number}/1.0/revision" for number in range(40)]
    for path in paths:
        (tmp_path / "cache" / path).mkdir(parents=True)
    before = tree_snapshot(tmp_path / "cache")
    make_folders(entries_fd, paths)
    with Parents(cache_fd, limit=3) as source, Parents(entries_fd, limit=3) as target:
        for path in paths:
            source.of(path)
        times = source.times()
        moves = move_out(paths, source, target, {})
        after = source.times()
    assert moves.moved == paths
    assert len(times) == len(paths)
    assert tree_snapshot(tmp_path / "cache") != before
    assert put_back(cache_fd, entries_fd, paths, times, after).left == []
    assert tree_snapshot(tmp_path / "cache") == before


def test_a_parent_that_became_a_link_is_not_followed(folders, tmp_path: Path) -> None:
    cache_fd, entries_fd = folders
    outside = tmp_path / "outside"
    (outside / "victim").mkdir(parents=True)
    (tmp_path / "cache" / "archive-v0").symlink_to(outside)
    make_folders(entries_fd, ["archive-v0/victim"])
    with Parents(cache_fd) as source, Parents(entries_fd) as target:
        moves = move_out(["archive-v0/victim"], source, target, {})
    assert [path for path, _ in moves.failed] == ["archive-v0/victim"]
    assert (outside / "victim").is_dir()
    (tmp_path / "entries" / "archive-v0" / "other").mkdir()
    result = put_back(cache_fd, entries_fd, ["archive-v0/other"], {}, {})
    assert [path for path, _ in result.failed] == ["archive-v0/other"]
    assert os.listdir(outside) == ["victim"]


def test_folders_made_anew_very_deep_are_a_conflict_and_no_trap(folders, tmp_path: Path) -> None:
    cache_fd, entries_fd = folders
    deep = "bucket" + "/d" * 200
    (tmp_path / "cache" / deep).mkdir(parents=True)
    (tmp_path / "entries" / deep).mkdir(parents=True)
    result = put_back(cache_fd, entries_fd, ["bucket"], {}, {})
    (conflict,) = result.conflicts
    assert "too deep" in conflict[1]
