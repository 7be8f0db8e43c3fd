"""Shared extents of real files on XFS: fragmented ones, hostile ones, and what holds them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cacheadmin.fs import extents
from cacheadmin.fs.charges import FilesystemCosts, charges_of
from cacheadmin.fs.measurement import Walk
from cacheadmin.inventory.measurement import Measuring
from cacheadmin.readers import Readers

pytestmark = pytest.mark.root

BLOCK = 4096


@pytest.fixture
def tree(xfs: Path) -> Iterator[Path]:
    folder = xfs / "tree"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def root_fd(xfs: Path) -> Iterator[int]:
    fd = os.open(xfs, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def measuring(root_fd: int) -> Iterator[Callable[[FilesystemCosts], Measuring]]:
    """Return what measures below the root, in readers forked at that moment."""
    with ExitStack() as stack:

        def make(charges: FilesystemCosts) -> Measuring:
            readers = stack.enter_context(Readers(keep=(root_fd,)))
            return Measuring(readers, root_fd, charges)

        yield make


def fragmented(path: Path, pieces: int) -> int:
    """Write every second block of a file; return the bytes written."""
    with path.open("wb") as file:
        for number in range(pieces):
            os.pwrite(file.fileno(), os.urandom(BLOCK), 2 * number * BLOCK)
        os.fsync(file.fileno())
    return pieces * BLOCK


def clone(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--reflink=always", source, target], check=True)


def shared_bytes(path: Path) -> int:
    return sum(end - start for start, end in extents.shared_extents(os.fspath(path)).ranges)


def test_a_file_of_very_many_extents_is_read_to_its_end(tree: Path) -> None:
    written = fragmented(tree / "a", 1000)
    assert shared_bytes(tree / "a") == 0
    clone(tree / "a", tree / "b")
    assert shared_bytes(tree / "a") == shared_bytes(tree / "b") == written
    # What is written anew is its own again, and only that.
    with (tree / "b").open("r+b") as file:
        os.pwrite(file.fileno(), os.urandom(BLOCK), 0)
        os.fsync(file.fileno())
    assert shared_bytes(tree / "a") == shared_bytes(tree / "b") == written - BLOCK


def test_a_file_of_more_extents_than_anybody_reads_counts_as_staying(
    tree: Path,
    measuring: Callable[[FilesystemCosts], Measuring],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fragmented(tree / "a", 1000)
    before = measuring(FilesystemCosts(clones=True)).each(["tree"])["tree"]
    assert before.reclaimable_bytes == before.allocated_bytes
    monkeypatch.setattr(extents, "_MAX_CALLS", 2)
    after = measuring(FilesystemCosts(clones=True)).each(["tree"])["tree"]
    assert after.allocated_bytes == before.allocated_bytes
    assert after.reclaimable_bytes < BLOCK * 10


def test_clones_are_held_by_what_stays(
    tree: Path, root_fd: int, measuring: Callable[[FilesystemCosts], Measuring]
) -> None:
    for name in ("one", "two", "three"):
        (tree / name).mkdir()
    written = fragmented(tree / "one" / "a", 20)
    clone(tree / "one" / "a", tree / "two" / "a")
    asked = []

    def elsewhere() -> list[tuple[int, int]]:
        asked.append(True)
        return list(below.extents(["tree"], leave_out={"tree/one", "tree/two"}))

    going = ["tree/one", "tree/two"]
    below = measuring(charges_of(root_fd, "xfs"))
    alone = below.together(["tree/one"], elsewhere)
    assert not asked
    assert alone["tree/one"].reclaimable_bytes < written
    both = below.together(going, elsewhere)
    assert len(asked) == 1
    assert both.together(going).reclaimable_bytes >= written
    clone(tree / "one" / "a", tree / "three" / "a")
    held = below.together(going, elsewhere)
    assert held.together(going).reclaimable_bytes < written


def test_inodes_count_where_they_come_back(
    root_fd: int, tree: Path, measuring: Callable[[FilesystemCosts], Measuring]
) -> None:
    charges = charges_of(root_fd, "xfs")
    assert charges == FilesystemCosts(clones=True, inode_bytes=512)
    (tree / "empty").touch()
    assert measuring(charges).each(["tree/empty"])["tree/empty"].reclaimable_bytes == 512
    assert charges_of(root_fd, "ext4") == FilesystemCosts()


def test_nothing_but_regular_files_is_opened(tree: Path, root_fd: int) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "device").symlink_to("/dev/zero")
    (tree / "elsewhere").symlink_to("/etc")
    os.mknod(tree / "null", 0o600 | 0o020000, os.makedev(1, 3))
    walk_failures = _walk(root_fd)
    assert walk_failures == []
    assert extents.shared_extents(os.fspath(tree / "fifo")).ranges == ()
    with pytest.raises(OSError, match="symbolic links"):
        extents.shared_extents(os.fspath(tree / "device"))


def _walk(root_fd: int) -> list[object]:
    from cacheadmin.accounting import Tally

    tally = Tally()
    walk = Walk(lambda _path, _status: tally, FilesystemCosts(clones=True))
    assert list(walk.steps(root_fd, "tree")) == []
    assert tally.files == 5
    return list(walk.failures)
