"""What people and groups are called."""

from __future__ import annotations

import grp
import pwd


def account_name(uid: int | None) -> str:
    """Return an account's name by its number, or ``uid 1234`` for one that has left."""
    try:
        return "nobody in particular" if uid is None else pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def group_name(gid: int) -> str:
    """Return a group's name, or its number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)
