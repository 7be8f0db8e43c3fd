"""A block device that notes every write, discard and flush in their order.

    with RecordedDisk.made(folder, "ext4") as disk:
        ...                          # work below disk.mounted
        before = disk.settled()      # how many entries the log has, all of them on the disk
    image_of(disk.log_entries()[:before], size, file)

The device is a loop device over a file that QEMU's storage daemon serves by FUSE; its
``blklogwrites`` driver writes the log, in the format of the kernel's dm-log-writes. So the
filesystem is the kernel's own, and neither nbd nor device mapper is needed. As root.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import until

SECTOR = 512
KINDS = ("ext4", "xfs")

_DAEMON = "qemu-storage-daemon"
_MIB = 2**20
_SIZES = {"ext4": 64 * _MIB, "xfs": 320 * _MIB}
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_WAIT_SECONDS = 20.0

_MAGIC = 0x6A736677736872
_HEAD = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD = 1, 2, 4


@dataclass(frozen=True)
class Entry:
    """One request that the disk was asked for."""

    offset: int
    """Where on the disk it writes (bytes)."""

    content: bytes
    """What it writes; empty for a flush."""

    flushes: bool
    """Whether everything before it is on the disk when it returns."""

    lasts: bool
    """Whether its own content is on the disk when it returns."""


def why_not(kind: str) -> str:
    """Return why no such disk can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "only root mounts disks"
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        return "the kernel has no FUSE, or no loop devices"
    missing = [name for name in (_DAEMON, _MAKE[kind][0], "losetup") if _which(name) is None]
    return f"missing: {', '.join(missing)}" if missing else ""


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass
class RecordedDisk:
    """One that is mounted."""

    kind: str
    folder: Path

    @classmethod
    @contextmanager
    def made(cls, folder: Path, kind: str) -> Iterator[RecordedDisk]:
        """Serve, format and mount a new disk in an empty folder."""
        disk = cls(kind, folder)
        for name in ("disk", "log", "served"):
            (folder / name).touch()
        os.truncate(folder / "disk", disk.size)
        with disk._served():
            device = _run("losetup", "--find", "--show", str(folder / "served"))
            try:
                _run(*_MAKE[kind], device)
                with mounted(kind, device, disk.mounted):
                    yield disk
            finally:
                _run("losetup", "--detach", device)

    @property
    def size(self) -> int:
        """How large it is (bytes)."""
        return _SIZES[self.kind]

    @property
    def mounted(self) -> Path:
        """Where it is mounted, and where what is left of it will be."""
        return self.folder / "mounted"

    def settled(self) -> int:
        """Have everything written; return how many entries the log has then."""
        _run("sync", "-f", str(self.mounted))
        return len(self.log_entries())

    def log_entries(self) -> list[Entry]:
        """Return the whole log."""
        with (self.folder / "log").open("rb") as file:
            content = file.read()
        magic, _, _, sector = struct.unpack_from("<QQQI", content)
        assert magic == _MAGIC, "this is no log of writes"
        found, place = [], sector
        while place + _HEAD.size <= len(content):
            first, sectors, flags, _ = _HEAD.unpack_from(content, place)
            place += sector
            length = sectors * sector
            # What was discarded reads as zeros: the file below has a hole there.
            written = bytes(length) if flags & _DISCARD else content[place : place + length]
            if len(written) < length:
                break
            found.append(Entry(first * sector, written, bool(flags & _FLUSH), bool(flags & _FUA)))
            place += 0 if flags & _DISCARD else length
        return found

    @contextmanager
    def _served(self) -> Iterator[None]:
        served = self.folder / "served"
        process = subprocess.Popen(
            [
                _DAEMON,
                *("--blockdev", f"file,node-name=disk,filename={self.folder}/disk"),
                *("--blockdev", f"file,node-name=log,filename={self.folder}/log"),
                *("--blockdev", "blklogwrites,node-name=noted,file=disk,log=log"),
                "--export",
                f"fuse,id=served,node-name=noted,mountpoint={served},writable=on",
            ]
        )
        try:
            until(
                lambda: os.stat(served).st_size == self.size or process.poll() is not None,
                _WAIT_SECONDS,
            )
            assert process.poll() is None, f"{_DAEMON} left with {process.returncode}"
            yield
        finally:
            process.terminate()
            process.wait(timeout=_WAIT_SECONDS)


@contextmanager
def mounted(kind: str, device: str, place: Path, *options: str) -> Iterator[None]:
    """Mount a device; where it is a file, by a loop device."""
    place.mkdir(exist_ok=True)
    _run("mount", "-t", kind, *options, device, str(place))
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    def unmounted() -> bool:
        # What a command started may still be on its way out.
        with suppress(subprocess.CalledProcessError):
            _run("umount", str(place))
            return True
        return False

    until(unmounted, _WAIT_SECONDS, pause=0.05)


def write_image(entries: Iterable[Entry], size: int, image: Path) -> None:
    """Write what a disk of zeros holds after these entries."""
    with image.open("wb") as file:
        file.truncate(size)
        apply_entries(file.fileno(), entries)


def apply_entries(fd: int, entries: Iterable[Entry]) -> None:
    """Do to an image what these entries did to the disk."""
    for entry in entries:
        if entry.content.strip(b"\0") or not _is_hole(fd, entry):
            os.pwrite(fd, entry.content, entry.offset)


def _is_hole(fd: int, entry: Entry) -> bool:
    """Whether an image has nothing there: zeros need no room then."""
    try:
        return os.lseek(fd, entry.offset, os.SEEK_DATA) >= entry.offset + len(entry.content)
    except OSError:
        return True


def _run(*words: str) -> str:
    program = _which(words[0])
    assert program is not None, words[0]
    done = subprocess.run([program, *words[1:]], check=False, capture_output=True, text=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
    return done.stdout.strip()
