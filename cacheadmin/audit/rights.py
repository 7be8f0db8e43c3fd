"""Who else could write to a path that ours alone should be?

What decides is every folder on the way, not the file alone: a user who can write
to a folder can put another file, or another folder, in the place of what is in
it; in a sticky folder, only of what is their own. An ACL's entries show in the
group bits, which then are its mask: so these bits say it all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from cacheadmin.fs.resolution import resolve
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.values import frozen


@frozen
class Writer:
    """A path that another account can write to."""

    path: str
    """Absolute path of the file or folder that can be written to."""
    who: str
    """Who can write, as a clause after the path (``belongs to ana``)."""
    fix: str
    """The command that ends it."""
    owner: str | None = None
    """The account that owns it; None where root or the caller does."""


def other_writer(path: str, status: os.stat_result) -> Writer | None:
    """Return who else than root and the caller could write to a file or folder; None: no user."""
    quoted = shell_word(path)
    if status.st_uid not in (0, os.geteuid()):
        owner = account_name(status.st_uid)
        return Writer(path, f"belongs to {owner}", f"chown root {quoted}", owner)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o002:
        return Writer(
            path, f"can be written by every user (mode {mode:04o})", f"chmod go-w {quoted}"
        )
    # Only root is in root's group on a sound system.
    if mode & 0o020 and status.st_gid != 0:
        who = f"can be written by its group, or by an ACL (mode {mode:04o})"
        return Writer(path, who, f"chmod g-w {quoted}")
    return None


def other_writers(path: str) -> Iterator[Writer]:
    """Yield who else could write to a path, or change any folder on the way to it.

    The path is resolved first. Raises OSError when it can't be looked at.
    """
    real = resolve(path, strict=True)
    found = other_writer(real, os.lstat(real))
    if found is not None:
        yield found
    folder = os.path.dirname(real)
    yield from writers_of_folders(folder)


def writers_of_folders(folder: str) -> Iterator[Writer]:
    """Yield who else could replace something in a folder, or in one above it."""
    while True:
        status = os.lstat(folder)
        found = other_writer(folder, status)
        sticky = status.st_mode & stat.S_ISVTX and status.st_uid in (0, os.geteuid())
        if found is not None and not sticky:
            yield found
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)
