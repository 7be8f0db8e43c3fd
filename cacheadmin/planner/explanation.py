"""Why something is kept or removed, who uses it through what, and what would change it. Pure.

Decisions come from the plan that a prune would carry out, never from a second
opinion; marks (`liveness`) are asked only for *all* who keep an entry, where a
plan names the first. What would come free is answered by planning once more
without the environment in question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, archive_id, bucket_of, with_folders_above
from cacheadmin.planner.bucket_needs import bucket_needs
from cacheadmin.planner.chains import Chain, Chains, StepKind
from cacheadmin.planner.liveness import mark
from cacheadmin.planner.marks import Use
from cacheadmin.planner.targets import CacheEntry, all_entries, resolve_target
from cacheadmin.planner.users import EntryUser, path_of
from cacheadmin.planner.words import describe_user, to_keep, to_let_go
from cacheadmin.text.lists import join_some
from cacheadmin.text.timestamps import NANOSECONDS, format_age, rfc3339
from cacheadmin.uv.layout import WHEEL_SUFFIXES
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, Evidence
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.planner.plan_input import PlanInput

Replan = Callable[["Evidence"], "Plan"]

# An environment that no user has changed for so long may well be forgotten.
_LONG_NS = 30 * 86_400 * NANOSECONDS


@frozen
class EntryStory:
    """One entry: what becomes of it and why."""

    entry: CacheEntry
    """The entry that the target names."""
    removed: bool
    """Whether the plan removes it, by itself or with the folder that it lies in."""
    decision: Decision
    """The plan's decision: its own, or that of the folder or bucket that it lies in."""
    chains: tuple[Chain, ...]
    """Every known way in which it is kept; empty for one that is removed."""
    near_miss: str
    """What alone keeps an archive or cached environment, in words; empty in other cases."""
    to_change: tuple[str, ...]
    """What would change the decision, a sentence each."""


@frozen
class KeptByEnvironment:
    """An entry that an environment keeps alive, and who else does."""

    entry: CacheEntry
    """The entry that the environment leads to, through cached environments too."""
    others: tuple[str, ...]
    """Other users of it, for people (a few, then a count); pointers are no users."""


@frozen
class EnvironmentStory:
    """One environment: every entry that it keeps alive, and what would go without it."""

    environment: Environment
    """What was found of it."""
    keeps: tuple[KeptByEnvironment, ...]
    """The entries of this cache that it leads to, by path."""
    freed: tuple[Decision, ...] | None
    """What a prune would remove in addition, had the environment gone.

    None for an environment inside the cache: other rules decide about it.
    """


@frozen
class Explanation:
    """The answer about one target; both are empty when it names nothing."""

    entries: tuple[EntryStory, ...]
    """Each entry that the target names."""
    environments: tuple[EnvironmentStory, ...]
    """Each environment at the target's path, around it or below it."""


def explain(
    case: PlanInput, plan: Plan, target: str, *, absolute: str, host: str, replan: Replan
) -> Explanation:
    """Return all that is known about a target: entry, package, or an environment's path.

    ``absolute`` is the target as a path in the caller's folder, ``host`` this
    machine's name; ``replan`` makes the plan there would be with other evidence.
    """
    live = mark(case, bucket_needs(case))
    chains = Chains(case, live, host)
    entries = _meant(case, target)
    decisions = _Decisions(plan)
    stories = tuple(_entry_story(case, decisions, chains, entry) for entry in entries)
    found = [
        *_outside(case, absolute),
        *(case.cached_environments[e.path] for e in entries if e.path in case.cached_environments),
    ]
    return Explanation(
        stories, tuple(_environment_story(case, plan, live, one, replan) for one in found)
    )


def known_names(case: PlanInput) -> list[str]:
    """Return the paths of environments: one of them was perhaps meant by a misspelled name."""
    return [environment.path for environment in case.outside_environments]


def _meant(case: PlanInput, target: str) -> tuple[CacheEntry, ...]:
    """Return the entries of a target; where a path is an entry itself, that one alone."""
    found = resolve_target(target, case.inventory, case.policy.aliases)
    exact = tuple(entry for entry in found.entries if entry.path == found.path)
    # Archives first: what people ask about is the bytes.
    return exact or tuple(sorted(found.entries, key=lambda e: e.kind is not EntryKind.ARCHIVE))


def _outside(case: PlanInput, absolute: str) -> Iterator[Environment]:
    """Yield the environments at a path, around it, or below it."""
    for environment in case.outside_environments:
        path = environment.path.rstrip("/")
        inside = absolute == path or absolute.startswith(path + "/")
        if inside or (absolute != "/" and path.startswith(absolute.rstrip("/") + "/")):
            yield environment


def _entry_story(
    case: PlanInput, decisions: _Decisions, chains: Chains, entry: CacheEntry
) -> EntryStory:
    decision, removed = decisions.of(entry)
    if removed:
        return EntryStory(entry, True, decision, (), "", (to_keep(entry.path),))
    uses = chains.uses(entry)
    if not any(use.reason is decision.why for use in uses):
        user = decision.users[0] if decision.users else EntryUser(entry.path)
        uses.append(Use(decision.why, user, decision.detail))
    leading = chains.leading_to(entry, decision)
    advice = [to_let_go(use) for use in uses]
    return EntryStory(
        entry,
        False,
        decision,
        leading,
        _near_miss(case, entry, uses, leading),
        tuple(dict.fromkeys(sentence for sentence in advice if sentence)),
    )


