"""Names of accounts and groups."""

from __future__ import annotations

import grp
import os
import pwd


def account_name(uid: int | None) -> str:
    """Return an account's name by its number, or ``uid 1234`` for one that has left."""
    try:
        return "no known account" if uid is None else pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def group_name(gid: int) -> str:
    """Return a group's name, or its number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def who_may(owner: int | None, otherwise: str) -> str:
    """Return as whom to run what the caller has no rights to do, as a hint.

    ``otherwise`` is for a caller who is not root. Root lacks rights where an NFS
    server takes it for nobody (root_squash), in a user namespace, or without
    capabilities: to be root does not help then, to be ``owner`` (a uid; None where
    it is unknown) does.
    """
    if os.geteuid() != 0:
        return otherwise
    who = "its owner" if owner in (None, 0) else f"its owner, {account_name(owner)},"
    return (
        f"root of this host has no rights there (NFS with root_squash?): name {who} in "
        "run_as of the policy, or call it on the NFS server, as root"
    )
