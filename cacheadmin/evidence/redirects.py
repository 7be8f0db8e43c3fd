"""A ``.venv`` that is a file: its text is the path of the project's environment.

PEP 832; uv 0.13.9 honours such files without any flag, and writes them with the
preview `venv-redirect-files`. One line end is cut off, the rest is the path,
relative to the folder of the file (run 0.13.9).
"""

from __future__ import annotations

import os
import stat

from cacheadmin.evidence.files_behind_links import read_behind
from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.fs.small_files import ReadFailure, failure, read_file

#: Names under which uv looks for a project's environment, or for a file that names it.
NAMES = frozenset({".venv", "venv"})

# The kernel's own limit on a path, and a line's end.
_MAX_BYTES = 4098


def redirected(file: str) -> str | ReadFailure | None:
    """Return the absolute path that a ``.venv`` file names; None for what names none.

    A file that rights or the disk keep from being read may name any environment: that is
    returned as a failure. What it names need not exist. Never raises: the file belongs to
    any user, and may be a FIFO or a terabyte. A link is followed to a file that is its
    owner's, or that every account may read by its mode, through folders that its owner may
    enter by theirs. uv follows it, too (run 0.13.9), and takes the path to be relative to
    the folder of the link.
    """
    content = _content(file)
    if isinstance(content, ReadFailure):
        return content if content.blocked else None
    # uv fails on a text of several lines; a program that reads the first line gets only this.
    lines = os.fsdecode(content).strip("\r\n").splitlines()
    if not lines or "\0" in lines[0] or not lines[0].strip():
        return None
    folder = os.path.dirname(file)
    literal = os.path.join(folder, lines[0])
    return _tidy(
        literal
        if os.path.lexists(below_unfollowed(literal))
        else os.path.join(folder, lines[0].strip())
    )


def _content(file: str) -> bytes | ReadFailure:
    try:
        is_link = stat.S_ISLNK(os.lstat(below_unfollowed(file)).st_mode)
    except OSError as error:
        return failure(file, error)
    return read_behind(file, _MAX_BYTES) if is_link else read_file(file, _MAX_BYTES)


def _tidy(path: str) -> str:
    """Return a path without dots where that names the same folder: ``..`` may follow a link."""
    tidy = os.path.normpath(path)
    try:
        same = os.path.samefile(below(tidy), below(path))
    except OSError:
        same = not os.path.lexists(below_unfollowed(path))
    return tidy if same else path
