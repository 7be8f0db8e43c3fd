"""Every way cacheadmin can fail, with the exit code that scripts rely on.

The numbers are public API (cacheadmin(1), EXIT STATUS): cron jobs branch on
them. A subclass stands for what the administrator has to do next, not for the
module that raised it. Messages are for people: what was seen, where, whose,
and what to do; the last part goes into ``hint``.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line, see contract in cacheadmin(1)."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    BUSY = 3
    LIMITED = 4
    REFUSED = 5
    ROLLED_BACK = 6
    PARTIAL = 7
    FINDINGS = 8
    NOT_FOUND = 66
    NOT_PERMITTED = 77
    POLICY_INVALID = 78


class CacheadminError(Exception):
    """Base of all errors that are reported as one clear line.

    ``details`` are further lines, indented under the message; ``hint`` is
    the last of them: the thing to do.
    """

    exit_code = ExitCode.UNEXPECTED
    label = ""

    def __init__(self, message: str, *, details: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class WrongUsage(CacheadminError):
    """The command line asks for something that does not fit together."""

    exit_code = ExitCode.USAGE


class CacheBusy(CacheadminError):
    """The cache lock, or another cacheadmin run, was not free in time."""

    exit_code = ExitCode.BUSY
    label = "busy"


class Refused(CacheadminError):
    """Policy or missing evidence forbids it; nothing was changed."""

    exit_code = ExitCode.REFUSED
    label = "refused"


class NoRoom(CacheadminError):
    """Space, inodes or a quota are used up: nothing could be written, nothing was changed.

    ``by_quota``: it is a quota, which no number of free bytes tells of.
    """

    exit_code = ExitCode.PARTIAL
    label = "no room"

    def __init__(
        self,
        message: str,
        *,
        details: tuple[str, ...] = (),
        hint: str = "",
        by_quota: bool = False,
    ) -> None:
        super().__init__(message, details=details, hint=hint)
        self.by_quota = by_quota


class RolledBack(CacheadminError):
    """The check after the prune failed, and everything was put back."""

    exit_code = ExitCode.ROLLED_BACK
    label = "rolled back"


class NotACache(CacheadminError):
    """No such policy or cache, or the folder is not a uv cache.

    ``cache`` is the path that was opened as a cache; empty for a policy.
    """

    exit_code = ExitCode.NOT_FOUND

    def __init__(
        self, message: str, *, details: tuple[str, ...] = (), hint: str = "", cache: str = ""
    ) -> None:
        super().__init__(message, details=details, hint=hint)
        self.cache = cache


class NotPermitted(CacheadminError):
    """The caller lacks the rights for it."""

    exit_code = ExitCode.NOT_PERMITTED


class PolicyInvalid(CacheadminError):
    """The policy is wrong, or could have been written by another user."""

    exit_code = ExitCode.POLICY_INVALID
