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
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.text.accounts import who_may
from cacheadmin.text.counting import format_count
from cacheadmin.text.timestamps import NANOSECONDS, now_ns

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured, Ranges
    from cacheadmin.evidence.collecting import Collected
    from cacheadmin.evidence.facts import Environment, Evidence, Pin, RememberedEnvironment
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.fs.charges import Charges
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.inventory.reading import OpenCache
    from cacheadmin.planner.case import Case
    from cacheadmin.planner.plan import Plan
    from cacheadmin.policy.loading import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.state.store import State

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Situation:
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

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        return self.loaded.policy

    @cached_property
    def case(self) -> Case:
        """What the planner decides over."""
        from cacheadmin.planner.case import Case

        return Case(self.policy, self.inventory, self.evidence, self.now_ns)

    @property
    def rests_on_memory(self) -> bool:
        """Whether environments were taken for what they were, without looking into them."""
        memory = self.collected.look.memory
        return memory is not None and memory.recalled > 0

    def plan(self) -> Plan:
        """Decide what may go; pure from here on, but for sizes that the policy asks for."""
        from cacheadmin.planner.planning import make_plan

        prune = self.policy.prune
        plan = make_plan(self.policy, self.inventory, self.evidence, self.now_ns)
        if prune.budget.is_set:
            from cacheadmin.budgeting import within_budget

            plan = within_budget(self, plan)
        if prune.limits.entries is None and prune.limits.bytes is None:
            return plan
        from cacheadmin.planner.run_limits import within

        sizes = {} if prune.limits.bytes is None else self.measure(plan, kept=False)
        return within(plan, prune.limits, sizes, self.inventory, self.evidence)

    def remember_environments(self) -> None:
        """Remember the environments that this look saw, if the caller may write the state.

        Every command does: another release's prune may erase tonight the only
        record of an environment, and what was seen once is looked at again.
        """
        from cacheadmin.errors import NotPermitted
        from cacheadmin.state.store import StateUnusable

        memory = self.collected.look.memory
        looked_ns = {} if memory is None else memory.looked_ns
        try:
            self.state.remember(self.evidence.environments, self.now_ns, looked_ns)
        except (StateUnusable, NotPermitted):
            # Reading commands work without; a prune says it (`run_prune`).
            pass

    def record_clock(self) -> None:
        """Remember what this host's clock says, once an hour: later runs are held against it."""
        anchor = self.state.clock(self.host_time.host)
        if anchor is not None and anchor[0].boot == self.host_time.boot:
            passed_ns = self.host_time.uptime_ns - anchor[0].uptime_ns
            if 0 <= passed_ns < 3600 * NANOSECONDS:
                return
        self.state.note_clock(self.host_time, self.now_ns)

    def record_uses(self) -> str:
        """Remember what is used now, where the policy asks; return a warning or "".

        Where absence of use can't be concluded, everything counts as used.
        """
        if not _observes_use(self.policy):
            return ""
        from cacheadmin.evidence.last_use import observed_entries, record_uses
        from cacheadmin.planner.planning import unused_entries

        unused = unused_entries(self.case)
        rows, failures = record_uses(
            self.cache,
            self.inventory,
            self.state.archive_uses(),
            {name for name, _ in observed_entries(self.inventory)} - unused,
            self.host_time,
            self.collected.look.readers,
            attributes=self.evidence.filesystem.keeps_user_xattrs is True,
        )
        self.state.note_archive_uses(rows)
        if not failures:
            return ""
        words = format_count(failures, "entry", "entries")
        return f"{words} can't be given an attribute: never counted as unused"

    def record_pin_ages(self) -> None:
        """Remember for how long pins that can expire have been there."""
        from cacheadmin.evidence.pin_ages import age_records

        before = {}
        if any(pin.expires_ns is not None for pin in self.evidence.pins):
            before = self.state.pin_ages()
        after = age_records(self.evidence.pins, before, self.host_time)
        if after:
            self.state.note_pin_ages(after)

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
                hint=who_may(
                    os.fstat(self.cache.fd).st_uid, "run it as root, or as the owner of the cache"
                ),
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
        from cacheadmin.accounting import Measured
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
    afresh: bool = False,
    progress: Progress | None = None,
) -> Iterator[Situation]:
    """Load a policy (file, bare name, or None for the built-in one) and look at its cache.

    Raises PolicyInvalid, NotACache and NotPermitted as loading and opening do.
    """
    from cacheadmin.policy.loading import load_policy

    loaded = load_policy(argument, insecure=insecure_policy, recall=True)
    with look_with(
        loaded, report_clones=report_clones, deep=deep, afresh=afresh, progress=progress
    ) as situation:
        yield situation


