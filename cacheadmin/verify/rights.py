"""Who owns a file, when it was changed, and who had the right to.

No filesystem says who wrote a file last. Writing through a link, as
``echo >> .venv/.../six.py`` does in symlink mode, leaves the owner as it was;
an editor that replaces the file makes its user the owner. So this is said as
what it is: the owner, the times, and all who may write.
"""

from __future__ import annotations

import grp
import os
import stat
from functools import lru_cache

from cacheadmin.pinning import account
from cacheadmin.verify.problems import Touched


def touched(status: os.stat_result, name: str, folder_fd: int) -> Touched:
    """Return who owns a file (a status of it), when it changed and who may write to it."""
    return Touched(
        uid=status.st_uid,
        mtime_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
        links=status.st_nlink,
        writers="" if stat.S_ISLNK(status.st_mode) else _writers(status, name, folder_fd),
    )


def _writers(status: os.stat_result, name: str, folder_fd: int) -> str:
    who = ["root"]
    if status.st_uid and status.st_mode & stat.S_IWUSR:
        who.append(account(status.st_uid))
    if status.st_mode & stat.S_IWGRP:
        # With an access list these bits are its mask: somebody named there may write.
        listed = _has_access_list(name, folder_fd)
        who.append("whoever its access list names" if listed else f"group {_group(status.st_gid)}")
    if status.st_mode & stat.S_IWOTH:
        who.append("everybody")
    return ", ".join(who)


def _has_access_list(name: str, folder_fd: int) -> bool:
    try:
        # No system call reads it beneath a descriptor; the folder's own entry does.
        path = f"/proc/self/fd/{folder_fd}/{name}"
        return bool(os.getxattr(path, "system.posix_acl_access", follow_symlinks=False))
    except OSError:
        return False


@lru_cache(maxsize=256)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)
