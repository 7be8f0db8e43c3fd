"""Who holds or waits for the cache's ``.lock``: from ``/proc/locks`` and open files.

A line of ``/proc/locks`` names a process and a file by device and inode. The
device there is the filesystem's own, on btrfs and overlayfs not the one that
``stat`` tells; and a ``.lock`` that an older uv's prune deleted is still held
by whoever opened it before. So of each process with a lock on the cache's
filesystem the open files are looked at: one of them is, or was, this cache's
``.lock``.

Anybody can hold thousands of locks, on files of their own: each process is
looked at once, whatever the number of its locks, and so many open files of
each account. What is beyond that could be a deleted ``.lock``, and counts as one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
from cacheadmin.fs.mounts import mount_of, read_mounts
from cacheadmin.fs.reading import ReadFailure, read_file

# What a guard of ours holds locked in the quarantine for as long as it holds uv's lock.
GUARD_FILE = "guard.holding"

_FileIdentity = tuple[int, int, int]

# Open files looked at of one account, in all its processes that hold locks on the
# cache's filesystem. Each costs a few microseconds, under uv's lock too.
_MAX_DESCRIPTORS_OF_ONE = 20_000


@dataclass(frozen=True, slots=True)
class FileLock:
    """One lock of ``/proc/locks``; ``file`` is (major, minor, inode).

    ``posix``: a lock of fcntl(2), as this host's NFS server takes it for its clients.
    """

    pid: int
    exclusive: bool
    waiting: bool
    file: _FileIdentity
    posix: bool = False


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
    holders = _holders(lines, _Lock(cache_path.rstrip("/"), device, inode))
    guards = _Guards(lines, cache_path)
    return tuple(replace(one, is_guard=True) if guards.has(one) else one for one in holders)


class _Guards:
    """Tells our own guard: it holds a file of the quarantine locked, too.

    Only root and the cache's owner can open that file. Any program can call
    itself a guard.
    """

    def __init__(self, lines: list[bytes], cache_path: str) -> None:
        self._locks = {
            (found.pid, found.file[2])
            for found in map(parse_lock, lines)
            if found is not None and not found.waiting
        }
        self._trusted = {0}
        try:
            self._trusted.add(os.stat(cache_path).st_uid)
        except OSError:
            pass

    def has(self, holder: LockHolder) -> bool:
        """Whether a holder of uv's lock is a guard."""
        if holder.exclusive or holder.unlinked or holder.uid not in self._trusted:
            return False
        try:
            numbers = os.listdir(f"/proc/{holder.pid}/fd")
        except PermissionError:
            # Closed to us. Root and the cache's owner call nothing a guard that is none.
            return _calls_itself_guard(holder.command)
        except OSError:
            return False
        return any(self._is_guards(holder.pid, number) for number in numbers)

    def _is_guards(self, pid: int, number: str) -> bool:
        path = f"/proc/{pid}/fd/{number}"
        try:
            if os.path.basename(os.readlink(path)) != GUARD_FILE:
                return False
            status = os.stat(path)
        except OSError:
            return False
        ours = status.st_uid in self._trusted and not stat.S_IMODE(status.st_mode) & 0o077
        return ours and (pid, status.st_ino) in self._locks


def _calls_itself_guard(command: str) -> bool:
    return "cacheadmin" in command and " guard" in command


def _holders(lines: list[bytes], lock: _Lock) -> Iterator[LockHolder]:
    boot = boot_ns()
    others: dict[int, list[FileLock]] = {}
    device = _device_in_locks(lock.folder)
    for found in filter(None, map(parse_lock, lines)):
        if found.file == lock.file and lock.inode is not None:
            yield _holder(found, _process(found.pid), unlinked=False, boot=boot)
        elif found.pid > 0 and not found.posix and device in (None, found.file[:2]):
            others.setdefault(found.pid, []).append(found)
    left: dict[int, int] = {}
    for pid, locks in others.items():
        uid = _owner(pid)
        numbers = _descriptors(pid)
        left[uid] = left.get(uid, _MAX_DESCRIPTORS_OF_ONE) - len(numbers)
        if left[uid] < 0:
            # Nobody knows what they are: one may be a lock that was deleted.
            yield _holder(locks[0], _process(pid), unlinked=True, boot=boot)
            continue
        for found, unlinked in _among_open_files(pid, numbers, locks, lock):
            yield _holder(found, _process(pid), unlinked=unlinked, boot=boot)


def _device_in_locks(folder: str) -> tuple[int, int] | None:
    """Return the device (major, minor) by which ``/proc/locks`` knows the cache's filesystem.

    As the table of mounts has it: the filesystem's own. None where that can't be told.
    """
    try:
        device = mount_of(folder, read_mounts()).device
    except (OSError, ValueError, IndexError):
        return None
    return os.major(device), os.minor(device)


def _process(pid: int) -> ProcessFiles | None:
    return read_process(pid, own_mount_namespace()) if pid > 0 else None


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _among_open_files(
    pid: int, numbers: list[str], locks: list[FileLock], lock: _Lock
) -> Iterator[tuple[FileLock, bool]]:
    """Yield those of a process's locks that are on this cache's ``.lock``: (it, is deleted)."""
    by_inode = {found.file[2]: found for found in locks}
    for number in numbers:
        path = f"/proc/{pid}/fd/{number}"
        try:
            name = os.readlink(path)
            if not name.removesuffix(DELETED).endswith("/.lock"):
                continue
            status = os.stat(path)
        except OSError:
            continue
        found = by_inode.get(status.st_ino)
        if found is None or status.st_dev != lock.device:
            continue
        if status.st_ino == lock.inode and status.st_nlink:
            yield by_inode.pop(status.st_ino), False
        elif status.st_nlink == 0:
            process = _process(pid)
            if process is not None and _lay_in(name, process, lock):
                yield by_inode.pop(status.st_ino), True


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


def _holder(
    found: FileLock, process: ProcessFiles | None, *, unlinked: bool, boot: int
) -> LockHolder:
    server = _server_of_files(found)
    if process is None or server:
        return LockHolder(
            found.pid,
            None,
            found.exclusive,
            found.waiting,
            server,
            unlinked=unlinked,
            host="a client of this host's NFS server" if server else "",
        )
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


def _server_of_files(found: FileLock) -> str:
    """Return the name of the kernel thread that holds a lock for another host; else nothing."""
    if not found.posix or found.pid <= 0:
        return ""
    name = read_file(f"/proc/{found.pid}/comm", 100)
    word = "" if isinstance(name, ReadFailure) else name.decode("ascii", "replace").strip()
    # Any program can call itself so, but only a kernel thread has no arguments.
    arguments = read_file(f"/proc/{found.pid}/cmdline", 100)
    return word if word in ("nfsd", "lockd") and arguments == b"" else ""


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
    """Return a FLOCK or POSIX line of ``/proc/locks``; None for other kinds of locks."""
    fields = line.split()
    if not fields:
        return None
    waiting = len(fields) > 1 and fields[1] == b"->"
    fields = fields[2:] if waiting else fields[1:]
    if len(fields) < 5 or fields[0] not in (b"FLOCK", b"POSIX"):
        return None
    try:
        major, minor, inode = fields[4].split(b":")
        identity = (int(major, 16), int(minor, 16), int(inode))
        exclusive, posix = fields[2] == b"WRITE", fields[0] == b"POSIX"
        return FileLock(int(fields[3]), exclusive, waiting, identity, posix)
    except ValueError:
        return None