class _Decisions:
    """The decisions of a plan, found by entry."""

    def __init__(self, plan: Plan) -> None:
        self._removed = _by_entry(plan.removals)
        self._kept = _by_entry(plan.kept)

    def of(self, entry: CacheEntry) -> tuple[Decision, bool]:
        """Return what the plan says of an entry, and whether it goes."""
        for path in with_folders_above(entry.path):
            if path in self._removed and (path == entry.path or path not in self._kept):
                return self._removed[path], True
            if path in self._kept:
                return self._kept[path], False
        raise AssertionError("every entry is decided, or lies in one that is (property test)")


def _by_entry(decisions: Iterable[Decision]) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for decision in decisions:
        found.setdefault(decision.path, decision)
        stem, _, suffix = decision.path.rpartition(".")
        # A pointer goes file by file.
        if decision.kind is EntryKind.WHEEL and f".{suffix}" in WHEEL_SUFFIXES:
            found.setdefault(stem, decision)
    return found


def _near_miss(
    case: PlanInput, entry: CacheEntry, uses: list[Use], chains: tuple[Chain, ...]
) -> str:
    """Return how little keeps an entry, where that is one user, or none but pointers."""
    if entry.kind not in (EntryKind.ARCHIVE, EntryKind.ENVIRONMENT):
        return ""
    leading = [use for use in uses if use.reason.leads]
    if leading and len(leading) == len(uses):
        pointers = {use.user.path for use in leading if isinstance(use.user, EntryUser)}
        buckets = join_some(sorted({bucket_of(path) for path in pointers}))
        after = _unused_words(case)
        return f"no user uses it: only pointers in {', '.join(buckets)} keep it{after}"
    users = {chain.begins for chain in chains if not chain.leads and len(chain.steps) > 1}
    if len(users) != 1:
        return ""
    (user,) = users
    words = f"{user.name} ({user.detail})" if user.detail else user.name
    if user.kind is StepKind.ENVIRONMENT:
        words = _untouched_words(case, user.name) or words
    if leading:
        return f"used only by {words}; without it, only pointers would keep it{_unused_words(case)}"
    return f"kept only because of {words}"


def _untouched_words(case: PlanInput, path: str) -> str:
    for environment in case.outside_environments:
        if environment.path == path and environment.changed_ns is not None:
            age = format_age(environment.changed_ns, case.now_ns)
            words = f"one environment, {path} ({case.user(environment.uid)})"
            if case.now_ns - environment.changed_ns < _LONG_NS:
                return f"{words}, changed {age} ago"
            return f"{words}, untouched since {rfc3339(environment.changed_ns)[:10]} ({age} ago)"
    return ""


def _unused_words(case: PlanInput) -> str:
    after = case.policy.prune.unused.after
    if after is None:
        return "; with prune.unused.after they would go together after that time"
    return f", for prune.unused.after ({after.days} d) from when it was last used"


def _environment_story(
    case: PlanInput, plan: Plan, live: Liveness, environment: Environment, replan: Replan
) -> EnvironmentStory:
    entries = {entry.path: entry for entry in all_entries(case.inventory)}
    reached = reached_by(case, environment)
    own = environment.entry_in(case.inventory.cache)
    keeps = tuple(
        KeptByEnvironment(
            entries[path], _others(live, entries[path], environment.path, own, reached)
        )
        for path in sorted(reached)
        if path in entries
    )
    inside = environment.path.startswith(case.inventory.cache.path.rstrip("/") + "/")
    freed = None if inside else _freed(case, plan, environment, replan)
    return EnvironmentStory(environment, keeps, freed)


def reached_by(case: PlanInput, environment: Environment) -> set[str]:
    """Return every entry that an environment leads to, through cached ones too."""
    waiting = list(environment.led_to)
    reached: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += case.led_to(path)
    return reached


def _others(
    live: Liveness, entry: CacheEntry, path: str, own: str | None, reached: set[str]
) -> tuple[str, ...]:
    """Return who else uses an entry but the environment at a path, ``own`` as an entry.

    Pointers are no users.
    """
    if entry.kind is EntryKind.ARCHIVE:
        uses = live.archives.get(archive_id(entry.path), [])
    else:
        uses = live.entries.get(entry.path, [])
    own_paths = {path, own, *reached} - {None}
    return join_some(
        [
            describe_user(use.user)
            for use in uses
            if not use.reason.leads and path_of(use.user) not in own_paths
        ]
    )


def _freed(
    case: PlanInput, plan: Plan, environment: Environment, replan: Replan
) -> tuple[Decision, ...]:
    """Return what would go in addition, had the environment gone for good."""
    evidence = case.evidence
    without = replan(
        replace(
            evidence,
            environments=tuple(e for e in evidence.environments if e.path != environment.path),
            remembered=tuple(e for e in evidence.remembered if e.path != environment.path),
            unseen=tuple(u for u in evidence.unseen if u.path != environment.path),
        )
    )
    going = {decision.path for decision in plan.removals}
    return tuple(decision for decision in without.removals if decision.path not in going)
