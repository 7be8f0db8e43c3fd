"""The account of one command: what it was asked, what it did, how it ended.

A command fills it in while it works; afterwards metrics, the audit trail and
the system log are written from it, also when the command failed half-way.
What is not known yet when it fails is left out, never guessed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, ExitCode
from cacheadmin.text.timestamps import NANOSECONDS, now_ns
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.findings import Finding
    from cacheadmin.operations.exposition import Sample
    from cacheadmin.policy.loaded import LoadedPolicy

INTERRUPTED = 130

_OUTCOME_OF_CODE = {
    ExitCode.USAGE: "wrong_usage",
    ExitCode.BUSY: "busy",
    ExitCode.REFUSED: "refused",
    ExitCode.ROLLED_BACK: "rolled_back",
    ExitCode.PARTIAL: "partial",
    ExitCode.NOT_FOUND: "not_found",
    ExitCode.NOT_PERMITTED: "not_permitted",
    ExitCode.POLICY_INVALID: "policy_invalid",
}

# The command did its job, whatever it had to say.
SUCCESSES = frozenset({"done", "committed", "nothing_to_do"})

# Every outcome there is; names are public (metrics, trail).
OUTCOMES = (
    "done",
    "committed",
    "nothing_to_do",
    *_OUTCOME_OF_CODE.values(),
    "interrupted",
    "failed",
)


@dataclass(slots=True)
class CacheFigures:
    """What metrics tell of one cache."""

    policy: str
    """The policy's name."""
    cache: str
    """The cache's path as the policy spells it; may be empty where that is not known."""
    samples: list[Sample] = field(default_factory=list)
    """Values of metrics that were found out about the cache."""
    reached: bool = True
    """Whether the cache could be looked at."""


@frozen
class Audited:
    """What an audit of one policy's cache found."""

    loaded: LoadedPolicy
    """The policy and where it comes from."""

    findings: tuple[Finding, ...]
    """The findings that the policy does not accept."""


@dataclass(slots=True)
class Account:
    """One command, from its beginning to its end."""

    command: str
    """The command's name (``prune``, ``runs restore``)."""
    argument: str | None
    """The policy as it was named on the command line; None where it was left out."""
    wants_figures: bool = False
    """Whether metrics will be written from ``looks``."""
    loaded: LoadedPolicy | None = None
    """The policy; None until it could be read."""
    subject: str = ""
    """What the command was about (a path, a run, a target); empty where only the cache is."""
    run_id: str | None = None
    """The run that was made, restored or purged; None where there was none."""
    outcome: str = ""
    """One of ``OUTCOMES``; empty until the command sets it or has ended."""
    exit_code: int = int(ExitCode.DONE)
    """The exit code."""
    error: str = ""
    """The message of the error that ended it; empty where none did."""
    error_details: tuple[str, ...] = ()
    """The further lines of that message."""
    counts: dict[str, int] = field(default_factory=dict)
    """Numbers for the audit trail and the system log, by name."""
    looks: list[CacheFigures] = field(default_factory=list)
    """What metrics tell, one for each cache that was looked at."""
    audited: list[Audited] = field(default_factory=list)
    """What an audit found, one for each policy; empty for other commands."""
    ended_ns: int = 0
    """When it ended (ns since the epoch); 0 until then."""
    duration_seconds: float = 0.0
    """How long it took; 0 until it has ended."""
    _begun: float = field(default_factory=time.monotonic)

    @property
    def policy(self) -> str:
        """The policy's name; before it could be read, what it was called on the command line."""
        if self.loaded is not None:
            return self.loaded.policy.name
        return name_of(self.argument)

    @property
    def cache(self) -> str:
        """The cache's path as the policy spells it; empty while that is not known."""
        return "" if self.loaded is None else self.loaded.policy.cache

    @property
    def begun_ns(self) -> int:
        """When it began (ns since the epoch), once it has ended."""
        return self.ended_ns - int(self.duration_seconds * NANOSECONDS)

    @property
    def succeeded(self) -> bool:
        """Whether it did its job."""
        return self.outcome in SUCCESSES

    def look(self) -> CacheFigures:
        """Begin what metrics tell of the account's own cache."""
        look = CacheFigures(self.policy, self.cache)
        self.looks.append(look)
        return look

    def end(self, error: BaseException | None) -> None:
        """Note how it ended, and when."""
        self.ended_ns = now_ns()
        self.duration_seconds = time.monotonic() - self._begun
        # A reader who left (`| head`) has heard enough; the command did its work.
        if error is not None and not isinstance(error, BrokenPipeError):
            self.exit_code, self.error = _ending(error)
            self.error_details = error.details if isinstance(error, CacheadminError) else ()
            self.outcome = ""
        self.outcome = self.outcome or _outcome(self.exit_code)


def name_of(argument: str | None) -> str:
    """Return what a policy is called that can't be read: by its file, or its bare name."""
    if argument is None:
        return "default"
    stem, extension = os.path.splitext(os.path.basename(argument.rstrip("/")))
    return stem if extension in (".yaml", ".yml") else stem + extension


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, CacheadminError):
        return int(error.exit_code), error.message
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    return int(ExitCode.UNEXPECTED), f"{type(error).__name__}: {error}"


def _outcome(exit_code: int) -> str:
    if exit_code == INTERRUPTED:
        return "interrupted"
    if exit_code == ExitCode.UNEXPECTED:
        return "failed"
    return next((name for code, name in _OUTCOME_OF_CODE.items() if code == exit_code), "done")
