"""To which team does an environment belong?"""

from __future__ import annotations

import grp
import pwd
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy


def team_of(policy: Policy, path: str, uid: int | None) -> str | None:
    """Return the team of a path and its owner.

    The first team of the policy that names a folder above the path wins, then
    one that names the owner, then one that names a group of theirs; else the
    owner's own group, None for an owner without account.
    """
    user, groups = _account(uid)
    for name, team in policy.teams.items():
        if any(fnmatchcase(path, p) or fnmatchcase(path, f"{p.rstrip('/')}/*") for p in team.paths):
            return name
    for name, team in policy.teams.items():
        if user is not None and user in team.users:
            return name
    for name, team in policy.teams.items():
        if any(group in team.groups for group in groups):
            return name
    return groups[0] if groups else None


@cache
def _account(uid: int | None) -> tuple[str | None, tuple[str, ...]]:
    """Return an account's name and its groups, the primary one first."""
    if uid is None or uid < 0:
        return None, ()
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return None, ()
    names = []
    try:
        names.append(grp.getgrgid(account.pw_gid).gr_name)
    except KeyError:
        pass
    names += [group.gr_name for group in grp.getgrall() if account.pw_name in group.gr_mem]
    return account.pw_name, tuple(dict.fromkeys(names))
