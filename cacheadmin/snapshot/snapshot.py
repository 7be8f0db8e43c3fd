"""One look at one cache: policy, inventory and evidence, taken together.

Every command that reports or removes starts here, so that all of them see
the cache in the same way. Nothing in the cache is changed and no lock is
taken. What was seen of environments is remembered in the state and in a file
beside it, where the caller may write them; nothing else is written.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.errors import NotPermitted
from cacheadmin.evidence.collection import collect_evidence
from cacheadmin.evidence.environments import ScanOptions
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.evidence.last_use import idle_times, observes_use
from cacheadmin.evidence.look import Look
from cacheadmin.evidence.memory import Memory
from cacheadmin.evidence.pin_ages import with_known_ages
from cacheadmin.evidence.questions import aliases_of
from cacheadmin.evidence.searched_folders import SearchMemory
from cacheadmin.evidence.seen_releases import read_seen_releases
from cacheadmin.evidence.steady_time import host_time, recorded_moment
from cacheadmin.hosts.observation_store import observation_store
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.policy.teams import team_of
from cacheadmin.readers import Readers
from cacheadmin.readers.strength import strength_of
from cacheadmin.snapshot.budget import plan_within_limits
from cacheadmin.snapshot.moment import steady_now
from cacheadmin.snapshot.sizing import Sizing
from cacheadmin.state.archive_sizes import open_archive_sizes
from cacheadmin.state.memory_file import MemoryFile, SearchMemoryFile
from cacheadmin.state.remembered_inventory import read_inventory_with_memory
from cacheadmin.state.seen_environments import remember_environments
from cacheadmin.state.store import open_state
from cacheadmin.text.accounts import who_may
from cacheadmin.text.timestamps import nanoseconds, now_ns
from cacheadmin.trial.trials import trials_or_none

if TYPE_CHECKING:
    from cacheadmin.evidence.collection import Collected
    from cacheadmin.evidence.facts import Environment, Evidence, Pin, RememberedEnvironment
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.planner.plan import Plan
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.state.store import State

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Snapshot:
    """Everything known of one cache at one moment."""

    loaded: LoadedPolicy
    """The policy and where it comes from."""
    cache: OpenCache
    """The cache, open as long as the look lasts."""
    inventory: Inventory
    """What lies in the cache, and what of it could not be read."""
    evidence: Evidence
    """Who uses the cache, and where the sources could not look."""
    state: State
    """What is remembered between runs."""
    now_ns: int
    """The time of the look (ns since the epoch).

    The clock, less by how far it was set forward since the last run (``evidence.steady_time``).
    """
    host_time: HostTime
    """This host, its boot and the time since then."""
    collected: Collected
    """What each source of evidence answered, and the look to ask again with."""
    recorded_ns: int
    """The time to write down for what was seen (ns since the epoch); later than ``now_ns``
    where the clock is behind what the host has counted."""

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.loaded.policy

    @cached_property
    def case(self) -> PlanInput:
        """What the planner decides over."""
        return PlanInput(self.policy, self.inventory, self.evidence, self.now_ns)

    @property
    def rests_on_memory(self) -> bool:
        """Whether environments were taken for what they were, without looking into them."""
        memory = self.collected.look.memory
        return memory is not None and memory.recalled > 0

    @property
    def readers(self) -> Readers:
        """The processes that open what users control."""
        return self.collected.look.readers

    @cached_property
    def sizing(self) -> Sizing:
        """What measures entries of the cache."""
        kind = self.evidence.filesystem.kind
        return Sizing(
            self.cache,
            kind,
            self.evidence.environments,
            self.readers,
            self.inventory,
            open_archive_sizes(self.state),
        )

    def plan(self) -> Plan:
        """Decide what may go; pure but for sizes that the policy asks for."""
        plan = plan_within_limits(self.case, self.sizing)
        named = self.loaded.named
        limits = tuple(replace(limit, fix=named(limit.fix)) for limit in plan.limits)
        return replace(plan, limits=limits)

    def require_writable(self) -> None:
        """Refuse what ends in a prune on a cache that can't be changed from here.

        Raises NotPermitted for a read-only mount, or a root folder that the
        caller may not write to.
        """
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
                hint=who_may(
                    os.fstat(self.cache.fd).st_uid, "run it as root, or as the owner of the cache"
                ),
            )

    def owner_of(self, environment: Environment) -> str | None:
        """Return the account name of an environment's owner, None where unknown."""
        return None if environment.uid is None else self.case.user(environment.uid)

    def team_of(self, environment: Environment) -> str | None:
        """Return the team an environment is attributed to."""
        return team_of(self.policy, environment.path, environment.uid)