@contextmanager
def look_with(
    loaded: LoadedPolicy,
    *,
    report_clones: bool = False,
    deep: bool | None = None,
    afresh: bool = False,
    progress: Progress | None = None,
) -> Iterator[Situation]:
    """Look at the cache of a policy that is loaded already.

    ``afresh``: every environment is looked at, whatever is remembered of it.
    """
    from cacheadmin.evidence.collecting import collect_evidence
    from cacheadmin.evidence.environments import ScanOptions
    from cacheadmin.evidence.look import Look
    from cacheadmin.evidence.memory import Memory
    from cacheadmin.evidence.questions import aliases_of
    from cacheadmin.evidence.seen_releases import read_seen_releases
    from cacheadmin.evidence.steady_time import host_time, steady_moment
    from cacheadmin.hosts.keeping import observation_store
    from cacheadmin.inventory.opening import open_cache
    from cacheadmin.policy.quarantine_place import choose_quarantine
    from cacheadmin.readers import Readers
    from cacheadmin.state.memory_file import MemoryFile
    from cacheadmin.state.remembered_inventory import read_inventory_with_memory
    from cacheadmin.state.store import open_state
    from cacheadmin.text.timestamps import nanoseconds

    with (
        open_cache(loaded.policy.cache) as cache,
        Readers(loaded.policy.scan.limits.of_readers, keep=(cache.fd,)) as readers,
    ):
        state = open_state(loaded.policy.state, cache=cache.identity)
        here = host_time()
        wall_ns = now_ns()
        moment = steady_moment(wall_ns, state.clock(here.host), here)
        full_every_ns = 0 if afresh else nanoseconds(loaded.policy.scan.full_every)
        inventory = read_inventory_with_memory(
            cache, readers, state.url, now_ns=moment, every_ns=full_every_ns
        )
        store = observation_store(state, cache, choose_quarantine(loaded.policy, cache).path)
        told = store.read()
        memory_file = MemoryFile(state.url, inventory, aliases_of(loaded.policy, told))
        memory = None
        if full_every_ns:
            memory = Memory(memory_file.read(), inventory, now_ns=moment, every_ns=full_every_ns)
        collected = collect_evidence(
            Look(
                loaded.policy,
                cache,
                inventory,
                state.known_environments(),
                observed=store,
                told=told,
                now_ns=moment,
                readers=readers,
                memory=memory,
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
        evidence = collected.evidence
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
        if _observes_use(loaded.policy):
            from cacheadmin.evidence.last_use import idle_times

            attributes = evidence.filesystem.keeps_user_xattrs is True
            uses = state.archive_uses()
            idle = idle_times(cache, inventory, uses, here, readers, attributes=attributes)
            evidence = replace(evidence, idle=idle)
        situation = Situation(loaded, cache, inventory, evidence, state, moment, here, collected)
        situation.remember_environments()
        yield situation


def _not_seen_now(state: State, collected: Collected) -> tuple[RememberedEnvironment, ...]:
    """Return what is on record of environments that are not seen, or not whole, now."""
    from cacheadmin.evidence.facts import EnvironmentStatus

    lost = (EnvironmentStatus.MISSING, EnvironmentStatus.UNREADABLE)
    seen = {one.path for one in collected.evidence.environments if one.status not in lost}
    paths = {one.path for one in collected.look.known if one.path not in seen}
    return state.remembered_environments(paths) if paths else ()


def _sprung(policy: Policy, cache: OpenCache, moment_ns: int) -> dict[str, int]:
    """Return what came back from trial within ``uv.active_within``, each with when (ns)."""
    from cacheadmin.text.timestamps import nanoseconds
    from cacheadmin.trial.trials import trials_or_none

    with trials_or_none(cache) as trials:
        if trials is None:
            return {}
        since_ns = moment_ns - nanoseconds(policy.uv.active_within)
        return {entry: one.at_ns for entry, one in trials.ledger.uses_since(since_ns).items()}


def _with_ages(pins: tuple[Pin, ...], state: State, here: HostTime) -> tuple[Pin, ...]:
    """Return pins with how old they surely are."""
    from cacheadmin.evidence.pin_ages import with_known_ages

    if any(pin.expires_ns is not None for pin in pins):
        return with_known_ages(pins, state.pin_ages(), here)
    return pins


def _observes_use(policy: Policy) -> bool:
    return policy.prune.unused.after is not None or policy.prune.budget.is_set


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
