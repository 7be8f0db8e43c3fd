"""What people are told of a user and of a decision: words, made of values when they are printed.

Nothing is ever decided by these words, nor looked up by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
)

if TYPE_CHECKING:
    from cacheadmin.planner.reasons import Reason
    from cacheadmin.planner.users import User


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
