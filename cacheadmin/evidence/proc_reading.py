"""Bounded readers of ``/proc/PID``: what one process runs, maps, holds open.

A process may vanish at any moment and belong to anybody; what it is called,
its arguments and environment are its own choice. ``maps`` is read, never
``smaps``: the latter walks page tables and costs a hundred times as much.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

# The kernel caps arguments and environment at a few MiB (ARG_MAX).
_MAX_TEXT = 4 * 1024 * 1024
_MAX_MAPS = 64 * 1024 * 1024
_MAX_DESCRIPTORS = 65_536


@dataclass(frozen=True, slots=True)
class ProcessFiles:
    """What the kernel tells of one process. Paths are its own names for things.

    ``denied`` is True when the caller's rights end at its door: then only
    arguments are known.
    """

    pid: int
    uid: int
    parent: int
    start_ticks: int
    arguments: tuple[str, ...]
    executable: str = ""
    folder: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    mapped: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    other_mounts: bool = False
    denied: bool = False


def process_ids() -> list[int]:
    """Return the pids that exist now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def start_of(pid: int) -> tuple[int, int] | None:
    """Return (parent's pid, start in clock ticks since boot); None when it is gone."""
    content = _read(f"/proc/{pid}/stat", 4096)
    if content is None:
        return None
    # The name in parentheses may hold anything, closing parentheses too.
    fields = content.rpartition(b")")[2].split()
    try:
        return int(fields[1]), int(fields[19])
    except (IndexError, ValueError):
        return None


def read_process(pid: int, own_mounts: str) -> ProcessFiles | None:
    """Read one process; None for kernel threads and those that are gone.

    ``own_mounts`` is the caller's mount namespace (``/proc/self/ns/mnt``).
    """
    base = f"/proc/{pid}"
    started = start_of(pid)
    if started is None:
        return None
    try:
        uid = os.stat(base).st_uid
    except OSError:
        return None
    arguments = _strings(_read(f"{base}/cmdline", _MAX_TEXT) or b"")
    try:
        executable = os.readlink(f"{base}/exe")
    except PermissionError:
        return ProcessFiles(pid, uid, *started, arguments, denied=True)
    except OSError:
        # Kernel threads have no executable; zombies have none any more.
        return None
    try:
        # Opening asks for the rights; reading gives nothing once the process is ending.
        os.close(os.open(f"{base}/environ", os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        denied = True
    except OSError:
        return None
    else:
        denied = False
    content = _read(f"{base}/environ", _MAX_TEXT)
    return ProcessFiles(
        pid,
        uid,
        *started,
        arguments,
        executable=executable.removesuffix(" (deleted)"),
        folder=_link(f"{base}/cwd"),
        environment=_environment(content or b""),
        mapped=_mapped(base),
        descriptors=_descriptors(base),
        other_mounts=_link(f"{base}/ns/mnt") != own_mounts,
        denied=denied,
    )


def _mapped(base: str) -> tuple[str, ...]:
    content = _read(f"{base}/maps", _MAX_MAPS) or b""
    # Looked at as one block first: hardly any process maps the cache.
    if not any(mark in content for mark in MARKS):
        return ()
    paths = {
        line[line.index(b"/") :]
        for line in content.splitlines()
        if b"/" in line and any(mark in line for mark in MARKS)
    }
    return tuple(os.fsdecode(path).removesuffix(" (deleted)") for path in paths)


# What a path into a cache has in it; `.tmp` for folders in the cache's root.
MARKS = (b"/archive-v", b"/environments-v", b"/builds-v", b"/.tmp")


def _descriptors(base: str) -> tuple[str, ...]:
    try:
        names = os.listdir(f"{base}/fd")[:_MAX_DESCRIPTORS]
    except OSError:
        return ()
    links = (_link(f"{base}/fd/{name}") for name in names)
    return tuple(link for link in links if link.startswith("/"))


def _link(path: str) -> str:
    try:
        return os.readlink(path).removesuffix(" (deleted)")
    except OSError:
        return ""


def _read(path: str, limit: int) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            parts = []
            while limit > 0:
                part = file.read(min(limit, 1 << 20))
                if not part:
                    break
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
    except OSError:
        return None


def _strings(content: bytes) -> tuple[str, ...]:
    return (
        tuple(os.fsdecode(part) for part in content.rstrip(b"\0").split(b"\0")) if content else ()
    )


def _environment(content: bytes) -> dict[str, str]:
    pairs = (part.partition("=") for part in _strings(content))
    return {name: value for name, separator, value in pairs if separator}
