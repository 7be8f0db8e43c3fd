"""What of a run goes on trial instead of quarantine, and what comes back from there.

What rests on proof (pointers, abandoned builds, buckets no user needs) goes to
quarantine. What rests on absence of evidence, archives and folders of cached
environments, goes on trial (``trial.tripwires``), or stays where it can't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from cacheadmin.evidence.client_memory import client_memory_seconds
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.inventory.entries import (
    EntryKind,
    archive_path,
    bucket_of,
    lies_in,
    with_folders_above,
)
from cacheadmin.packages.names import matches, normalized
from cacheadmin.planner.gaps import PROOF
from cacheadmin.planner.liveness import outside_roots
from cacheadmin.planner.words import describe_user
from cacheadmin.text.timestamps import nanoseconds
from cacheadmin.trial.ledger import Trial
from cacheadmin.trial.trials import Rules
from cacheadmin.trial.tripwires import TripwireStanding
from cacheadmin.uv.layout import ARCHIVES, trial_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Policy
    from cacheadmin.trial.trials import Trials, Watched

_CONTENT_MADE = (
    "its id is made from its content, so a uv can find it without a pointer: it is removed only "
    "where no user can be overlooked (venvs.complete)"
)
_HOLDS_ENVIRONMENTS = "it holds environments that may be in use, and a bucket can't go on trial"
_HOLDS_TRIPWIRES = "it holds tripwires of environments that are on trial"


@dataclass(slots=True)
class TrialResult:
    """What a run did with trials (``trial`` in JSON)."""

    planted: list[str] = field(default_factory=list)
    """Entries that the run put on trial."""

    watched: Watched | None = None
    """What the look at all tripwires found before the run; None where there was no look."""

    linked: list[str] = field(default_factory=list)
    """Entries on trial that came back because the look found who uses them."""

    ended: list[str] = field(default_factory=list)
    """Entries whose trial is over, deleted for good."""

    ended_bytes: int = 0
    """Bytes that the deletion of ``ended`` freed."""

    ends_ns: int | None = None
    """When the trial of ``planted`` ends (ns since the epoch); None where no trial began."""


@frozen
class Divided:
    """Removals, divided by what becomes of them."""

    removals: tuple[Decision, ...]
    """What is removed, on trial or to quarantine, in the plan's order."""

    on_trial: frozenset[str]
    """Paths of those removals that are put on trial."""

    staying: tuple[tuple[str, str], ...]
    """What can't go on trial, and so is kept: (path, why)."""


def divide_removals(policy: Policy, inventory: Inventory, removals: Sequence[Decision]) -> Divided:
    """Decide what goes on trial: what rests on absence, where the policy has trials."""
    folders = {e.path for e in inventory.environments if e.archive is None}
    tripwires = {bucket_of(entry) for entry in inventory.on_trial} - {ARCHIVES}
    on_trial: set[str] = set()
    staying: dict[str, str] = {}
    for decision in removals:
        path = decision.path
        if path in tripwires:
            staying[path] = _HOLDS_TRIPWIRES
            continue
        if decision.rests_on == PROOF or policy.prune.trial == "never":
            continue
        if decision.kind is EntryKind.BUCKET:
            if any(lies_in(folder, (path,)) for folder in folders):
                staying[path] = _HOLDS_ENVIRONMENTS
        elif decision.kind is EntryKind.ARCHIVE or path in folders:
            if trial_name(path) is not None:
                on_trial.add(path)
            else:
                staying[path] = _CONTENT_MADE
    left = tuple(decision for decision in removals if decision.path not in staying)
    return Divided(left, frozenset(on_trial), tuple(staying.items()))


def trial_rules(policy: Policy, cache_path: str) -> Rules:
    """Return what holds for trials; a policy that has none any more lets them end at once.

    ``cache_path`` is resolved and absolute: its filesystem decides from when on users are seen.
    """
    trial = policy.prune.trial
    lasts_ns = 0 if trial == "never" else nanoseconds(trial.lasts)
    alone = policy.hosts.is_alone
    unseen_ns = nanoseconds(timedelta(seconds=client_memory_seconds(cache_path, alone=alone)))
    return Rules(lasts_ns, unseen_ns, complete=policy.venvs.complete)


