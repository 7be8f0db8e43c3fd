"""Who holds what: the archives that only one environment, owner or team keeps. Pure.

Two numbers answer two questions, and both come from the marks that a plan is
made of:

- *alone*: who is the last user? No other user's environment, process or pin
  uses these archives. Pointers in the cache may still lead to them.
- *freed*: what would a prune remove in addition, had these environments gone?
  Those of the former that nothing in the cache leads to either.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

from cacheadmin.inventory.entries import archive_id, archive_in
from cacheadmin.planner.explanation import reached_by
from cacheadmin.planner.users import EntryUser, EnvironmentUser
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.users import User

K = TypeVar("K", bound=Hashable)


@frozen
class Holding:
    """The archives that environments lead to; the module explains ``alone`` and ``freed``."""

    environments: int
    """How many environments were counted together."""
    archives: frozenset[ArchiveId]
    """All archives of the inventory that they lead to."""
    alone: frozenset[ArchiveId]
    """Those of ``archives`` that no other environment, process or pin uses."""
    freed: frozenset[ArchiveId]
    """Those of ``alone`` that a prune would remove if these environments were gone."""


def holdings(case: PlanInput, live: Liveness, key: Callable[[Environment], K]) -> dict[K, Holding]:
    """Return what the environments of people hold, grouped by ``key`` (path, owner, team)."""
    groups: dict[K, list[Environment]] = {}
    for environment in case.outside_environments:
        groups.setdefault(key(environment), []).append(environment)
    return {name: _holding(case, live, members) for name, members in groups.items()}


def _holding(case: PlanInput, live: Liveness, environments: list[Environment]) -> Holding:
    reached: set[str] = set()
    for environment in environments:
        reached |= reached_by(case, environment)
    own = _Own(live, frozenset(e.path for e in environments), reached)
    paths = {path for path in reached if archive_in(path) in case.inventory.archives}
    alone = {path for path in paths if own.alone(path)}
    removable = case.policy.prune.archives and not live.hidden_uses
    freed = {path for path in alone if removable and not own.is_led_to(path)}
    return Holding(
        len(environments), *(frozenset(map(archive_id, p)) for p in (paths, alone, freed))
    )


class _Own:
    """Tells whether only certain environments, ``users`` by their paths, keep an entry in use."""

    def __init__(self, live: Liveness, users: frozenset[str], reached: set[str]) -> None:
        self._live = live
        self._users = users
        self._reached = reached
        self._alone: dict[str, bool] = {}

    def alone(self, path: str) -> bool:
        """Whether no one else uses an entry, through cached environments either."""
        if path not in self._alone:
            # Until it is known: environments in a cache may lead to each other.
            self._alone[path] = True
            self._alone[path] = all(
                use.reason.leads or self._is_own(use.user) for use in self._live.of(path)
            )
        return self._alone[path]

    def _is_own(self, user: User) -> bool:
        if isinstance(user, EnvironmentUser):
            return user.path in self._users
        return isinstance(user, EntryUser) and user.path in self._reached and self.alone(user.path)

    def is_led_to(self, path: str) -> bool:
        """Whether a pointer in the cache leads to an entry."""
        return any(use.reason.leads for use in self._live.of(path))
