"""Who holds or waits for the cache's ``.lock``: from ``/proc/locks`` and open files.

A line of ``/proc/locks`` names a process and a file by device and inode. The
device there is the filesystem's own, on btrfs and overlayfs not the one that
``stat`` tells; and a ``.lock`` that an older uv's prune deleted is still held
by the processes that opened it before. So of each process with a lock on the cache's
filesystem the open files are looked at: one of them is, or was, this cache's
``.lock``.

Any user can hold thousands of locks, on files of their own: each process is
looked at once, whatever the number of its locks, and so many open files of
each account. What is beyond that could be a deleted ``.lock``, and counts as one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace

from cacheadmin.evidence.facts import LockHolder
from cacheadmin.evidence.owners import owner_of_process
from cacheadmin.evidence.proc_files import (
    DELETED,
    ProcessFiles,
    own_mount_namespace,
    read_process,
    start_of,
)
from cacheadmin.evidence.processes import boot_ns, started_ns
from cacheadmin.evidence.uv_processes import is_called_uv
from cacheadmin.fs.mounts import mount_of, read_mounts
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

# What a guard of ours holds locked in the quarantine for as long as it holds uv's lock.
GUARD_FILE = "guard.holding"

_FileIdentity = tuple[int, int, int]

# Open files looked at of one account, in all its processes that hold locks on the
# cache's filesystem. Each costs a few microseconds, under uv's lock too.
_MAX_DESCRIPTORS_OF_ONE = 20_000


@frozen
class FileLock:
    """One lock of ``/proc/locks``."""

    pid: int
    """The process that holds or wants it; below 1 where the kernel gives none."""
    exclusive: bool
    """Whether it is exclusive (``WRITE``), not shared."""
    waiting: bool
    """Whether the process only waits for it."""
    file: _FileIdentity
    """The locked file: (major, minor, inode), the device as the filesystem has it."""
    posix: bool = False
    """Whether it is a lock of fcntl(2), as this host's NFS server takes it for its clients."""


@frozen
class CacheLock:
    """The cache's ``.lock`` as it is now."""

    folder: str
    """Absolute path of the cache."""
    device: int
    """Device of the cache's folder, as ``stat`` tells it."""
    inode: int | None
    """Inode of the ``.lock``; None where there is no such file."""

    @property
    def file(self) -> _FileIdentity:
        """What ``/proc/locks`` calls it; inode 0 where there is none."""
        return (os.major(self.device), os.minor(self.device), self.inode or 0)


@frozen
class LocksOf:
    """A process with locks on the cache's filesystem, to be looked at by a reader."""

    pid: int
    """Its id."""
    locks: tuple[FileLock, ...]
    """Those of its locks that are, or may be, on the cache's ``.lock``."""
    lock: CacheLock
    """That file."""
    is_sure: bool
    """Whether they are on it, by device and inode."""
    held_inodes: frozenset[int] = frozenset()
    """Inodes of all files that it holds locked."""

    @property
    def first(self) -> LockHolder:
        """What is known of its first lock without a look; one that may have been deleted was."""
        first = self.locks[0]
        uid = owner_of_process(self.pid)
        unlinked = not self.is_sure
        return LockHolder(self.pid, uid, first.exclusive, first.waiting, unlinked=unlinked)


def lock_holders(
    cache_path: str, readers: Readers | None = None, deadline_seconds: float | None = None
) -> tuple[LockHolder, ...]:
    """Return holders and waiters of ``CACHE/.lock`` on this host, of deleted ones too.

    A holder on another host of a network filesystem appears as this host's
    kernel shows it, or not at all. What readers can't look at counts as a lock
    that was deleted.
    """
    if readers is None:
        with Readers() as own:
            return lock_holders(cache_path, own, deadline_seconds)
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
    lock = CacheLock(cache_path.rstrip("/"), device, inode)
    found = [one for one in map(parse_lock, lines) if one is not None]
    unknown, to_read = _to_read(found, lock)
    answers = readers.ask_all(HOLDERS, to_read, deadline_seconds=deadline_seconds)
    read = [
        holder
        for locks, answer in zip(to_read, answers, strict=True)
        for holder in ((locks.first,) if isinstance(answer, Unreadable) else answer)
    ]
    return (*(locks.first for locks in unknown), *read)


