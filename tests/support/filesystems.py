"""Filesystems of our own, in a file: to see what really comes back (needs root).

with filesystem("xfs", folder) as mounted: ...    # skips where it can't be had
free_bytes(mounted)                               # what `df` shows
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
    "btrfs": ["mkfs.btrfs", "-q"],
}


@contextmanager
def filesystem(
    kind: str, folder: Path, size_mib: int = 768, options: str = "relatime"
) -> Iterator[Path]:
    """Make and mount a filesystem, as ``folder/kind``; open to every user."""
    command = _MAKE[kind]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    program = shutil.which(command[0], path=path)
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    image = folder / f"{kind}.img"
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    subprocess.run([program, *command[1:], image], check=True, capture_output=True)
    mounted = folder / kind
    mounted.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", kind, "-o", f"loop,{options}", image, mounted],
        check=False,
        capture_output=True,
    )
    if mounting.returncode:
        pytest.skip(f"{kind} can't be mounted here: {os.fsdecode(mounting.stderr).strip()}")
    try:
        mounted.chmod(0o755)
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)
        image.unlink()


def free_bytes(mounted: Path) -> int:
    """Return the free bytes, once everything that was freed or written is settled.

    Filesystems free inodes and blocks in the background: the number is taken
    when it has stood still for a while.
    """
    last, still = -1, 0
    for _ in range(100):
        subprocess.run(["sync", "-f", mounted], check=True)
        status = os.statvfs(mounted)
        free = status.f_bfree * status.f_frsize
        still = still + 1 if free == last else 0
        if still == 5:
            return free
        last = free
        time.sleep(0.1)
    raise AssertionError(f"the free space of {mounted} never stands still")
