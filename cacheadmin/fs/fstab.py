"""What /etc/fstab says is mounted where, whether it is mounted now or not."""

from __future__ import annotations

import os

from cacheadmin.fs.small_files import ReadFailure, read_file

_FSTAB = "/etc/fstab"
_MAX_BYTES = 1024 * 1024


def fstab_mount_points() -> tuple[tuple[str, str], ...]:
    """Return the folders where /etc/fstab has a filesystem, each with its type; not the root."""
    content = read_file(_FSTAB, _MAX_BYTES)
    lines = [] if isinstance(content, ReadFailure) else os.fsdecode(content).splitlines()
    fields = (line.split() for line in lines if not line.lstrip().startswith("#"))
    points = [(found[1].replace("\\040", " "), found[2]) for found in fields if len(found) > 2]
    return tuple((point, kind) for point, kind in points if point.startswith("/") and point != "/")
