"""Who owns a file, when it was changed, and who had the right to.

No filesystem says who wrote a file last. Writing through a link, as
``echo >> .venv/.../six.py`` does in symlink mode, leaves the owner as it was;
an editor that replaces the file makes its user the owner. A user who may write in the
folder can also move another user's file there. So this is said as what it is:
the owner, the times, and all who may write to the file, or in its folder.
"""

from __future__ import annotations

import os
import stat

from cacheadmin.fs.access_lists import WRITE, access_of, read_access_list_at
from cacheadmin.text.accounts import account_name, group_name
from cacheadmin.text.lists import join_some
from cacheadmin.verify.problems import Touched


def touched(status: os.stat_result, name: str, folder_fd: int) -> Touched:
    """Return who owns a file (a status of it), when it changed and who may write to it."""
    return Touched(
        uid=status.st_uid,
        mtime_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
        links=status.st_nlink,
        writers="" if stat.S_ISLNK(status.st_mode) else _writers(status, name, folder_fd),
        replacers=_writers(os.fstat(folder_fd), ".", folder_fd),
    )


def _writers(status: os.stat_result, name: str, folder_fd: int) -> str:
    try:
        listed = read_access_list_at(folder_fd, name)
    except OSError:
        listed = None
    rules = access_of(status, listed).rules
    who = ["root"]
    if status.st_uid and rules.owner & WRITE:
        who.append(account_name(status.st_uid))
    users = (uid for uid, rights in rules.users.items() if rules.limited(rights) & WRITE)
    who += [account_name(uid) for uid in sorted(users)]
    if rules.limited(rules.group) & WRITE:
        who.append(f"group {group_name(status.st_gid)}")
    groups = (gid for gid, rights in rules.groups.items() if rules.limited(rights) & WRITE)
    who += [f"group {group_name(gid)}" for gid in sorted(groups)]
    if rules.others & WRITE:
        who.append("every user")
    return ", ".join(join_some(who))
