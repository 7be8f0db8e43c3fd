"""A ``.venv`` that is a file: its text is the path of the project's environment.

Source: uv 0.13.9 honours it without any flag (run; facts section 13).
"""

from __future__ import annotations

import os

from cacheadmin.fs.reading import ReadFailure, read_file

# The kernel's own limit on a path, and a line's end.
_MAX_BYTES = 4098


def redirected(file: str) -> str | None:
    """Return the absolute path that a ``.venv`` file names; None for what names none.

    Never raises: the file belongs to anybody, and may be a FIFO or a terabyte.
    """
    content = read_file(file, _MAX_BYTES)
    if isinstance(content, ReadFailure):
        return None
    text = os.fsdecode(content).strip()
    if not text or "\n" in text or "\0" in text:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(file), text))
