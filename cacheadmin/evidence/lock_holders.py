"""Who holds or waits for the cache's ``.lock``: from ``/proc/locks``, by inode."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cacheadmin.evidence.facts import LockHolder
from cacheadmin.evidence.proc_reading import read_process


def lock_holders(cache_path: str) -> tuple[LockHolder, ...]:
    """Return holders and waiters of ``CACHE/.lock`` on this host.

    A holder on another host of a network filesystem appears as this host's
    kernel shows it, or not at all.
    """
    try:
        status = os.lstat(f"{cache_path}/.lock")
        with open("/proc/locks", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    identity = (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    return tuple(_holders(lines, identity))


def _holders(lines: list[bytes], identity: tuple[int, int, int]) -> Iterator[LockHolder]:
    for line in lines:
        parsed = parse_lock(line)
        if parsed is None or parsed[3] != identity:
            continue
        pid, exclusive, waiting, _ = parsed
        process = read_process(pid, "") if pid > 0 else None
        yield LockHolder(
            pid=pid,
            uid=None if process is None else process.uid,
            exclusive=exclusive,
            waiting=waiting,
            command="" if process is None else " ".join(process.arguments)[:120],
        )


def parse_lock(line: bytes) -> tuple[int, bool, bool, tuple[int, int, int]] | None:
    """Return (pid, exclusive, waiting, (major, minor, inode)) of a FLOCK line."""
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
        return int(fields[3]), fields[2] == b"WRITE", waiting, identity
    except ValueError:
        return None
