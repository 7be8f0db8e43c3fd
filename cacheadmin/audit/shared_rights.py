"""Who shares a cache, by the rights of its root folder.

The root is what an administrator set up; everything below was made by uv, as
some user, and is held against it. *Members* are those who may do everything in
the root: its group, and groups and users that its access list names. A root
that no user but its owner may write makes a private cache: nothing is then asked
of what lies below.

What uv needs of a shared cache [run 0.5.10, 0.8.5, 0.13.8, two users with groups
of their own]: every folder it makes entries in must be writable for members,
and so must ``sdists-v*/.git`` and the lock files, which it opens for writing.
umask 002 with the setgid bit gives that, and so does umask 022 with a default
list that has ``g::rwx`` and the setgid bit, or with a default list that names
the group. A default list with ``g::rwx`` alone does not: without the setgid bit
it speaks of each maker's own group.
"""

from __future__ import annotations

import grp
import os
import pwd
from functools import cache
from typing import TYPE_CHECKING

from cacheadmin.fs.access_lists import ALL, Access, AccessList, access_of, read_access_lists
from cacheadmin.text.accounts import group_name
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from cacheadmin.evidence.facts import Filesystem

# Mount options by which new entries take their folder's group without a setgid bit.
_GROUP_OF_FOLDER = frozenset({"grpid", "bsdgroups"})


@frozen
class Sharing:
    """The root's rights, and who the members are."""

    root: Access
    """Owner, group and access list of the cache's root."""
    mode: int
    """Permission bits of the root, with setuid, setgid and sticky."""
    groups: tuple[int, ...]
    """Gids whose members may do everything in the root."""
    users: tuple[tuple[int, tuple[int, ...]], ...]
    """(uid, gids) of users that the root's access list names and who may do everything."""
    default: AccessList | None
    """The root's default access list; None where it has none."""
    inherits: bool
    """Whether the filesystem gives new entries their folder's group without a setgid bit."""

    @property
    def is_shared(self) -> bool:
        """Whether any user but the owner may write in the root."""
        return bool(self.groups or self.users)

    @property
    def by_owning_group(self) -> bool:
        """Whether members have their rights through the group that owns the entries."""
        return self.groups == (self.root.gid,)

    def members_may(self, access: Access, wanted: int) -> bool:
        """Whether every member may do all that is asked for."""
        return all(access.group_may(gid, wanted) for gid in self.groups) and all(
            access.user_may(uid, gids, wanted) for uid, gids in self.users
        )

    def has_default_for_members(self, default: AccessList | None) -> bool:
        """Whether what is made in a folder with this default list can be written by members."""
        if default is None:
            return False
        # The user who makes an entry there is not the member we ask for.
        return self.members_may(Access(-1, self.root.gid, default), ALL)


def sharing_of(cache_fd: int, filesystem: Filesystem) -> Sharing:
    """Return how an open cache is shared. Raises OSError where its lists can't be read."""
    status = os.fstat(cache_fd)
    listed, default = read_access_lists(cache_fd)
    access = access_of(status, listed)
    named = tuple(gid for gid in sorted(access.rules.groups) if access.group_may(gid, ALL))
    users = tuple(
        (uid, groups_of(uid))
        for uid in sorted(access.rules.users)
        if uid not in (0, status.st_uid) and access.user_may(uid, (), ALL)
    )
    groups = named
    # No user but root is in root's group: next to a named group it shares with no user.
    if access.group_may(status.st_gid, ALL) and not (status.st_gid == 0 and (named or users)):
        groups = tuple(dict.fromkeys((status.st_gid, *named)))
    return Sharing(
        access,
        status.st_mode & 0o7777,
        groups,
        users,
        default,
        bool(_GROUP_OF_FOLDER & set(filesystem.options)),
    )


@cache
def groups_of(uid: int) -> tuple[int, ...]:
    """Return the gids of an account, () for a uid without one."""
    try:
        account = pwd.getpwuid(uid)
        return tuple(os.getgrouplist(account.pw_name, account.pw_gid))
    except (KeyError, OverflowError, OSError):
        return ()


def has_account(uid: int) -> bool:
    """Whether a uid belongs to an account that exists."""
    try:
        pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return False
    return True


def members_of(gids: Collection[int]) -> tuple[int, ...]:
    """Return the uids known to be in one of these groups.

    Directory services seldom list every user: the answer may lack members.
    """
    uids = {account.pw_uid for account in pwd.getpwall() if account.pw_gid in gids}
    for gid in gids:
        try:
            names = grp.getgrgid(gid).gr_mem
        except KeyError:
            continue
        for name in names:
            try:
                uids.add(pwd.getpwnam(name).pw_uid)
            except KeyError:
                continue
    return tuple(sorted(uids - {0}))


def members_words(sharing: Sharing) -> str:
    """Return who the members are (``group ml``)."""
    groups = [group_name(gid) for gid in sharing.groups]
    words = [f"group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"] if groups else []
    if sharing.users:
        words.append(f"{format_count(len(sharing.users), 'user')} in the cache's access list")
    return " and ".join(words) or "no user"
