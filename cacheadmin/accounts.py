"""What people are called."""

from __future__ import annotations

import pwd


def account_name(uid: int | None) -> str:
    """Return an account's name by its number, or ``uid 1234`` for one that has left."""
    try:
        return "nobody in particular" if uid is None else pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
