"""What audit rules look at: one situation, and what is costly to find out, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.audit.survey import take_survey

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.audit.advisories import Advisories
    from cacheadmin.audit.survey import Survey
    from cacheadmin.planner.case import Case
    from cacheadmin.policy.model import Policy
    from cacheadmin.situation import Situation


@dataclass(frozen=True)
class Subject:
    """One cache under audit. Its cached properties are found out when first asked for."""

    situation: Situation
    """The look at the cache."""
    measured: Size | None = None
    """What the whole cache takes, where the caller knows it; None: measured when asked for."""
    advisories: Advisories | None = None
    """What is known of vulnerable packages; None where the caller gave none."""

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.situation.policy

    @property
    def cache_path(self) -> str:
        """The cache's absolute path."""
        return self.situation.cache.identity.path

    def command(self, words: str, *arguments: str) -> str:
        """Return a command of ours on this cache's policy, as it can be copied into a shell."""
        return self.situation.loaded.command(words, *arguments)

    @property
    def case(self) -> Case:
        """Policy, inventory and evidence, as the planner sees them."""
        return self.situation.case

    @cached_property
    def size(self) -> Size:
        """What the whole cache takes, as ``prune.budget`` counts it; every file is looked at."""
        if self.measured is not None:
            return self.measured
        return self.situation.sizing.of_cache()

    @cached_property
    def survey(self) -> Survey:
        """What one walk over all files of the cache counted."""
        return take_survey(self.situation)