@contextmanager
def look_at(
    argument: str | None,
    *,
    insecure_policy: bool = False,
    report_clones: bool = False,
    deep: bool | None = None,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Iterator[Snapshot]:
    """Load a policy (file, bare name, or None for the built-in one) and look at its cache.

    Raises PolicyInvalid, NotACache and NotPermitted as loading and opening do.
    """
    loaded = load_policy(argument, insecure=insecure_policy, recall=True)
    with look_with(
        loaded, report_clones=report_clones, deep=deep, afresh=afresh, progress=progress
    ) as snapshot:
        yield snapshot


@contextmanager
def look_with(
    loaded: LoadedPolicy,
    *,
    report_clones: bool = False,
    deep: bool | None = None,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Iterator[Snapshot]:
    """Look at the cache of a policy that is loaded already.

    ``afresh``: every environment is looked at, whatever is remembered of it.
    """
    with (
        open_cache(loaded.policy.cache) as cache,
        Readers(
            loaded.policy.scan.limits.of_readers,
            keep=(cache.fd,),
            strength=strength_of(loaded.policy.scan.executor, loaded.policy.scan.workers),
        ) as readers,
    ):
        state = open_state(loaded.policy.state, cache=cache.identity)
        here = host_time()
        wall_ns = now_ns()
        moment = steady_now(state, here, wall_ns)
        recorded_ns = recorded_moment(moment, state.clock(here.host), here)
        full_every_ns = 0 if afresh else nanoseconds(loaded.policy.scan.full_every)
        inventory = read_inventory_with_memory(
            cache, readers, state.url, now_ns=moment, every_ns=full_every_ns
        )
        store = observation_store(state, cache, choose_quarantine(loaded.policy, cache))
        told = store.read()
        memory_file = MemoryFile(state.url, inventory, aliases_of(loaded.policy, told))
        searches_file = SearchMemoryFile(state.url, cache.identity)
        memory = searched = None
        if full_every_ns:
            memory = Memory(memory_file.read(), inventory, now_ns=moment, every_ns=full_every_ns)
            searched = SearchMemory(
                searches_file.read_plain(), now_ns=moment, every_ns=full_every_ns
            )
        collected = collect_evidence(
            Look(
                loaded.policy,
                cache,
                inventory,
                state.known_environments(),
                observed=store,
                told=told,
                now_ns=moment,
                clock_ahead_ns=wall_ns - moment,
                readers=readers,
                memory=memory,
                searched=searched,
            ),
            now_ns=moment,
            options=ScanOptions(
                deep=loaded.policy.venvs.scan == "deep" if deep is None else deep,
                report_clones=report_clones,
            ),
            progress=progress,
        )
        kept = None if memory is None else memory.written()
        if kept is not None:
            memory_file.write(kept)
        searches = None if searched is None else searched.written()
        if searches is not None:
            searches_file.write_plain(searches)
        evidence = _with_policy(loaded, collected.evidence)
        learned = state.learned_releases()
        evidence = replace(
            evidence,
            remembered=_not_seen_now(state, collected),
            pins=_with_ages(evidence.pins, state, here),
            sprung=_sprung(loaded.policy, cache, moment),
            user_names=_account_names(inventory, evidence),
            learned=learned,
            learned_prunes=state.learned_prunes() if learned else {},
            seen_releases=read_seen_releases(
                evidence.releases,
                learned,
                [bucket.name for bucket in inventory.buckets if not bucket.known],
                readers,
            ),
            clock_ahead_ns=wall_ns - moment,
        )
        if observes_use(loaded.policy):
            attributes = evidence.filesystem.keeps_user_xattrs is True
            uses = state.archive_uses()
            idle = idle_times(cache, inventory, uses, here, readers, attributes=attributes)
            evidence = replace(evidence, idle=idle)
        looked_ns = {} if memory is None else memory.looked_ns
        remember_environments(state, evidence.environments, recorded_ns, looked_ns)
        yield Snapshot(
            loaded, cache, inventory, evidence, state, moment, here, collected, recorded_ns
        )


def _with_policy(loaded: LoadedPolicy, evidence: Evidence) -> Evidence:
    """Return evidence whose advice names the policy: it is printed to be run as it is."""
    return replace(
        evidence,
        gaps=tuple(replace(gap, fix=loaded.named(gap.fix)) for gap in evidence.gaps),
        unseen=tuple(replace(one, fix=loaded.named(one.fix)) for one in evidence.unseen),
    )


def _not_seen_now(state: State, collected: Collected) -> tuple[RememberedEnvironment, ...]:
    """Return what is on record of environments that are not seen, or not whole, now."""
    lost = (EnvironmentStatus.MISSING, EnvironmentStatus.UNREADABLE)
    seen = {one.path for one in collected.evidence.environments if one.status not in lost}
    paths = {one.path for one in collected.look.known if one.path not in seen}
    return state.remembered_environments(paths) if paths else ()


def _sprung(policy: Policy, cache: OpenCache, moment_ns: int) -> dict[str, int]:
    """Return what came back from trial and is used, each with when (ns).

    That is what was used within ``uv.active_within``. Its place on trial may be known to a
    user, whom the way back alone tells of (``trial.ways_back``): a link there that has
    to be silent for as long as a tripwire before the entry lies there once more.
    """
    trial = policy.prune.trial
    lasts_ns = 0 if trial == "never" else nanoseconds(trial.lasts)
    with trials_or_none(cache) as trials:
        if trials is None:
            return {}
        since_ns = moment_ns - nanoseconds(policy.uv.active_within)
        return trials.used_since(since_ns, by_way_back_ns=since_ns - lasts_ns)


def _with_ages(pins: tuple[Pin, ...], state: State, here: HostTime) -> tuple[Pin, ...]:
    """Return pins with how old they surely are."""
    if any(pin.expires_ns is not None for pin in pins):
        return with_known_ages(pins, state.pin_ages(), here)
    return pins


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
            evidence.pins,
            inventory.unreadable,
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
