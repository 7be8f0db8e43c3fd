"""The grace periods of a cache, kept in quarantine between runs, and who is at work now.

Only root and the cache's owner can write there. A file that is gone, damaged
or of another release of cacheadmin is no harm: every period begins again.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.steady_time import boot_id
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.planner.grace import Mark, Period, UvAtWork
from cacheadmin.text.damage import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.evidence.facts import LockHolder, Process
    from cacheadmin.prune.quarantine import QuarantineFolder

_NAME = "grace.json"
_NEW = "grace.json.new"
_MAX_BYTES = 256 * 1024 * 1024
_SCHEMA = "cacheadmin/grace/1"


def moment_of(processes: Iterable[Process], holders: Iterable[LockHolder]) -> UvAtWork:
    """Return who is at work, of the processes and lock holders that were seen.

    A program that is no uv, but holds uv's lock shared, may be one under
    another name; ours (``guard --hold``) is not.
    """
    working = {(p.pid, p.start_ticks) for p in processes if p.uv is not None and not p.uv.parked}
    working |= {
        (holder.pid, holder.start_ticks)
        for holder in holders
        if holder.is_uv is False and not holder.waiting and not holder.is_guard
    }
    return UvAtWork(boot_id(), os.readlink("/proc/self/ns/pid"), frozenset(working))


def read_periods(quarantine: QuarantineFolder) -> tuple[Period, ...]:
    """Return the periods that earlier runs began."""
    content = read_file(_NAME, _MAX_BYTES, quarantine.fd)
    if isinstance(content, ReadFailure):
        return ()
    try:
        document = json.loads(content)
        if document["schema"] != _SCHEMA:
            return ()
        return tuple(map(_period, document["periods"]))
    except DAMAGE:
        return ()


def write_periods(quarantine: QuarantineFolder, periods: Iterable[Period]) -> None:
    """Replace the file; it is on the disk when this returns."""
    document = {"schema": _SCHEMA, "periods": list(map(_row, periods))}
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(_NEW, flags, 0o600, dir_fd=quarantine.fd), "w", encoding="ascii") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(_NEW, _NAME, src_dir_fd=quarantine.fd, dst_dir_fd=quarantine.fd)
    os.fsync(quarantine.fd)


def _row(period: Period) -> dict[str, Any]:
    return {
        "boot": period.begun.boot,
        "namespace": period.begun.namespace,
        "working": sorted(period.begun.working),
        "marks": {path: [mark.identity, mark.state] for path, mark in period.marks.items()},
    }


def _period(row: dict[str, Any]) -> Period:
    working = frozenset((int(pid), int(ticks)) for pid, ticks in row["working"])
    marks = {
        str(path): Mark(str(identity), str(state))
        for path, (identity, state) in row["marks"].items()
    }
    return Period(UvAtWork(str(row["boot"]), str(row["namespace"]), working), marks)
