"""Chains of evidence: from a user of something, step by step, to an entry. Pure.

``/home/ana/proj/.venv -> archive Xyz (numpy 2.1.0), 312 links, seen 14:02 on node3``

Marks (`liveness`) say for each entry who uses it directly; a chain follows them
back to where the use begins: an environment, a process, a pin, the user of a uv
release, a rule of the policy, or something that could not be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, archive_id, bucket_of
from cacheadmin.planner import reasons
from cacheadmin.planner.targets import CacheEntry, all_entries
from cacheadmin.planner.users import EntryUser, EnvironmentUser, PinUser
from cacheadmin.planner.words import describe_finding, describe_user
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.planner.marks import Liveness, Use
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput

# An overlay runs from a cached environment, that from archives: no deeper.
_DEPTH = 6

# Two users of a bucket tell enough about each pointer in it.
_USERS_OF_BUCKET = 2

# People read a few, and scripts want no megabytes.
MOST_CHAINS = 50


class StepKind(StrEnum):
    """What a step of a chain is (public, in JSON)."""

    ENVIRONMENT = "environment"
    PROCESS = "process"
    PIN = "pin"
    USER = "user"
    RULE = "rule"
    ENTRY = "entry"


# Reasons for which an environment that was found on this host is the user.
_LINKS = (reasons.ARCHIVE_LINKED, reasons.ENVIRONMENT_LINKED)


@frozen
class Step:
    """One step of a chain."""

    kind: StepKind
    """What the step is."""
    name: str
    """An environment's path, an entry, or a user of another kind in words."""
    detail: str = ""
    """What else is known: owner and uv release, or the package of an entry; may be empty."""


@frozen
class Chain:
    """Steps from who uses an entry to the entry itself."""

    rule: str
    """The id of the rule that keeps the entry (``archive.linked``)."""
    steps: tuple[Step, ...]
    """From where the use begins to the entry, which is the last."""
    note: str = ""
    """How the use was seen (``312 links, seen 14:02 UTC on node3``), or empty."""
    leads: bool = False
    """Whether only a pointer in the cache keeps the entry: that is no use."""

    @property
    def begins(self) -> Step:
        """Where the use begins."""
        return self.steps[0]


class Chains:
    """Finds the chains that lead to entries of one case."""

    def __init__(self, case: PlanInput, live: Liveness, host: str) -> None:
        self._case = case
        self._live = live
        self._host = host
        self._environments = {one.path: one for one in case.outside_environments}
        self._remembered = {one.path: one for one in case.evidence.remembered}
        self._entries = {entry.path: entry for entry in all_entries(case.inventory)}

    def leading_to(self, entry: CacheEntry, decision: Decision) -> tuple[Chain, ...]:
        """Return what keeps an entry; ``decision`` stands in where nothing was marked."""
        found = dict.fromkeys(islice(self._chains(entry, ()), MOST_CHAINS))
        if not any(chain.rule == decision.why.id for chain in found):
            # A rule of its own kind of entry, such as the current revision.
            who = ", ".join(decision.used_by) or decision.rule
            step = Step(StepKind.RULE, who, decision.reason)
            found[Chain(decision.rule, (step, entry_step(entry)))] = None
        return tuple(found)

    def uses(self, entry: CacheEntry) -> list[Use]:
        """Return the marks of an entry, what could hide a use of it included."""
        if entry.kind is EntryKind.BUCKET:
            return list(self._live.buckets.get(entry.path, ()))
        marks = list(self._live.of(entry.path))
        if entry.kind in (EntryKind.ARCHIVE, EntryKind.ENVIRONMENT):
            marks += self._live.hidden_uses
        return marks

    def _chains(self, entry: CacheEntry, visited: tuple[str, ...]) -> Iterator[Chain]:
        if entry.path in visited or len(visited) > _DEPTH:
            return
        last = entry_step(entry)
        for use in self.uses(entry):
            for chain in self._beginnings(use, (*visited, entry.path)):
                yield Chain(use.reason.id, (*chain.steps, last), chain.note, leads=use.reason.leads)
        if entry.kind is EntryKind.WHEEL:
            kept = reasons.WHEEL_BUCKET_KEPT
            bucket = self._entries.get(bucket_of(entry.path))
            if bucket is not None:
                for chain in islice(self._chains(bucket, visited), _USERS_OF_BUCKET):
                    yield Chain(kept.id, (*chain.steps, last), chain.note, leads=kept.leads)

    def _beginnings(self, use: Use, visited: tuple[str, ...]) -> Iterator[Chain]:
        """Yield the chains that end in the user that a mark names."""
        inner = self._entries.get(use.user.path) if isinstance(use.user, EntryUser) else None
        if inner is not None:
            yield from self._chains(inner, visited)
            return
        yield self._beginning(use)

    def _beginning(self, use: Use) -> Chain:
        found = describe_finding(use.reason, use.user, use.detail)
        path = use.user.path if isinstance(use.user, EnvironmentUser) else ""
        environment = self._environments.get(path)
        if environment is not None and use.reason in _LINKS:
            step = Step(StepKind.ENVIRONMENT, environment.path, self._owner(environment))
            return Chain(use.reason.id, (step,), self._seen(environment))
        memory = self._remembered.get(path)
        if memory is not None and use.reason is reasons.ARCHIVE_REMEMBERED:
            step = Step(StepKind.ENVIRONMENT, memory.path, self._case.user(memory.uid))
            return Chain(use.reason.id, (step,), f"{found}, last seen {rfc3339(memory.seen_ns)}")
        name = describe_user(use.user)
        return Chain(use.reason.id, (Step(_step_kind(use), name, found.removeprefix(f"{name} ")),))

    def _owner(self, environment: Environment) -> str:
        release = f", uv {environment.uv_version}" if environment.uv_version else ""
        return f"{self._case.user(environment.uid)}{release}"

    def _seen(self, environment: Environment) -> str:
        links = format_count(environment.links, "link")
        return f"{links}, seen {_time_words(self._case)} on {self._host}"


def _step_kind(use: Use) -> StepKind:
    if use.reason is reasons.PROCESS_RUNNING:
        return StepKind.PROCESS
    if use.reason is reasons.BUCKET_NEEDED:
        return StepKind.USER
    # A process that may use any archive is no user of this one: that is a rule.
    return StepKind.PIN if isinstance(use.user, PinUser) else StepKind.RULE


def entry_step(entry: CacheEntry) -> Step:
    """Return an entry as the last step of a chain."""
    name = entry.path
    if entry.kind is EntryKind.ARCHIVE:
        name = f"archive {archive_id(entry.path)}"
    package = " ".join(part for part in (entry.package, entry.version) if part)
    return Step(StepKind.ENTRY, name, package)


def chain_words(chain: Chain) -> str:
    """Return a chain in one line."""
    steps = " -> ".join(
        f"{step.name} ({step.detail})" if step.detail else step.name for step in chain.steps
    )
    return f"{steps}, {chain.note}" if chain.note else steps


def _time_words(case: PlanInput) -> str:
    """Return when this look was taken (``14:02``, UTC)."""
    return rfc3339(case.evidence.collected_at_ns)[11:16] + " UTC"
