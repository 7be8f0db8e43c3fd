"""What can be wrong with an archive, as plain facts. Pure."""

from __future__ import annotations

import os
from enum import StrEnum

from cacheadmin.findings import Severity
from cacheadmin.values import frozen


class VerifyRule(StrEnum):
    """What ``verify`` finds (public: ids in JSON)."""

    FILE_CHANGED = "file-changed"
    FILE_MISSING = "file-missing"
    FILE_EXTRA = "file-extra"
    RECORD_MISSING = "record-missing"
    RECORD_UNSAFE = "record-unsafe"
    HALF_WRITTEN = "archive-half-written"
    LINK_IN_ARCHIVE = "link-in-archive"
    BYTECODE_STALE = "bytecode-stale"
    WRONG_PACKAGE = "wrong-package"
    UNREADABLE = "unreadable"


@frozen
class Touched:
    """Who owns a file, when it was changed and who may write to it.

    Times in ns. ``changed_ns`` is the inode's ctime, which no user can set: it
    moves with content, mode, owner and number of links (so also when an
    environment takes a hardlink). ``writers`` are the words for those who have
    the right to write, by mode and access list, ``replacers`` for those who may
    put another file in its place: a file of anybody's, by its name.
    """

    uid: int
    mtime_ns: int
    changed_ns: int
    links: int
    writers: str
    replacers: str


@frozen
class Problem:
    """One thing that is wrong. ``path`` is relative to the archive, "" for the whole.

    ``what`` is said after the file's name (``12 bytes, not 34549``).
    """

    rule: VerifyRule
    severity: Severity
    path: str
    what: str = ""
    touched: Touched | None = None


def is_code(path: str) -> bool:
    """Whether a file that nobody listed would be run, by Python or by its name on PATH.

    uv installs what lies in an archive, listed or not [run 0.5.10, 0.13.8]: a
    module, a ``.pth`` or an ``entry_points.txt`` put there runs in every new
    environment.
    """
    folder, _, name = path.rpartition("/")
    extension = os.path.splitext(name)[1]
    if extension in (".py", ".pyc", ".so", ".pth", ".pyd"):
        return True
    if name == "entry_points.txt" and folder.endswith(".dist-info"):
        return True
    return folder == "bin" or folder.endswith((".data/scripts", ".data/data/bin"))
