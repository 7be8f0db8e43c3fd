"""Every folder in which a name came or went is told, or that it can't be told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.fs.folder_watch import FolderWatch, watch_folders

FOLDERS = ("w", "w/pypi", "w/pypi/one", "w/pypi/two", "s/index/deep/three")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield tmp_path, fd
    os.close(fd)


def test_nothing_changed(root: tuple[Path, int]) -> None:
    watch = FolderWatch(root[1], FOLDERS)
    (root[0] / "w/pypi/one").stat()
    os.listdir(root[0] / "w/pypi/two")
    assert watch.changed() == frozenset()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_name_that_comes_is_told(root: tuple[Path, int], folder: str) -> None:
    watch = FolderWatch(root[1], FOLDERS)
    (root[0] / folder / "1.0.http").write_bytes(b"")
    assert watch.changed() == {folder}
    # And it stays told: the look may be taken again.
    assert watch.changed() == {folder}


def test_names_that_go_and_are_replaced_are_told(root: tuple[Path, int]) -> None:
    one, two = (root[0] / "w/pypi" / name for name in ("one", "two"))
    (one / "gone").write_bytes(b"")
    (two / "old").write_bytes(b"")
    (root[0] / "new").write_bytes(b"")
    watch = FolderWatch(root[1], FOLDERS)
    (one / "gone").unlink()
    os.replace(root[0] / "new", two / "old")
    assert watch.changed() == {"w/pypi/one", "w/pypi/two"}


def test_another_folder_of_the_same_name_is_told_with_what_is_written_there(
    root: tuple[Path, int],
) -> None:
    watch = FolderWatch(root[1], FOLDERS)
    (root[0] / "w/pypi/one").rename(root[0] / "away")
    (root[0] / "w/pypi/one").mkdir()
    (root[0] / "w/pypi/one/1.0.http").write_bytes(b"")
    assert watch.changed() == {"w/pypi", "w/pypi/one"}


@pytest.mark.parametrize("above", ["w", "s", "s/index", "s/index/deep"])
def test_what_lies_below_a_replaced_folder_is_told(root: tuple[Path, int], above: str) -> None:
    watch = FolderWatch(root[1], FOLDERS)
    (root[0] / above).rename(root[0] / "away")
    shutil.copytree(root[0] / "away", root[0] / above)
    below = {folder for folder in FOLDERS if f"{folder}/".startswith(f"{above}/")}
    assert below <= (watch.changed() or frozenset())


def test_a_folder_that_was_missing_is_told_when_it_comes(root: tuple[Path, int]) -> None:
    shutil.rmtree(root[0] / "w")
    watch = FolderWatch(root[1], FOLDERS)
    (root[0] / "w/pypi/one").mkdir(parents=True)
    (root[0] / "w/pypi/one/1.0.http").write_bytes(b"")
    assert {"w/pypi/one"} <= (watch.changed() or frozenset())


def test_a_link_in_a_folders_place_is_not_watched_and_told_when_it_is_put_back(
    root: tuple[Path, int],
) -> None:
    elsewhere = root[0] / "elsewhere"
    elsewhere.mkdir()
    (root[0] / "w/pypi/one").rename(root[0] / "w/pypi/kept")
    (root[0] / "w/pypi/one").symlink_to(elsewhere)
    watch = FolderWatch(root[1], FOLDERS)
    (elsewhere / "name").write_bytes(b"")
    assert watch.changed() == frozenset()
    (root[0] / "w/pypi/one").unlink()
    (root[0] / "w/pypi/kept").rename(root[0] / "w/pypi/one")
    assert "w/pypi/one" in (watch.changed() or frozenset())


def test_lost_notices_are_said(root: tuple[Path, int]) -> None:
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        queued = int(file.read())
    if queued > 50_000:
        pytest.skip("this kernel keeps very many notices")
    watch = FolderWatch(root[1], FOLDERS)
    folder_fd = os.open(root[0] / "w/pypi/one", os.O_RDONLY | os.O_DIRECTORY)
    # Two names by turns, since equal notices in a row are one.
    for number in range(queued // 2 + 2):
        os.mkdir(str(number % 2), dir_fd=folder_fd)
        os.rmdir(str(number % 2), dir_fd=folder_fd)
    os.close(folder_fd)
    assert watch.changed() is None
    assert watch.changed() is None


def test_a_closed_watch_tells_nothing(root: tuple[Path, int]) -> None:
    watch = FolderWatch(root[1], FOLDERS)
    watch.close()
    watch.close()
    assert watch.changed() is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_two_names_of_one_folder_are_not_watched(root: tuple[Path, int]) -> None:
    one, two = (str(root[0] / "w/pypi" / name) for name in ("one", "two"))
    subprocess.run(["mount", "--bind", one, two], check=True)
    try:
        assert watch_folders(root[1], str(root[0]), FOLDERS) is None
    finally:
        subprocess.run(["umount", two], check=True)


def test_filesystems_whose_changes_others_make_are_not_watched() -> None:
    fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert watch_folders(fd, "/proc", ("sys",)) is None
    finally:
        os.close(fd)
