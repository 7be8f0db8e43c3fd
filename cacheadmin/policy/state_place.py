"""Where the state of a policy is that names none."""

from __future__ import annotations

import os

from cacheadmin.rights.acting import acting_account

_FILE = "sqlite:////path/state.db"
_DATABASE = "postgresql+psycopg://..."


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


def state_problem(url: str, cache: str) -> str:
    """Return why a policy may not have its state there; empty where it may.

    What is forgotten between two runs, or is another file in another folder, does not keep
    what environments that are away have linked.
    """
    file = sqlite_path(url)
    if file is None:
        known = url.startswith("postgresql")
        return "" if known else f"is no state that is known here: write {_FILE}, or {_DATABASE}"
    if file in ("", ":memory:"):
        return f"keeps nothing from one run to the next: write {_FILE}"
    if not file.startswith("/"):
        return f"is relative: write an absolute path, with four slashes: {_FILE}"
    if f"{os.path.normpath(file)}/".startswith(f"{cache}/"):
        return "lies in the cache, where any user's `uv cache prune` would delete it"
    return ""


def sqlite_path(url: str) -> str | None:
    """Return the file of a ``sqlite:///...`` URL; None for other databases."""
    prefix = "sqlite:///"
    return url.removeprefix(prefix).partition("?")[0] if url.startswith(prefix) else None
