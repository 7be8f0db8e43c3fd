"""Filesystems of our own, in a file: to see what really comes back (needs root).

with filesystem("xfs", folder) as mounted: ...    # skips where it can't be had
free_bytes(mounted)                               # what `df` shows
fill(mounted)                                     # until not a byte more fits
use_up_inodes(mounted)                            # until not a file more fits
with sshfs(served, place): ...                    # one that keeps deleted files while open
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

_SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
    "btrfs": ["mkfs.btrfs", "-q"],
}


@contextmanager
def memory(folder: Path, size_mib: int) -> Iterator[Path]:
    """Mount a filesystem in memory, as ``folder/tmpfs``; open to every user."""
    mounted = folder / "tmpfs"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=755", "tmpfs", mounted]
    subprocess.run(command, check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


@contextmanager
def mounted_tmpfs(folder: Path) -> Iterator[None]:
    """Mount a filesystem on a folder, which does not reach other mount namespaces."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    try:
        subprocess.run(["mount", "--make-private", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def moved_away(mounted: Path) -> Iterator[None]:
    """Have a filesystem mounted elsewhere for a while, as a home that is not there tonight."""
    other = mounted.with_name("elsewhere")
    other.mkdir()
    subprocess.run(["mount", "--move", mounted, other], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "--move", other, mounted], check=True)
        other.rmdir()


@contextmanager
def filesystem(
    kind: str,
    folder: Path,
    size_mib: int = 768,
    options: str = "relatime",
    make: Sequence[str] = (),
) -> Iterator[Path]:
    """Make and mount a filesystem, as ``folder/kind``; open to every user.

    ``make`` are further options of what makes it.
    """
    if kind == "tmpfs":
        with memory(folder, size_mib) as mounted:
            yield mounted
        return
    command = [*_MAKE[kind], *make]
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
        # It has stood still when so much real time brings nothing new.
        time.sleep(0.1)
    raise AssertionError(f"the free space of {mounted} never stands still")


def fill(folder: Path, name: str = "filler") -> Path:
    """Write until not a byte more fits; return the file that takes the room."""
    path = folder / name
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
                    os.fsync(file.fileno())
            except OSError as error:
                assert error.errno in (errno.ENOSPC, errno.EDQUOT), error
    return path


def use_up_inodes(folder: Path, name: str = "many") -> Path:
    """Make empty files until not one more fits; return the folder of them."""
    many = folder / name
    many.mkdir()
    number = 0
    while True:
        try:
            (many / f"{number}").touch()
        except OSError as error:
            assert error.errno in (errno.ENOSPC, errno.EDQUOT), error
            return many
        number += 1


def quota_on(mounted: Path, name: str, size_mib: int) -> Path:
    """Make a folder with a quota on btrfs, of which no number of free bytes tells; else skip."""
    folder = mounted / name
    commands = (
        ["btrfs", "quota", "enable", mounted],
        ["btrfs", "subvolume", "create", folder],
        ["btrfs", "qgroup", "limit", f"{size_mib}M", folder],
    )
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no quota here: {done.stderr.strip()}")
    folder.chmod(0o755)
    return folder


@contextmanager
def sshfs(served: Path, place: Path) -> Iterator[None]:
    """Mount a folder by sshfs, from an sftp server on the other end of a socket."""
    server = next((path for path in _SFTP_SERVERS if os.path.exists(path)), None)
    program = shutil.which("sshfs")
    if program is None or server is None:
        pytest.skip("sshfs or sftp-server is not installed")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serving = subprocess.Popen([server], stdin=theirs, stdout=theirs)
        command = [program, "-f", "-o", "passive,allow_other", f":{served}"]
        with fuse(place, command, ours):
            yield
    serving.wait(10)


@contextmanager
def shown_to(uid: int, gid: int, served: Path, place: Path) -> Iterator[None]:
    """Mount a folder by FUSE as that account does: the kernel shows it to no other, root neither.

    Root makes the mount, since fusermount wants an account with a name.
    """
    program = shutil.which("fuse-overlayfs")
    if program is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("fuse-overlayfs or /dev/fuse is missing")
    place.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={device},rootmode=40000,user_id={uid},group_id={gid}"
        words = (b"homes", os.fsencode(place), b"fuse.overlay", 6, options.encode())
        if ctypes.CDLL(None).mount(*words):
            pytest.skip("FUSE can't be mounted here")
        command = [program, "-f", "-o", f"lowerdir={served}", f"/dev/fd/{device}"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=[device])
    finally:
        os.close(device)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True, capture_output=True)
        process.kill()
        process.wait()


@contextmanager
def fuse(place: Path, command: list[str], ends: socket.socket | None = None) -> Iterator[None]:
    """Run a FUSE filesystem in the foreground until the block ends."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse")
    place.mkdir()
    process = subprocess.Popen([*command, place], stdin=ends, stdout=ends)
    try:
        until(lambda: os.path.ismount(place) or process.poll() is not None)
        if not os.path.ismount(place):
            pytest.skip(f"{command[0]} can't mount here")
        yield
    finally:
        subprocess.run(["umount", place], check=False, capture_output=True)
        process.kill()
        process.wait()
