"""Deleting for good, among files that others made: nothing outside is ever touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.removal import Removed, remove_tree
from cacheadmin.inventory.measurement import Measuring
from cacheadmin.readers import Readers


def remove(folder: Path, name: str) -> Removed:
    fd = os.open(folder, os.O_RDONLY)
    try:
        return remove_tree(fd, name, device=folder.stat().st_dev)
    finally:
        os.close(fd)


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "link").symlink_to(precious)
    (tree / "inner" / "file").symlink_to(precious / "file")
    assert remove(tmp_path, "tree").failures == []
    assert not tree.exists()
    assert (precious / "file").read_text() == "x"
    (tmp_path / "link").symlink_to(precious)
    remove(tmp_path, "link")
    assert (precious / "file").exists()


@pytest.mark.long
def test_a_hundred_thousand_folders_deep(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(100_000):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    removed = remove(tmp_path, "d")
    assert removed.failures == []
    assert removed.files == 100_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_a_filesystem_mounted_inside_is_not_entered(tmp_path: Path) -> None:
    mounted = tmp_path / "tree" / "mounted"
    mounted.mkdir(parents=True)
    mounting = subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=False)
    if mounting.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (mounted / "precious").write_text("x")
        (tmp_path / "tree" / "rubbish").write_text("x")
        failures = remove(tmp_path, "tree").failures
        assert ("tree/mounted", "another filesystem is mounted there") in failures
        assert (mounted / "precious").read_text() == "x"
        assert not (tmp_path / "tree" / "rubbish").exists()
    finally:
        subprocess.run(["umount", mounted], check=True)


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """Bind a folder to a place of the same filesystem, for a while; folders above may move."""
    mounting = subprocess.run(["mount", "--bind", source, place], check=False)
    if mounting.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        # The only mounts of this test; a removal may have moved the folders above.
        within = f"{source.parent}/"
        for mount in read_mounts():
            if mount.mount_point.startswith(within):
                subprocess.run(["umount", mount.mount_point], check=True)


@pytest.mark.root
@pytest.mark.parametrize("depth", [1, 100])
def test_a_folder_of_the_same_filesystem_bound_inside_keeps_its_files(
    tmp_path: Path, depth: int
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    tree = tmp_path / "tree"
    place = tree.joinpath(*["d"] * depth, "bound")
    place.mkdir(parents=True)
    (tree / "rubbish").write_text("x")
    with bound(precious, place):
        ((path, reason),) = remove(tmp_path, "tree").failures
        assert (path.endswith("/bound"), reason) == (True, "another filesystem is mounted there")
        assert (precious / "file").read_text() == "x"
        assert not (tree / "rubbish").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"precious", "tree"}
    assert remove(tmp_path, "tree").failures == []
    assert {path.name for path in tmp_path.iterdir()} == {"precious"}


@pytest.mark.root
def test_a_bound_folder_is_not_emptied_when_it_is_named_itself(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (tmp_path / "place").mkdir()
    with bound(precious, tmp_path / "place"):
        assert remove(tmp_path, "place").failures
        assert (precious / "file").exists()


SWAPPING = """
import os, sys
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    for one, other in (("d", "aside"), ("link", "d"), ("d", "link"), ("aside", "d")):
        try:
            os.rename(one, other)
        except OSError:
            pass
"""


def test_a_link_swapped_in_meanwhile_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    for name in "abc":
        (precious / name).mkdir(parents=True)
        (precious / name / "file").write_text("x")
    trees = tmp_path / "trees"
    trees.mkdir()
    command = [sys.executable, "-c", SWAPPING, trees]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapping:
        try:
            assert swapping.stdout is not None
            swapping.stdout.readline()
            for _ in range(300):
                try:
                    for name in "abc":
                        (trees / "d" / name).mkdir(parents=True, exist_ok=True)
                        (trees / "d" / name / "file").touch()
                    (trees / "link").symlink_to(precious)
                except OSError:
                    pass
                remove(trees, "d")
        finally:
            swapping.kill()
    assert all((precious / name / "file").read_text() == "x" for name in "abc")


@pytest.mark.root
def test_an_owner_removes_folders_made_unwritable(open_folder: Path, three_users) -> None:
    (ana, *_) = three_users
    os.chown(open_folder, ana.uid, ana.gid)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(ana.gid)
        os.setuid(ana.uid)
        (open_folder / "tree" / "closed").mkdir(parents=True)
        (open_folder / "tree" / "closed" / "file").write_text("x")
        (open_folder / "tree" / "closed").chmod(0o500)
        (open_folder / "tree").chmod(0o000)
        os._exit(0 if remove(open_folder, "tree").failures == [] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not (open_folder / "tree").exists()


def test_a_hardlink_from_elsewhere_is_not_reclaimable(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "alone").write_bytes(b"x" * 8192)
    (tree / "shared").write_bytes(b"x" * 8192)
    os.link(tree / "shared", tmp_path / "outside")
    (tree / "twice").write_bytes(b"x" * 8192)
    os.link(tree / "twice", tree / "twice-again")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with Readers(keep=(fd,)) as readers:
            size = Measuring(readers, fd).each(["tree"])["tree"]
    finally:
        os.close(fd)
    own = tree.stat().st_blocks * 512
    assert size.logical_bytes >= 3 * 8192
    assert size.reclaimable_bytes == own + 2 * 8192
    assert size.allocated_bytes == own + 3 * 8192
    assert size.files == 4
