"""Bounded readers of ``/proc/PID``: what one process runs, maps, holds open.

A process may vanish at any moment and belong to any user; what it is called,
its arguments and environment are its own choice. ``maps`` is read, never
``smaps``: the latter walks page tables and costs a hundred times as much.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.evidence.executed_path import executed_path, is_overwritten
from cacheadmin.fs.small_files import ReadFailure, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# The kernel caps arguments and environment at a few MiB (ARG_MAX).
_MAX_TEXT = 4 * 1024 * 1024
_MAX_MAPS = 64 * 1024 * 1024
_MAX_DESCRIPTORS = 65_536

_COMMAND_LENGTH = 120

# What the kernel puts behind the path of a file that has none any more.
DELETED = " (deleted)"

# Looks at a process that starts a program: 50 ms and more, where it takes microseconds.
_LOOKS = 50
_BETWEEN_LOOKS = 0.001

# PF_KTHREAD of the kernel, in field 9 of proc_pid_stat(5).
_KERNEL_THREAD = 0x00200000


@dataclass(frozen=True)
class ProcessFiles:
    """What the kernel tells of one process.

    Paths are as the kernel or the process names them (`root_for_kernel`, `root_for_itself`).
    """

    pid: int
    """Its process id."""
    uid: int
    """The account it runs as."""
    command_line: bytes
    """Its arguments as the kernel has them, each ended by NUL; empty where it has none."""
    executable: str = ""
    """Path of its program; empty where that is closed to us."""
    folder: str = ""
    """Its working directory; empty where that is closed to us."""
    environ: bytes = b""
    """The variables it was started with as the kernel has them, each ended by NUL."""
    mapped: frozenset[bytes] = frozenset()
    """Paths of mapped files on the cache's filesystem; empty where they were not asked for."""
    descriptors: tuple[str, ...] = ()
    """Absolute paths of the files and folders it has open."""
    started_as: str = ""
    """What was executed, as its parent named it, where arguments or variables are overwritten.

    Empty where they are not, and where that is closed to us.
    """
    other_mounts: bool = False
    """Whether it is in another mount namespace than we are, or that is closed to us."""
    other_root: bool = False
    """Whether its root is another folder than ``/``, as after ``chroot``."""
    denied: bool = False
    """Whether the caller may not look into it: only program and arguments can be known then."""

    @property
    def root_for_kernel(self) -> str:
        """What to put before a path that the kernel tells of it, "" for nothing.

        In other mounts the same path is another file. For a process that only
        lives in a ``chroot`` the kernel tells paths as we know them.
        """
        return f"/proc/{self.pid}/root" if self.other_mounts else ""

    @property
    def root_for_itself(self) -> str:
        """What to put before a path that it names itself, as in its environment."""
        return f"/proc/{self.pid}/root" if self.other_mounts or self.other_root else ""

    def place_of(self, named: str) -> tuple[str, str]:
        """Return (what to put before, absolute path) for a path that the process names."""
        if named.startswith("/"):
            return self.root_for_itself, named
        return self.root_for_kernel, f"{self.folder}/{named}"

    @cached_property
    def has_overwritten(self) -> bool:
        """Whether it has written something else over the variables it was started with.

        Programs show a title there (``setproctitle``: gunicorn, celery, ray), and leave zeros
        in the place of the rest.
        """
        return is_overwritten(self.environ)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The command line, split."""
        parts = self.command_line.removesuffix(b"\0").split(b"\0")
        return tuple(map(os.fsdecode, parts)) if self.command_line else ()

    @property
    def command(self) -> str:
        """The command line as reports show it, cut after some words."""
        return " ".join(self.arguments)[:_COMMAND_LENGTH]

    def variable(self, name: str) -> str:
        """Return a variable of the environment it was started with; empty where unset."""
        mark = b"\0" + os.fsencode(name) + b"="
        found = (b"\0" + self.environ).partition(mark)[2]
        return os.fsdecode(found.partition(b"\0")[0])


def own_mount_namespace() -> str:
    """Return the name of the mount namespace that this process is in now."""
    return os.readlink("/proc/self/ns/mnt")


def process_ids() -> list[int]:
    """Return the pids that exist now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def in_other_mounts() -> Iterator[int]:
    """Yield one process of each mount namespace but our own.

    Those that the caller may not look at are left out: they are told as unseen processes.
    """
    seen = {own_mount_namespace()}
    for pid in process_ids():
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")
        except OSError:
            # Gone, or another's.
            continue
        if namespace not in seen:
            seen.add(namespace)
            yield pid


def start_of(pid: int) -> tuple[int, int] | None:
    """Return (parent's pid, start in clock ticks since boot); None when it is gone.

    The most expensive of all reads here: asked for only where it is needed.
    """
    fields = _stat_fields(pid)
    try:
        return int(fields[1]), int(fields[19])
    except (IndexError, ValueError):
        return None


