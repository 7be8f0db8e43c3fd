"""Remember what a cache took, whenever a command has measured it anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.state.size_history import SizeRecord, open_size_history
from cacheadmin.usage.groupings import By
from cacheadmin.usage.groups import Sort

if TYPE_CHECKING:
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.usage.measurement import MeasuredCache

# The largest packages; the rest is what the total has more.
_PACKAGES = 50


def remember_size(snapshot: Snapshot, record: SizeRecord) -> str:
    """Add a record to the history, at most once an hour; return a warning or "".

    It never fails: a report is worth more than its place in a chart.
    """
    try:
        open_size_history(snapshot.state).note(record)
    except CacheadminError as error:
        return error.message
    return ""


def size_record(taken_ns: int, measured: MeasuredCache) -> SizeRecord:
    """Return what was measured as a record of the history."""
    packages = _named(measured, By.PACKAGE, Sort.PACKAGE)
    largest = sorted(packages, key=lambda name: (-packages[name], name))[:_PACKAGES]
    return SizeRecord(
        taken_ns=taken_ns,
        allocated_bytes=measured.total.allocated_bytes,
        files=measured.total.files,
        buckets=_named(measured, By.BUCKET, Sort.BUCKET),
        teams=_named(measured, By.TEAM, Sort.TEAM),
        packages={name: packages[name] for name in largest},
    )


def _named(measured: MeasuredCache, by: By, sort: Sort) -> dict[str, int]:
    groups = measured.by(by).groups
    return {
        group.name: size.allocated_bytes
        for group, size in groups.items()
        if group.sort is sort and group.name is not None
    }
