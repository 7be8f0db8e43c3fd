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
    """Who owns a file, when it was changed and who may write to it."""

    uid: int
    """The owner."""
    mtime_ns: int
    """Modification time (ns since the epoch); its owner can set it."""
    changed_ns: int
    """The inode's ctime (ns since the epoch), which no user can set.

    It moves with content, mode, owner and number of links, so also when an environment takes a
    hardlink.
    """
    links: int
    """How many names the file has."""
    writers: str
    """Who has the right to write to it, in words, by mode and access list.

    Empty for a symbolic link.
    """
    replacers: str
    """Who may put another file in its place, in words: who can write to its folder."""


@frozen
class Problem:
    """One thing that is wrong with an archive."""

    rule: VerifyRule
    """What sort of problem it is."""
    severity: Severity
    """How bad it is."""
    path: str
    """The file, relative to the archive; "" for the whole archive."""
    what: str = ""
    """What was found, to follow the file's name (``12 bytes, not 34549``)."""
    touched: Touched | None = None
    """Who owns the file and may have changed it; None where there is no file to ask about."""


def is_code(path: str) -> bool:
    """Whether a file that no user listed would be run, by Python or by its name on PATH.

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