def new_trials(
    run_id: str,
    removals: Iterable[Decision],
    on_trial: frozenset[str],
    sizes: Mapping[str, Size],
    now_ns: int,
    rules: Rules,
) -> list[Trial]:
    """Return the trials that a run is about to begin."""
    found = []
    for decision in removals:
        if decision.path not in on_trial:
            continue
        size = sizes.get(decision.path)
        found.append(
            Trial(
                decision.path,
                run_id,
                now_ns,
                now_ns + rules.lasts_ns + rules.unseen_ns,
                package=decision.package,
                version=decision.version,
                bytes=size.reclaimable_bytes if size is not None else 0,
                files=size.files if size is not None else 0,
                discounted_ns=rules.unseen_ns,
            )
        )
    return found


def used_on_trial(case: PlanInput, removals: Iterable[Decision]) -> dict[str, str]:
    """Return the entries on trial that this look found to be used, each with who uses it.

    A pointer that leads to one counts too: an install through it would fail at
    the tripwire. So does a policy that keeps by now what an earlier one removed.
    """
    on_trial = case.inventory.on_trial
    if not on_trial:
        return {}
    found: dict[str, str] = {}
    going = {decision.path for decision in removals}
    for entry, who in chain(_uses(case, going), _kept_by_policy(case)):
        if entry in on_trial:
            found.setdefault(entry, who)
    return found


def _uses(case: PlanInput, going: set[str]) -> Iterator[tuple[str, str]]:
    inventory, evidence = case.inventory, case.evidence
    for environment in evidence.environments:
        inside = environment.entry_in(inventory.cache)
        if environment.kind is EnvironmentKind.CACHED and inside and lies_in(inside, going):
            continue
        for entry in environment.led_to:
            yield entry, environment.path
    # The planner's own list: what keeps an entry at its place brings it back to it.
    for path, use in outside_roots(case):
        for entry in _entries_around(path):
            if entry in inventory.on_trial:
                yield entry, describe_user(use.user)
    yield from _pointed_at(inventory)
    yield from _pinned(inventory, evidence)


def _pointed_at(inventory: Inventory) -> Iterator[tuple[str, str]]:
    for pointer in inventory.wheel_pointers:
        for archive in pointer.archives:
            yield archive_path(archive), pointer.path
    for revision in inventory.revisions:
        for archive in revision.archives:
            yield archive_path(archive), revision.path
    for cached in inventory.environments:
        if cached.archive is not None:
            yield archive_path(cached.archive), cached.path


def _kept_by_policy(case: PlanInput) -> Iterator[tuple[str, str]]:
    rules = case.policy.prune
    gap = next(iter(case.gaps), None) if case.gaps_keep else None
    for one in case.inventory.on_trial.values():
        pattern = matches(rules.keep, one.package, one.version)
        never = rules.environments == "never"
        if bucket_of(one.entry) == ARCHIVES:
            never = not rules.archives
        if pattern is not None:
            yield one.entry, f"prune.keep names {pattern}"
        elif never:
            yield one.entry, "the policy removes none of its kind"
        elif gap is not None:
            yield one.entry, f"the policy keeps what gaps may hide: {gap.detail}"


def _pinned(inventory: Inventory, evidence: Evidence) -> Iterator[tuple[str, str]]:
    by_path: dict[str, str] = {}
    for pin in evidence.pins:
        if pin.path is not None:
            by_path[pin.path] = f"pin {pin.file}"
            continue
        for one in inventory.on_trial.values():
            same = one.package == normalized(pin.package or "")
            if same and pin.version in (None, one.version):
                yield one.entry, f"pin {pin.file}"
    # A folder that an entry lies in keeps it as well, and so does a file in it.
    for entry in inventory.on_trial if by_path else ():
        for above in with_folders_above(entry):
            if above in by_path:
                yield entry, by_path[above]
    for path, who in by_path.items():
        for entry in _entries_around(path):
            yield entry, who


def _entries_around(path: str) -> Iterator[str]:
    """Yield what may go on trial around a path: a folder in a bucket, however deep the path is."""
    bucket, _, inside = path.partition("/")
    if inside:
        yield f"{bucket}/{inside.partition('/')[0]}"


def put_back_trials(
    trials: Trials | None, paths: Iterable[str]
) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]:
    """Put back what of these paths is on trial; return what came back, conflicts and failures."""
    if trials is None:
        return [], [], []
    there = [path for path in paths if trials.tripwires.holds(path)]
    stuck = dict(trials.put_back(there))
    foreign = {
        path for path in stuck if trials.tripwires.look(path).standing is TripwireStanding.FOREIGN
    }
    conflicts = [(path, why) for path, why in stuck.items() if path in foreign]
    failed = [(path, why) for path, why in stuck.items() if path not in foreign]
    return [path for path in there if path not in stuck], conflicts, failed
