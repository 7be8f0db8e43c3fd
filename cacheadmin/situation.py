"""One look at one cache: policy, inventory and evidence, taken together.

Every command that reports or removes starts here, so that all of them see
the cache in the same way. Nothing in the cache is changed and no lock is
taken; the state is read, never written.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cacheadmin.timestamps import now_ns

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, Evidence
    from cacheadmin.fs.accounting import Measured, Ranges
    from cacheadmin.fs.charges import Charges
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.reading import OpenCache
    from cacheadmin.planner.case import Case
    from cacheadmin.planner.plan import Plan
    from cacheadmin.policy.loading import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.state.store import State

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything known of one cache at one moment. ``cache`` is open while this lives.

    ``known_processes`` holds (pid, start in ns) of those that were looked at.
    """

    loaded: LoadedPolicy
    cache: OpenCache
    inventory: Inventory
    evidence: Evidence
    state: State
    now_ns: int
    known_processes: frozenset[tuple[int, int]]

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.loaded.policy

    @property
    def case(self) -> Case:
        """What the planner decides over."""
        from cacheadmin.planner.case import Case

        return Case(self.policy, self.inventory, self.evidence, self.now_ns)

    def plan(self) -> Plan:
        """Decide what may go; pure from here on."""
        from cacheadmin.planner.planning import make_plan

        return make_plan(self.policy, self.inventory, self.evidence, self.now_ns)

    def require_writable(self) -> None:
        """Refuse what ends in a prune on a cache that can't be changed from here.

        Raises NotPermitted for a read-only mount, or a root folder that the
        caller may not write to.
        """
        from cacheadmin.errors import NotPermitted

        path = self.cache.identity.path
        filesystem = self.evidence.filesystem
        if filesystem.read_only:
            raise NotPermitted(
                f"the cache {path} is read-only: mounted so at {filesystem.mount_point}",
                hint="run it on a host that mounts the cache for writing",
            )
        if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            raise NotPermitted(
                f"the cache {path} can't be written by you",
                hint="run it as root, or as the owner of the cache",
            )

    def owner_of(self, environment: Environment) -> str | None:
        """Return the account name of an environment's owner, None where unknown."""
        return None if environment.uid is None else self.case.user(environment.uid)

    def team_of(self, environment: Environment) -> str | None:
        """Return the team an environment is attributed to."""
        from cacheadmin.policy.teams import team_of

        return team_of(self.policy, environment.path, environment.uid)

    def measure(self, plan: Plan, *, kept: bool) -> Measured[str]:
        """Return the sizes of a plan's removals, alone and together, by path.

        With ``kept`` also of what it keeps, each entry by itself.
        """
        from cacheadmin.fs.accounting import Measured
        from cacheadmin.fs.measuring import measure_each, measure_many

        going = [decision.path for decision in plan.removals]
        removals = measure_many(
            self.cache.fd, going, self.charges, lambda: self.shared_elsewhere(going)
        )
        if not kept:
            return removals
        staying = [decision.path for decision in plan.kept]
        sizes = measure_each(self.cache.fd, staying, self.charges)
        return Measured({**sizes, **removals.sizes}, removals.common)

    @property
    def charges(self) -> Charges:
        """What the cache's filesystem charges for files."""
        from cacheadmin.fs.charges import charges_of

        return charges_of(self.cache.fd, self.evidence.filesystem.kind)

    def shared_elsewhere(self, but: Iterable[str]) -> Ranges:
        """Return the shared extents of known environments, and of the cache ``but`` for entries."""
        from cacheadmin.evidence.clones import extents_of_environments
        from cacheadmin.fs.measuring import extents_below

        leave_out = frozenset(but)
        found = list(
            extents_of_environments(self.evidence.environments, self.cache.identity.device)
        )
        for name in os.listdir(self.cache.fd):
            found += extents_below(self.cache.fd, name, leave_out)
        return found


@contextmanager
def look_at(
    argument: str | None,
    *,
    insecure_policy: bool = False,
    report_clones: bool = False,
    deep: bool | None = None,
    progress: Progress | None = None,
) -> Iterator[Situation]:
    """Load a policy (file, bare name, or None for the built-in one) and look at its cache.

    Raises PolicyInvalid, NotACache and NotPermitted as loading and opening do.
    """
    from cacheadmin.policy.loading import load_policy

    loaded = load_policy(argument, insecure=insecure_policy)
    with look_with(loaded, report_clones=report_clones, deep=deep, progress=progress) as situation:
        yield situation


@contextmanager
def look_with(
    loaded: LoadedPolicy,
    *,
    report_clones: bool = False,
    deep: bool | None = None,
    progress: Progress | None = None,
) -> Iterator[Situation]:
    """Look at the cache of a policy that is loaded already."""
    from cacheadmin.evidence.collecting import collect_evidence
    from cacheadmin.evidence.processes import known_processes
    from cacheadmin.inventory.reading import open_cache, read_inventory
    from cacheadmin.state.store import open_state

    with open_cache(loaded.policy.cache) as cache:
        state = open_state(loaded.policy.state, cache=cache.identity)
        # Before anything is looked at: what starts from here on is new to us.
        known = known_processes()
        inventory = read_inventory(cache)
        moment = now_ns()
        evidence = collect_evidence(
            loaded.policy,
            cache,
            inventory,
            state.remembered_environments(),
            now_ns=moment,
            report_clones=report_clones,
            deep=loaded.policy.venvs.scan == "deep" if deep is None else deep,
            progress=progress,
        )
        evidence = replace(
            evidence,
            user_names=_account_names(inventory, evidence),
            learned=state.learned_releases(),
        )
        yield Situation(loaded, cache, inventory, evidence, state, moment, known)


def _account_names(inventory: Inventory, evidence: Evidence) -> dict[int, str]:
    uids: set[int] = {archive.uid for archive in inventory.archives.values()}
    uids.update(write.uid for bucket in inventory.buckets for write in bucket.writes)
    uids.update(build.uid for build in inventory.builds)
    uids.update(stray.uid for stray in inventory.strays)
    uids.update(process.uid for process in evidence.processes)
    owners: Iterable[int | None] = (
        owner.uid
        for group in (
            evidence.environments,
            evidence.remembered,
            evidence.releases,
            evidence.lock_holders,
            evidence.unseen,
        )
        for owner in group
    )
    uids.update(uid for uid in owners if uid is not None)
    names: dict[int, str] = {}
    for uid in uids:
        try:
            names[uid] = pwd.getpwuid(uid).pw_name
        except (KeyError, OverflowError):
            continue
    return names
