"""A disk of the tests' own, where this machine's would make them slow.

An ext4 without a journal, as many virtual machines have, looks at each inode that was
deleted in the last minutes before it gives a new one. Tests delete and make ten thousands
of files: up to a third of a run's CPU time was that. So all workers then get one folder for
temporary files that lies on an ext4 with a journal, in a file that has no name any more.

Only for root, who may mount; everywhere else, and where it can't be had, tests use the
folder that the machine has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from cacheadmin.fs.mounts import mount_of
from cacheadmin.fs.trusted_files import is_own_folder
from tests.support import taking_turns

_PREFIX = "cacheadmin-disk-"
_DISK = "disk"
_MOST_GIB = 16
# A cache is many small files and links. Folders are listed in an order that this number makes:
# the same each time, so that a run fails for a change alone.
_ORDER = "hash_seed=00000000-0000-4000-8000-000000000001"
_MAKE = ["mkfs.ext4", "-q", "-F", "-i", "4096", "-m", "0", "-E", _ORDER]
# Nothing on it has to outlive a power cut; what is deleted goes back to the machine's disk.
_OPTIONS = "loop,relatime,nobarrier,discard,noinit_itable"
_MOUNTED = pytest.StashKey[Path]()
_VARIABLES = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Mount the disk before workers start, which inherit the folder."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_worker or config.option.collectonly or os.geteuid() != 0:
        return
    _take_away_what_killed_runs_left()
    if _deletes_are_slow(tempfile.gettempdir()) and (mounted := _mount()):
        config.stash[_MOUNTED], config.stash[_VARIABLES] = mounted, dict(os.environ)
        os.environ |= {taking_turns.FOLDER: tempfile.gettempdir(), "TMPDIR": str(mounted)}
        tempfile.tempdir = None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give everything back."""
    if mounted := config.stash.get(_MOUNTED, None):
        _take_away(mounted.parent)
        os.environ.clear()
        os.environ.update(config.stash[_VARIABLES])
        tempfile.tempdir = None


def _deletes_are_slow(folder: str) -> bool:
    mount = mount_of(os.path.realpath(folder))
    number = f"{os.major(mount.device)}:{os.minor(mount.device)}"
    device = Path("/sys/dev/block", number).resolve().name
    return mount.kind == "ext4" and not list(Path("/proc/fs/jbd2").glob(f"{device}-*"))


def _mount() -> Path | None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    programs = [shutil.which(name, path=path) for name in (_MAKE[0], "mount", "umount")]
    free_gib = shutil.disk_usage(tempfile.gettempdir()).free // 2**30
    # A third, at most: what the machine has is others' too.
    size_gib = min(_MOST_GIB, free_gib // 3)
    if None in programs or size_gib < 4:
        return None
    # Both lie in a folder of root's: in the other one any account could make links by their names.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)
    mounted, image = folder / _DISK, folder / "image"
    mounted.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(size_gib * 2**30)
        for command in (
            [programs[0], *_MAKE[1:], image],
            ["mount", "-t", "ext4", "-o", _OPTIONS, image, mounted],
        ):
            if subprocess.run(command, check=False, capture_output=True).returncode:
                return None
    finally:
        image.unlink()
        if not mounted.is_mount():
            _take_away(folder)
    mounted.chmod(0o1777)
    (mounted / "lost+found").rmdir()
    return mounted


def _take_away_what_killed_runs_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if is_own_folder(str(folder)) and not Path("/proc", pid).exists():
            _take_away(folder)


def _take_away(folder: Path) -> None:
    """Unmount the disk, also while a process that a test left behind holds it."""
    mounted = folder / _DISK
    if mounted.is_mount():
        subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
    with suppress(OSError):
        mounted.rmdir()
        folder.rmdir()
