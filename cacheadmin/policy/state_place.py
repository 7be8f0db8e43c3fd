"""Where the state of a policy is that names none."""

from __future__ import annotations

import os

from cacheadmin.rights.acting import acting_account


def default_url() -> str:
    """Return the URL of the default state: SQLite, the system's for root, else the user's.

    That of an account is the same whether it calls, or root that acts as it (``run_as``).
    """
    account = acting_account()
    if account is not None:
        folder = f"{account.home}/.local/state/cacheadmin"
    elif os.geteuid() == 0:
        folder = "/var/lib/cacheadmin"
    else:
        named = os.environ.get("XDG_STATE_HOME", "")
        base = named if named.startswith("/") else os.path.expanduser("~/.local/state")
        folder = f"{base}/cacheadmin"
    return f"sqlite:///{folder}/state.db"


def sqlite_path(url: str) -> str | None:
    """Return the file of a ``sqlite:///...`` URL; None for other databases."""
    prefix = "sqlite:///"
    return url.removeprefix(prefix).partition("?")[0] if url.startswith(prefix) else None
