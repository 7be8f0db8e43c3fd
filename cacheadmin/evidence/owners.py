"""Whose something is, told without touching it: it may be what hangs.

A reader that looks at a path may never come back. Who is to be named then, and
whose other things are looked at no more? A process's owner the kernel tells;
what is below a FUSE mount belongs to who mounted it; what is below a home, to
that account. All this may be wrong, and only decides whose answers fail.
"""

from __future__ import annotations

import os
import pwd
import re
from functools import cache

from cacheadmin.fs.mounts import read_mounts

_OF_A_PROCESS = re.compile(r"/proc/([0-9]+)(?:/|$)")
_UID = re.compile(rb"^Uid:\s+([0-9]+)", re.MULTILINE)
_MOUNTED_BY = "user_id="


def owner_of_process(pid: int) -> int | None:
    """Return the real uid of a process; None for one that is gone.

    Not the owner of its folder in ``/proc``: a process can make root own that.
    """
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            found = _UID.search(file.read(4096))
    except OSError:
        return None
    return int(found[1]) if found else None


def owner_by_name(path: str) -> int | None:
    """Return whose a path probably is; None where its name tells nothing."""
    process = _OF_A_PROCESS.match(path)
    if process is not None:
        return owner_of_process(int(process[1]))
    best = ""
    owner = None
    for folder, uid in (*_homes(), *_fuse_mounts()):
        if f"{path}/".startswith(f"{folder}/") and len(folder) >= len(best):
            best, owner = folder, uid
    return owner


@cache
def _homes() -> tuple[tuple[str, int], ...]:
    homes = ((entry.pw_dir.rstrip("/"), entry.pw_uid) for entry in pwd.getpwall())
    return tuple((home, uid) for home, uid in homes if home.count("/") > 1)


@cache
def _fuse_mounts() -> tuple[tuple[str, int], ...]:
    try:
        mounts = read_mounts()
    except (OSError, ValueError, IndexError):
        return ()
    found = []
    for mount in mounts:
        for option in mount.options if mount.kind.startswith("fuse") else ():
            uid = option.removeprefix(_MOUNTED_BY)
            if uid != option and uid.isdecimal():
                found.append((mount.mount_point.rstrip("/"), int(uid)))
    return tuple(found)


def owner_of_link(path: str) -> int:
    """Return the owner of what has that name, links not followed. Raises OSError."""
    return os.lstat(path).st_uid
