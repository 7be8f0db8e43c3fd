"""Build and temporary folders: ``.tmpXXXXXX``, wherever uv makes them.

In ``builds-v0`` (builds, `uv run --with` overlays), in the root (wheels being
unpacked), and in a source bucket (source archives being unpacked; run 0.5.10,
0.8.5, 0.13.8). All are renamed or removed when uv is done, so what stays is
of a uv that runs, or that was killed.
"""

from __future__ import annotations

import os
import stat
from itertools import islice

from cacheadmin.fs.walk import files_below
from cacheadmin.inventory.entries import Build

# Enough to see a write into a live overlay; a large unpacked source costs no more.
_DEPTH = 3
_FILES = 2_000


def read_build(folder_fd: int, name: str, path: str) -> Build | None:
    """Return a temporary folder, or file, with the newest time found in it; None if gone."""
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    if stat.S_ISDIR(status.st_mode):
        folders: dict[str, int] = {}
        files = files_below(folder_fd, name, path, depth=_DEPTH, failures=[], folders=folders)
        times = [inner.st_mtime_ns for _, _, _, inner in islice(files, _FILES)]
        newest = max(newest, *times, *folders.values())
    return Build(path, status.st_uid, newest)
