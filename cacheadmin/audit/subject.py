"""What audit rules look at: one situation, and what is costly to find out, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.audit.survey import Survey
    from cacheadmin.fs.accounting import Size
    from cacheadmin.planner.case import Case
    from cacheadmin.planner.plan import Plan
    from cacheadmin.policy.model import Policy
    from cacheadmin.situation import Situation


@dataclass(frozen=True)
class Subject:
    """One cache under audit. Its cached properties are found out when first asked for."""

    situation: Situation

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.situation.policy

    @property
    def cache_path(self) -> str:
        """The cache's absolute path."""
        return self.situation.cache.identity.path

    @cached_property
    def case(self) -> Case:
        """Policy, inventory and evidence, as the planner sees them."""
        return self.situation.case

    @cached_property
    def plan(self) -> Plan:
        """What a prune would remove and keep now."""
        return self.situation.plan()

    @cached_property
    def size(self) -> Size:
        """What the whole cache takes, as ``prune.budget`` counts it; every file is looked at."""
        import os

        from cacheadmin.fs.measuring import measure_many

        situation = self.situation
        sizes = measure_many(situation.cache.fd, os.listdir(situation.cache.fd), situation.charges)
        return sizes.together(sizes)

    @cached_property
    def survey(self) -> Survey:
        """What one walk over all files of the cache counted."""
        from cacheadmin.audit.survey import take_survey

        return take_survey(self)
