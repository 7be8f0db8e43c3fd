"""What people are told of users and decisions: words, made of values when they are printed. Pure.

What a user is called, what was found in one case, and what would have to change for an
entry to go, or to stay. Nothing is ever decided by these words, nor looked up by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cacheadmin.planner.reasons import BUCKET_NEEDED, PINNED
from cacheadmin.planner.users import (
    AccountUser,
    EntryUser,
    EnvironmentUser,
    FileUser,
    HiddenUser,
    HostUser,
    OtherUser,
    PinUser,
    ProcessUser,
    RegisteredUser,
    User,
)
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.planner.marks import Use
    from cacheadmin.planner.reasons import Reason

_PINNED: Final = frozenset(PINNED.values())

# Buckets are needed by more than people.
_OF_NO_ACCOUNT: Final[dict[User, str]] = {
    OtherUser.NEWEST_OF_KIND: "a newer bucket of its kind would have to appear",
    OtherUser.POLICY: "remove that release from uv.keep in the policy",
}


def describe_user(user: User) -> str:
    """Return a user in a few words: what it is, and whose."""
    match user:
        case EntryUser():
            words = user.path
        case EnvironmentUser() | FileUser():
            words = f"{user.path} ({user.account})"
        case AccountUser():
            words = user.account
        case OtherUser():
            words = str(user)
        case RegisteredUser():
            words = f"{user.path} ({', '.join(user.sources)})"
        case ProcessUser():
            command = f": {user.command}" if user.command else ""
            words = f"process {user.pid} of {user.account}{command}"
        case PinUser():
            words = f"pin of {user.account}"
        case HostUser():
            words = f"{user.name} on host {user.host}"
        case HiddenUser():
            words = user.place
    return words


def describe_finding(reason: Reason, user: User | None, detail: str) -> str:
    """Return what was found in one case, as a sentence that a person can check on the disk."""
    found = reason.found
    if user is None or ("{who}" not in found and "{user." not in found):
        return found.replace("{detail}", detail)
    # Formatted once: braces in a path or a command line are never a field.
    return found.format(who=describe_user(user), user=user, detail=detail)


def to_let_go(use: Use) -> str:
    """Return what would have to change for one use to end; empty where that can't be told."""
    change = use.reason.change
    if use.reason in _PINNED:
        change += f" ({use.detail})"
    elif use.reason is BUCKET_NEEDED:
        change = _OF_NO_ACCOUNT.get(use.user, change)
    return change.replace("{who}", describe_user(use.user))


def to_keep(path: str) -> str:
    """Return what would have to change for an entry to stay."""
    return (
        f"`cacheadmin pin add POLICY {shell_word(path)}`, or an environment that links to it: "
        "`cacheadmin venv add` makes one known"
    )
