"""Which files belong to an installed distribution: its ``RECORD``.

uv and pip write it as a regular file into every environment, whatever the
link mode (facts section 5), so it survives the loss of the archive. It is its
owner's to write: bounded, never followed out of the environment.
"""

from __future__ import annotations

import os
from itertools import islice

from cacheadmin.fs.reading import ReadFailure, read_file
from cacheadmin.record_rows import record_rows

_MAX_BYTES = 64 * 1024 * 1024
_MAX_ROWS = 1_000_000

# Python writes and deletes these by itself.
_TRANSIENT = ("__pycache__/", ".pyc")


def recorded_files(dist_info: str, root: str) -> tuple[str, ...] | ReadFailure:
    """Return the absolute paths that the RECORD of a ``*.dist-info`` folder names.

    Only those in ``root``, the environment: a RECORD may claim any file.
    Compiled Python is left out, it comes and goes.
    """
    content = read_file(f"{dist_info}/RECORD", _MAX_BYTES)
    if isinstance(content, ReadFailure):
        return content
    site = os.path.dirname(dist_info)
    found = []
    for row in islice(record_rows(content), _MAX_ROWS):
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
