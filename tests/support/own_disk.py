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

from tests.support import taking_turns

_PREFIX = "cacheadmin-disk-"
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
        _unmount(mounted)
        os.environ.clear()
        os.environ.update(config.stash[_VARIABLES])
        tempfile.tempdir = None


def _deletes_are_slow(folder: str) -> bool:
    found = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--target", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    kind, _, source = found.stdout.strip().partition(" ")
    device = Path(source.strip()).name
    journals = Path("/proc/fs/jbd2")
    return kind == "ext4" and not list(journals.glob(f"{device}-*"))


def _mount() -> Path | None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which(_MAKE[0], path=path)
    free_gib = shutil.disk_usage(tempfile.gettempdir()).free // 2**30
    # A third, at most: what the machine has is others' too.
    size_gib = min(_MOST_GIB, free_gib // 3)
    if program is None or size_gib < 4:
        return None
    mounted = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    image = mounted.with_suffix(".img")
    try:
        with image.open("wb") as file:
            file.truncate(size_gib * 2**30)
        for command in (
            [program, *_MAKE[1:], image],
            ["mount", "-t", "ext4", "-o", _OPTIONS, image, mounted],
        ):
            if subprocess.run(command, check=False, capture_output=True).returncode:
                mounted.rmdir()
                return None
    finally:
        image.unlink()
    mounted.chmod(0o1777)
    (mounted / "lost+found").rmdir()
    return mounted


def _take_away_what_killed_runs_left() -> None:
    for mounted in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = mounted.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            _unmount(mounted)


def _unmount(mounted: Path) -> None:
    """Unmount it, also while a process that a test left behind holds it."""
    subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
    with suppress(OSError):
        mounted.rmdir()
