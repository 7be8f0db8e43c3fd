"""What audit rules look at: one snapshot, and what is costly to find out, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.audit.survey.walk import take_survey

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.audit.advisories import Advisories
    from cacheadmin.audit.survey.walk import Survey
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Snapshot


@dataclass(frozen=True)
class AuditTarget:
    """One cache under audit. Its cached properties are found out when first asked for."""

    snapshot: Snapshot
    """The look at the cache."""
    measured: Size | None = None
    """What the whole cache takes, where the caller knows it; None: measured when asked for."""
    advisories: Advisories | None = None
    """What is known of vulnerable packages; None where the caller gave none."""

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.snapshot.policy

    @property
    def cache_path(self) -> str:
        """The cache's absolute path."""
        return self.snapshot.cache.identity.path

    def command(self, words: str, *arguments: str) -> str:
        """Return a command of ours on this cache's policy, as it can be copied into a shell."""
        return self.snapshot.loaded.command(words, *arguments)

    @property
    def case(self) -> PlanInput:
        """Policy, inventory and evidence, as the planner sees them."""
        return self.snapshot.case

    @cached_property
    def size(self) -> Size:
        """What the whole cache takes, as ``prune.budget`` counts it; every file is looked at."""
        if self.measured is not None:
            return self.measured
        return self.snapshot.sizing.of_cache()

    @cached_property
    def survey(self) -> Survey:
        """What one walk over all files of the cache counted."""
        return take_survey(self.snapshot)