def _stat_fields(pid: int) -> list[bytes]:
    """Return the fields of proc_pid_stat(5) from the third on; none when it is gone."""
    content = _read(f"/proc/{pid}/stat", 4096) or b""
    # The name in parentheses may hold anything, closing parentheses too.
    return content.rpartition(b")")[2].split()


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children, whichever of its threads started them."""
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                children += map(int, file.read().split())
    except FileNotFoundError:
        # A thread that ended, or a kernel without this file: all are asked for their parent.
        started = ((other, start_of(other)) for other in process_ids())
        return [other for other, start in started if start is not None and start[0] == pid]
    except OSError:
        return []
    return children


def device_in_maps(folder: str) -> bytes | None:
    """Return how ``maps`` names the filesystem of a cache (``08:01``); None where unknown.

    On btrfs and overlayfs it is not the device that ``stat`` tells, so a file
    of the cache is mapped and looked up.
    """
    opened = open_file(f"{folder}/CACHEDIR.TAG")
    if isinstance(opened, ReadFailure):
        return None
    fd, status = opened
    try:
        if not status.st_size:
            return None
        with mmap.mmap(fd, 1, access=mmap.ACCESS_READ):
            content = _read("/proc/self/maps", _MAX_MAPS) or b""
    except OSError:
        return None
    finally:
        os.close(fd)
    for line in content.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[4] == str(status.st_ino).encode():
            return fields[3]
    return None


def mapped_files(device: bytes | None) -> re.Pattern[bytes]:
    """Return what finds the paths of mapped files of one filesystem (None: of any)."""
    wanted = rb"[0-9a-f]+:[0-9a-f]+" if device is None else re.escape(device)
    return re.compile(rb" " + wanted + rb" [1-9][0-9]* +(/[^\n]*)")


def read_process(
    pid: int, own_mounts: str, mapped: re.Pattern[bytes] | None = None
) -> ProcessFiles | None:
    """Read one process; None for kernel threads and those that are gone.

    ``own_mounts`` is what ``own_mount_namespace`` tells;
    ``mapped`` (``mapped_files``) picks the mapped files that matter, None: none.

    In the midst of ``execve`` a process has its new executable, but no arguments
    and no environment yet (experiment: one in 200 looks at a uv that starts, in
    test_a_process_that_starts_is_seen_with_its_environment); one that ends
    loses them first. Such a process is looked at again. One that has thrown them
    away is not: a thousand of these would hold up a prune, and its lock, for minutes.
    """
    before = None
    for _ in range(_LOOKS):
        image = None if before is None else _image_of(pid)
        found = _look_at(pid, own_mounts, mapped)
        if found is None or found.denied or (found.command_line and found.environ):
            return found
        if image is not None and image == _image_of(pid):
            # It really was started without, or keeps them where we can't look.
            return found
        before = found
        time.sleep(_BETWEEN_LOOKS)
    return before


def _image_of(pid: int) -> tuple[bytes, ...] | None:
    """Return where the kernel has put a process's arguments and environment.

    None before it has, and when the process has ended: where they end is zero
    then, and no process can make it so itself (``arg_start`` to ``env_end``,
    fields 48 to 51 of proc_pid_stat(5)). Another ``execve`` puts them elsewhere.
    """
    fields = _stat_fields(pid)
    return tuple(fields[45:49]) if len(fields) > 48 and fields[48] != b"0" else None


def _look_at(pid: int, own_mounts: str, mapped: re.Pattern[bytes] | None) -> ProcessFiles | None:
    base = f"/proc/{pid}"
    try:
        executable = os.readlink(f"{base}/exe")
    except PermissionError:
        return _denied(pid)
    except OSError:
        # Kernel threads have no executable; zombies have none any more.
        return None
    try:
        uid = os.stat(base).st_uid
        fd = os.open(f"{base}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        # Its executable is shown, what it does is not.
        return _denied(pid, executable)
    except OSError:
        return None
    try:
        environ = _read_open(fd, _MAX_TEXT) or b""
    finally:
        os.close(fd)
    try:
        other_mounts = os.readlink(f"{base}/ns/mnt") != own_mounts
    except FileNotFoundError:
        # It has just ended: a zombie has no mounts any more.
        return None
    except OSError:
        other_mounts = True
    command_line = _read(f"{base}/cmdline", _MAX_TEXT) or b""
    # A short title leaves the variables alone; zeros fill what the arguments took.
    overwritten = command_line.endswith(b"\0\0") or is_overwritten(environ)
    return ProcessFiles(
        pid,
        uid,
        command_line,
        executable=executable.removesuffix(DELETED),
        folder=_link(f"{base}/cwd"),
        environ=environ,
        mapped=frozenset() if mapped is None else _mapped(base, mapped),
        descriptors=_descriptors(base),
        started_as=executed_path(base) if overwritten else "",
        other_mounts=other_mounts,
        other_root=_link(f"{base}/root") not in ("/", ""),
    )


def _denied(pid: int, executable: str = "") -> ProcessFiles | None:
    """Return what every user may know of a process; None for kernel threads, which use nothing."""
    fields = _stat_fields(pid)
    if len(fields) > 6 and fields[6].isdigit() and int(fields[6]) & _KERNEL_THREAD:
        return None
    uid = _account_of(pid)
    if uid is None:
        return None
    command_line = _read(f"/proc/{pid}/cmdline", _MAX_TEXT) or b""
    return ProcessFiles(pid, uid, command_line, executable=executable, denied=True)


def _account_of(pid: int) -> int | None:
    """Return whose process it is; None when it is gone.

    The files of one that may not be dumped, such as an ssh-agent, belong to root.
    """
    for line in (_read(f"/proc/{pid}/status", 4096) or b"").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _mapped(base: str, mapped: re.Pattern[bytes]) -> frozenset[bytes]:
    return frozenset(mapped.findall(_read(f"{base}/maps", _MAX_MAPS) or b""))


def _descriptors(base: str) -> tuple[str, ...]:
    try:
        names = os.listdir(f"{base}/fd")[:_MAX_DESCRIPTORS]
    except OSError:
        return ()
    links = (_link(f"{base}/fd/{name}") for name in names)
    return tuple(link for link in links if link.startswith("/"))


def _link(path: str) -> str:
    try:
        return os.readlink(path).removesuffix(DELETED)
    except OSError:
        return ""


def _read(path: str, limit: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read_open(fd, limit)
    finally:
        os.close(fd)


def _read_open(fd: int, limit: int) -> bytes | None:
    parts = []
    try:
        while limit > 0 and (part := os.read(fd, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
    except OSError:
        return None
    return b"".join(parts)