def _to_read(found: list[FileLock], lock: CacheLock) -> tuple[list[LocksOf], list[LocksOf]]:
    """Return the processes with too much open to be looked at, and those to look at."""
    sure: list[FileLock] = []
    others: dict[int, list[FileLock]] = {}
    held: dict[int, set[int]] = {}
    device = _device_in_locks(lock.folder)
    for one in found:
        if not one.waiting:
            held.setdefault(one.pid, set()).add(one.file[2])
        if one.file == lock.file and lock.inode is not None:
            sure.append(one)
        elif one.pid > 0 and not one.posix and device in (None, one.file[:2]):
            others.setdefault(one.pid, []).append(one)
    unknown: list[LocksOf] = []
    to_read = [
        LocksOf(one.pid, (one,), lock, True, frozenset(held.get(one.pid, ()))) for one in sure
    ]
    left: dict[int | None, int] = {}
    for pid, locks in others.items():
        uid = owner_of_process(pid)
        left[uid] = left.get(uid, _MAX_DESCRIPTORS_OF_ONE) - len(_descriptors(pid))
        task = LocksOf(pid, tuple(locks), lock, False, frozenset(held.get(pid, ())))
        # What they are is not known: one may be a lock that was deleted.
        (unknown if left[uid] < 0 else to_read).append(task)
    return unknown, to_read


def read_holders(task: LocksOf) -> tuple[LockHolder, ...]:
    """Return which of a process's locks are on the cache's ``.lock``; runs in a reader."""
    boot = boot_ns()
    guards = _Guards(task)
    found = [(task.locks[0], False)] if task.is_sure else list(_among_open_files(task))
    process = _process(task.pid) if found else None
    holders = [_holder(one, process, unlinked=unlinked, boot=boot) for one, unlinked in found]
    return tuple(replace(one, is_guard=True) if guards.has(one) else one for one in holders)


def _owner_of(task: LocksOf) -> int | None:
    return owner_of_process(task.pid)


HOLDERS: Question[LocksOf, tuple[LockHolder, ...]] = Question(
    read_holders, tuple[LockHolder, ...], blame=_owner_of, together=32
)


class _Guards:
    """Tells our own guard: it holds a file of the quarantine locked, too.

    Only root and the cache's owner can open that file. Any program can call
    itself a guard.
    """

    def __init__(self, task: LocksOf) -> None:
        self._inodes = task.held_inodes
        self._trusted = {0}
        try:
            self._trusted.add(os.stat(task.lock.folder).st_uid)
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
        return ours and status.st_ino in self._inodes


def _calls_itself_guard(command: str) -> bool:
    return "cacheadmin" in command and " guard" in command


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


def _among_open_files(task: LocksOf) -> Iterator[tuple[FileLock, bool]]:
    """Yield those of a process's locks that are on this cache's ``.lock``: (it, is deleted)."""
    pid, lock = task.pid, task.lock
    by_inode = {found.file[2]: found for found in task.locks}
    for number in _descriptors(pid):
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


def _lay_in(name: str, process: ProcessFiles, lock: CacheLock) -> bool:
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


def describe_holder(holder: LockHolder, user: Callable[[int | None], str]) -> str:
    """Return who it is, since when, and what runs; enough to go and ask."""
    how = "exclusive" if holder.exclusive else "shared"
    if holder.waiting:
        how += ", waiting"
    if holder.unlinked:
        how += ", on a .lock that was deleted since"
    if holder.host and holder.uid is None:
        # A thread of the kernel's that serves files. Who it is for, only that client knows.
        return f"{how}: {holder.host} ({holder.command}, process {holder.pid} here)"
    if not holder.command:
        return f"{how}: process {holder.pid}, not on this host, or not ours to see"
    since = f", since {rfc3339(holder.started_ns)}" if holder.started_ns is not None else ""
    other = "" if holder.is_uv is not False or holder.is_guard else ", which is no uv"
    where = f" on {holder.host}" if holder.host else ""
    return (
        f"{how}: process {holder.pid} of {user(holder.uid)}{where}{since}{other}: {holder.command}"
    )


def describe_holders(path: str, user: Callable[[int | None], str]) -> tuple[str, ...]:
    """Return who holds the cache's lock now, in words."""
    return tuple(
        f"held {describe_holder(holder, user)}"
        for holder in lock_holders(path)
        if not (holder.waiting or holder.unlinked)
    )
