"""What follows from the values of a policy's sections, without pydantic.

Sections that were checked by the model have these properties, and so have those
that were read back from what is remembered of it (``recalled``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from cacheadmin.readers.questions import ReaderLimits

if TYPE_CHECKING:
    from datetime import timedelta

# The kernel counts 292 years; a year is for ever.
_LONGEST_WAIT_SECONDS = 365 * 86_400.0


class BudgetMeaning:
    """Of ``prune.budget``."""

    if TYPE_CHECKING:
        max_size: int | None
        max_files: int | None
        min_free: Any

    @property
    def is_set(self) -> bool:
        """Whether any of these sizes is to be met."""
        return any(one is not None for one in (self.max_size, self.max_files, self.min_free))


class TrialMeaning:
    """Of ``prune.trial``."""

    @property
    def lasts(self) -> timedelta:
        """How long a trial lasts: the policy's ``for``, which Python can't spell."""
        return cast("timedelta", getattr(self, "for"))


class HostsMeaning:
    """Of ``hosts``."""

    if TYPE_CHECKING:
        only: Any

    @property
    def is_alone(self) -> bool:
        """Whether the site has given its word that no other host uses the cache."""
        return bool(self.only == "this")


class NotifyMeaning:
    """Of ``notify``."""

    if TYPE_CHECKING:
        urls: tuple[Any, ...]
        file: str | None

    @property
    def is_set(self) -> bool:
        """Whether any user is to get messages."""
        return bool(self.urls) or self.file is not None


class ScanLimitsMeaning:
    """Of ``scan.limits``."""

    if TYPE_CHECKING:
        memory: int
        cpu: timedelta
        deadline: timedelta

    @property
    def of_readers(self) -> ReaderLimits:
        """The same, as readers take it."""
        deadline_seconds = min(self.deadline.total_seconds(), _LONGEST_WAIT_SECONDS)
        return ReaderLimits(self.memory, self.cpu.total_seconds(), deadline_seconds)
