"""Which files belong to an installed distribution: its ``RECORD``.

uv and pip write it as a regular file into every environment, whatever the
link mode (facts section 5), so it survives the loss of the archive. It is its
owner's to write: bounded, never followed out of the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import islice

from cacheadmin.doctor.limits import Work, WorkDone
from cacheadmin.fs.small_files import ReadFailure, failure, read_file
from cacheadmin.packages.record_rows import record_rows

_MAX_BYTES = 32 * 1024 * 1024
_MAX_ROWS = 1_000_000

# Python writes and deletes these by itself.
_TRANSIENT = ("__pycache__/", ".pyc")


@dataclass(slots=True)
class RecordReader:
    """Reads the RECORDs of one environment, each file once, and so many lines in all."""

    uid: int
    """Owner of the environment, against whose limits lines are counted."""

    limits: WorkDone
    """What was done so far for each account."""

    seen: set[tuple[int, int]] = field(default_factory=set)
    """RECORDs (device, inode) that have several names, and were read."""

    def files(self, dist_info: str, root: str) -> tuple[str, ...] | ReadFailure:
        """Return what `recorded_files` does, within the limits."""
        path = f"{dist_info}/RECORD"
        try:
            status = os.lstat(path)
        except OSError as error:
            return failure(path, error)
        # uv writes one for each distribution. One file under many names was made by hand.
        if status.st_nlink > 1:
            if (status.st_dev, status.st_ino) in self.seen:
                return ReadFailure(path, "it is the RECORD of another distribution, too")
            self.seen.add((status.st_dev, status.st_ino))
        left = self.limits.left(self.uid, Work.ROWS)
        if not left:
            return ReadFailure(path, f"more than {Work.ROWS.value} lines of one account's RECORDs")
        found = recorded_files(dist_info, root, min(left, _MAX_ROWS))
        self.limits.spend(self.uid, Work.ROWS, 0 if isinstance(found, ReadFailure) else len(found))
        return found

    def keep_absent(self, absent: tuple[str, ...]) -> tuple[str, ...]:
        """Return as many absent files as the account may still have reported."""
        kept = absent[: self.limits.left(self.uid, Work.ABSENT)]
        self.limits.spend(self.uid, Work.ABSENT, len(kept))
        return kept


def recorded_files(
    dist_info: str, root: str, max_rows: int = _MAX_ROWS
) -> tuple[str, ...] | ReadFailure:
    """Return the absolute paths that the RECORD of a ``*.dist-info`` folder names.

    Only those in ``root``, the environment: a RECORD may claim any file.
    Compiled Python is left out, it comes and goes.
    """
    content = read_file(f"{dist_info}/RECORD", _MAX_BYTES)
    if isinstance(content, ReadFailure):
        return content
    site = os.path.dirname(dist_info)
    found = []
    for row in islice(record_rows(content), max_rows):
        if row is None:
            return ReadFailure(f"{dist_info}/RECORD", "it is no RECORD: a line is no CSV")
        if not row[0] or "\0" in row[0] or row[0].endswith("/"):
            continue
        if any(part in row[0] for part in _TRANSIENT):
            continue
        path = os.path.normpath(os.path.join(site, row[0]))
        if path.startswith(f"{root}/"):
            found.append(path)
    return tuple(found)
