"""As which account a cache is changed: ``run_as`` of its policy.

Root starts the command, reads the policy, and then acts as the account: what
is made, moved or deleted is done with that account's rights, on its quota, and on
NFS with its number, which is what counts where the server takes root for an
account without rights (root_squash).

The effective ids are the account's; real and saved ids stay root's. So the
account can neither signal nor trace this process, and what has to be root's (the
audit trail, metrics) can still be written (`as_caller`). Of root's rights two
stay in use: to read, and to end readers. Readers become the account for good
(``readers.confinement``), or the owner of what they read.

Whose files are believed is decided as if the account had called: what root or
that account has made. Only the policy is the caller's own matter
(``policy.trust``).
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from cacheadmin.errors import NotPermitted, PolicyInvalid
from cacheadmin.rights.capabilities import KILLING, READING, use_only
from cacheadmin.text.accounts import account_name
from cacheadmin.values import frozen

# The group of files and processes that no group has rights to.
_NO_GROUP = 65534

# The largest number of an account; the next one stands for none.
_LARGEST = 2**32 - 2


@frozen
class ActingAccount:
    """An account that this process can act as, or a reader can become."""

    uid: int
    """Its number."""

    gid: int
    """Its own group."""

    groups: tuple[int, ...]
    """All its groups."""

    name: str
    """What it is called."""

    home: str
    """Its home folder."""


class _Acting:
    """Whom this process acts as now."""

    account: ActingAccount | None = None
    root_groups: tuple[int, ...] = ()


def acting_account() -> ActingAccount | None:
    """Return the account that root acts as; None where the caller acts for itself."""
    return _Acting.account


def is_called_by_root() -> bool:
    """Whether root has called, no matter which account it acts as."""
    return _Acting.account is not None or os.geteuid() == 0


def account_of(uid: int) -> ActingAccount:
    """Return an account by its number, with all its groups; none of these where it has no name."""
    try:
        entry = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return ActingAccount(uid, _NO_GROUP, (_NO_GROUP,), account_name(uid), "/nonexistent")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return ActingAccount(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir)


def act_as(run_as: str | None) -> None:
    """Act as the account that a policy names in ``run_as``; None: as the caller.

    Raises PolicyInvalid for an account that does not exist on this host, and
    NotPermitted where the caller is neither root nor that account.
    """
    account = None if run_as is None else _named(run_as)
    if account == _Acting.account:
        return
    if _Acting.account is not None:
        _act_as_root()
        _Acting.account = None
    if account is None or account.uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise NotPermitted(
            f"the policy's run_as is {account.name}, who is not you",
            hint=f"run it as root, or as {account.name}",
        )
    _Acting.root_groups = tuple(os.getgroups())
    _act_as(account)
    _Acting.account = account


@contextmanager
def as_caller() -> Iterator[None]:
    """Act as who called while this lasts: for files of the caller's, such as a trail."""
    account = _Acting.account
    if account is None:
        yield
        return
    _act_as_root()
    try:
        yield
    finally:
        _act_as(account)


def unknown_account(run_as: str | None) -> str:
    """Return what is wrong with a ``run_as`` on this host, in words; "" for nothing."""
    try:
        if run_as is not None:
            _named(run_as)
    except PolicyInvalid as error:
        return error.message
    return ""


def _named(run_as: str) -> ActingAccount:
    try:
        uid = pwd.getpwnam(run_as).pw_uid
    except KeyError:
        uid = int(run_as) if run_as.isascii() and run_as.isdecimal() else _LARGEST + 1
    if uid > _LARGEST:
        raise PolicyInvalid(
            f"run_as: no account of this host is called {run_as}",
            hint="name the account that owns the cache, or give its number in quotes",
        )
    return account_of(uid)


def _act_as(account: ActingAccount) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        os.setgroups(account.groups)
        os.setegid(account.gid)
        os.seteuid(account.uid)
        use_only(libc, READING | KILLING)
    except OSError as error:
        _act_as_root()
        raise NotPermitted(
            f"root can't act as {account.name} here: {error.strerror}",
            hint="it needs the capabilities CAP_SETUID and CAP_SETGID; or run it as "
            f"{account.name}",
        ) from None


def _act_as_root() -> None:
    os.seteuid(0)
    os.setegid(os.getgid())
    os.setgroups(_Acting.root_groups)
