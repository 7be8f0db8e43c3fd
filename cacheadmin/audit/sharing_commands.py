"""The commands that let those who use a cache write in its root folder.

Whose group it should be is chosen as an administrator would: the folder's own where the
users are in it, one that the policy gives to a team, one that all users have in common, and
else a new one, as docs/sharing-a-uv-cache.md makes it. Users who are only numbers here (of a
container, or another host) can be put into no group: the access list names them.
"""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

from cacheadmin.audit.shared_rights import groups_of, has_account, members_of
from cacheadmin.text.accounts import account_name, group_name
from cacheadmin.text.escapes import shell_command, shell_word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cacheadmin.audit.shared_rights import Sharing
    from cacheadmin.policy.model import Policy

_NEW_GROUP = "uvcache"


def share_command(path: str, policy: Policy, sharing: Sharing, users: Collection[int]) -> str:
    """Return what shares a root folder among its users (uids, without root), as root runs it."""
    known = sorted(uid for uid in users if has_account(uid))
    numbers = sorted(set(users) - set(known))
    chosen = next(_fitting_groups(policy, sharing, known), None)
    steps = []
    if chosen is None and known:
        group = _new_group(policy, known)
        steps.append(shell_command(["groupadd", "-f", group]))
        steps += [shell_command(["usermod", "-aG", group, account_name(uid)]) for uid in known]
        steps.append(f"chgrp {shell_word(group)} {shell_word(path)}")
    elif chosen is not None and chosen != sharing.root.gid:
        steps.append(f"chgrp {shell_word(group_name(chosen))} {shell_word(path)}")
    steps.append(f"chmod 2775 {shell_word(path)}")
    # Whether numbers are in a group that all others are in, can't be told.
    named = [f"u:{uid}:rwx" for uid in numbers] if chosen is None or known else []
    if named:
        steps.append(f"setfacl -m {','.join(named)} {shell_word(path)}")
    default = ",".join(["u::rwx", "g::rwx", "o::rx", *named])
    steps.append(f"setfacl -d -m {default} {shell_word(path)}")
    return " && ".join(steps)


def enter_command(folder: str, sharing: Sharing) -> str:
    """Return what lets the members of a shared cache through a folder above it."""
    named = [f"g:{group_name(gid)}:x" for gid in sharing.groups if gid != 0]
    named += [f"u:{uid}:x" for uid, _ in sharing.users]
    return f"setfacl -m {shell_word(','.join(named))} {shell_word(folder)}"


def _fitting_groups(policy: Policy, sharing: Sharing, known: list[int]) -> Iterator[int]:
    """Yield the groups (gids) that all known users are in, the likeliest first."""
    candidates = [sharing.root.gid, *_team_groups(policy)]
    if len(known) > 1:
        candidates += groups_of(known[0])
    for gid in candidates:
        inside = all(gid in groups_of(uid) for uid in known)
        if gid != 0 and inside and not _is_private(gid, known):
            yield gid


def _team_groups(policy: Policy) -> Iterator[int]:
    team = policy.teams.get(policy.team or "")
    for name in team.groups if team is not None else ():
        try:
            yield grp.getgrnam(name).gr_gid
        except KeyError:
            continue


def _is_private(gid: int, known: list[int]) -> bool:
    """Whether a group is one account's own, so that it shares nothing with any other user."""
    try:
        is_own = any(account.pw_gid == gid for account in pwd.getpwall())
    except OSError:
        is_own = False
    return is_own and len({*members_of([gid]), *known}) < 2


def _new_group(policy: Policy, known: list[int]) -> str:
    """Return a name for the group of these users; an existing one may hold no other user."""
    for name in (_NEW_GROUP, f"{_NEW_GROUP}-{policy.name}"):
        try:
            gid = grp.getgrnam(name).gr_gid
        except KeyError:
            return name
        if set(members_of([gid])) <= set(known):
            return name
    return f"{_NEW_GROUP}-{known[0]}"
