"""Who holds or waits for the cache's ``.lock``: from ``/proc/locks`` and open files.

A line of ``/proc/locks`` names a process and a file by device and inode. The
device there is the filesystem's own, on btrfs and overlayfs not the one that
``stat`` tells; and a ``.lock`` that an older uv's prune deleted is still held
by whoever opened it before. So of each process with a lock the open files are
looked at: one of them is, or was, this cache's ``.lock``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from cacheadmin.evidence.facts import LockHolder
from cacheadmin.evidence.proc_reading import (
    DELETED,
    ProcessFiles,
    own_mount_namespace,
    read_process,
    start_of,
)
from cacheadmin.evidence.processes import boot_ns, started_ns
from cacheadmin.evidence.uv_processes import is_called_uv

_FileIdentity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class FileLock:
    """One ``flock`` of ``/proc/locks``; ``file`` is (major, minor, inode)."""

    pid: int
    exclusive: bool
    waiting: bool
    file: _FileIdentity


@dataclass(frozen=True, slots=True)
class _Lock:
    """The cache's ``.lock`` as it is now; ``folder`` is the cache's own path."""

    folder: str
    device: int
    inode: int | None

    @property
    def file(self) -> _FileIdentity:
        return (os.major(self.device), os.minor(self.device), self.inode or 0)


def lock_holders(cache_path: str) -> tuple[LockHolder, ...]:
    """Return holders and waiters of ``CACHE/.lock`` on this host, of deleted ones too.

    A holder on another host of a network filesystem appears as this host's
    kernel shows it, or not at all.
    """
    try:
        device = os.stat(cache_path).st_dev
        with open("/proc/locks", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    try:
        inode = os.lstat(f"{cache_path}/.lock").st_ino
    except OSError:
        inode = None
    return tuple(_holders(lines, _Lock(cache_path.rstrip("/"), device, inode)))


def _holders(lines: list[bytes], lock: _Lock) -> Iterator[LockHolder]:
    boot = boot_ns()
    own_mounts = own_mount_namespace()
    for line in lines:
        found = parse_lock(line)
        if found is None:
            continue
        process = read_process(found.pid, own_mounts) if found.pid > 0 else None
        held = found.file == lock.file and lock.inode is not None
        unlinked = False
        if not held and process is not None:
            held, unlinked = _among_open_files(process, found, lock)
        if held:
            yield _holder(found, process, unlinked, boot)


def _among_open_files(process: ProcessFiles, found: FileLock, lock: _Lock) -> tuple[bool, bool]:
    """Return whether a process has locked this cache's ``.lock``, and whether a deleted one."""
    for number in _descriptors(process.pid):
        path = f"/proc/{process.pid}/fd/{number}"
        try:
            name = os.readlink(path)
            if not name.removesuffix(DELETED).endswith("/.lock"):
                continue
            status = os.stat(path)
        except OSError:
            continue
        if status.st_ino != found.file[2] or status.st_dev != lock.device:
            continue
        if status.st_ino == lock.inode and status.st_nlink:
            return True, False
        if status.st_nlink == 0 and _lay_in(name, process, lock):
            return True, True
    return False, False


def _lay_in(name: str, process: ProcessFiles, lock: _Lock) -> bool:
    """Whether a deleted file lay in the cache's root, by whatever path its process knew it."""
    folder = os.path.dirname(name.removesuffix(DELETED))
    try:
        return os.path.samefile(process.root_for_kernel + folder, lock.folder)
    except OSError:
        return False


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def _holder(found: FileLock, process: ProcessFiles | None, unlinked: bool, boot: int) -> LockHolder:
    if process is None:
        return LockHolder(found.pid, None, found.exclusive, found.waiting, unlinked=unlinked)
    started = start_of(process.pid)
    return LockHolder(
        pid=found.pid,
        uid=process.uid,
        exclusive=found.exclusive,
        waiting=found.waiting,
        command=process.command,
        started_ns=None if started is None else started_ns(started[1], boot),
        start_ticks=0 if started is None else started[1],
        unlinked=unlinked,
        is_uv=is_called_uv(process),
        host=_host_of(process),
    )


def _host_of(process: ProcessFiles) -> str:
    """Return the machine's name, or what a container that a process runs in calls itself."""
    try:
        own = os.readlink("/proc/self/ns/uts")
        if os.readlink(f"/proc/{process.pid}/ns/uts") != own:
            return process.variable("HOSTNAME") or "a container"
    except OSError:
        pass
    return os.uname().nodename


def parse_lock(line: bytes) -> FileLock | None:
    """Return a FLOCK line of ``/proc/locks``; None for other kinds of locks."""
    fields = line.split()
    if not fields:
        return None
    waiting = len(fields) > 1 and fields[1] == b"->"
    fields = fields[2:] if waiting else fields[1:]
    if len(fields) < 5 or fields[0] != b"FLOCK":
        return None
    try:
        major, minor, inode = fields[4].split(b":")
        identity = (int(major, 16), int(minor, 16), int(inode))
        return FileLock(int(fields[3]), fields[2] == b"WRITE", waiting, identity)
    except ValueError:
        return None
