"""Gather all evidence about one cache. Reads much, changes nothing, runs nothing.

The sources (``evidence.sources``) say where environments may be and what else
uses the cache; here the environments are scanned, and all of it is put
together. What the sources answered is kept beside it: the last look before the
moves asks them what has come since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cacheadmin.evidence.away import AWAY, Absent
from cacheadmin.evidence.candidates import DistinctCandidates, FolderAt
from cacheadmin.evidence.environments import MAX_OF_ONE, OVER_ALLOWANCE, REPLACED, ScanOptions
from cacheadmin.evidence.facts import (
    IF_ALL_ARE_FOUND,
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    Evidence,
    Gap,
    GapKind,
    Unseen,
)
from cacheadmin.evidence.filesystem import describe_filesystem
from cacheadmin.evidence.kinds import NamedFolder
from cacheadmin.evidence.look import Moment
from cacheadmin.evidence.questions import ScanTask, owner_of, scan_all, unread
from cacheadmin.evidence.releases import collect_releases
from cacheadmin.evidence.sources import SOURCES
from cacheadmin.evidence.targets import lies_in_another_root
from cacheadmin.evidence.unknown_environments import unknown_environments
from cacheadmin.readers import Readers, Unreadable
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.evidence.environments import Candidate, Scanned
    from cacheadmin.evidence.look import Facts, Look, Source
    from cacheadmin.fs.linked_tree import Identity

Progress = Callable[[str, int, int], None]

# Sources that find whatever lies in a place, whether or not it has to do with uv.
_BY_CHANCE = frozenset({"homes", "tools", "file", "process"})


@dataclass(frozen=True)
class Collected:
    """A whole look: the evidence, and each source's own answer, by its place in ``SOURCES``."""

    evidence: Evidence
    """Everything put together."""
    answers: Mapping[Source, Facts]
    """What each source answered."""
    scanned: tuple[Environment, ...]
    """Every environment that was scanned, also those not worth telling: all are verified."""
    look: Look
    """The look that was taken."""


def collect_evidence(
    look: Look,
    *,
    now_ns: int,
    options: ScanOptions,
    progress: Progress | None = None,
    sources: Sequence[Source] = SOURCES,
) -> Collected:
    """Return everything that tells who uses the cache."""
    look.readers.learn(look.questions.all())
    look = replace(look, asked=look.questions)
    answers: dict[Source, Facts] = {}
    for source in sources:
        facts = source.collect(look)
        answers[source] = facts
        look = replace(
            look,
            found=(*look.found, *facts.candidates),
            processes=(*look.processes, *facts.processes),
        )
    elsewhere = frozenset[str]().union(*(facts.elsewhere for facts in answers.values()))
    pairs = tuple(
        (candidate, environment)
        for candidate, environment in scan_candidates(look.found, look, options, progress)
        # It was scanned by the path that it has here.
        if environment.status is not EnvironmentStatus.MISSING or candidate.path not in elsewhere
    )
    scanned = tuple(environment for _, environment in pairs)
    environments = tuple(_worth_telling(_told_once(scanned)))
    everything = tuple(answers.values())
    recorded = {path: names for facts in everything for path, names in facts.recorded.items()}
    inventory = look.inventory
    evidence = Evidence(
        collected_at_ns=now_ns,
        filesystem=describe_filesystem(inventory.cache.path),
        environments=environments,
        processes=tuple(p for p in look.processes if p.uses or p.uv is not None),
        releases=(
            *collect_releases(inventory, environments, look.processes, now_ns, look.readers),
            *(one for facts in everything for one in facts.releases),
        ),
        lock_holders=tuple(one for facts in everything for one in facts.lock_holders),
        unseen=(
            *(one for facts in everything for one in facts.unseen),
            *_unread(environments),
        ),
        pins=tuple(one for facts in everything for one in facts.pins),
        gaps=(
            *(one for facts in everything for one in facts.gaps),
            *_away(environments, {one.path: one for one, _ in pairs}, look.readers),
            *unknown_environments(look.processes, scanned, inventory.archives),
        ),
        named=tuple(one for facts in everything for one in facts.named),
        recorded=recorded,
        host_uses=tuple(one for facts in everything for one in facts.host_uses),
        hosts=tuple(one for facts in everything for one in facts.hosts),
    )
    return Collected(evidence, answers, scanned, look)


def scan_candidates(
    candidates: Iterable[Candidate],
    look: Look,
    options: ScanOptions,
    progress: Progress | None = None,
) -> Iterator[tuple[Candidate, Environment]]:
    """Scan the folders that sources named, each once; yield both, by path."""
    found = DistinctCandidates(partial(look.readers.ask_all, look.questions.folder))
    found.add(candidates)
    listed, left_out = _divide(found.candidates())

    recalled = dict(_recalled(listed, found, look, options))
    readable = [
        one for one in listed if one.path not in found.unreadable and one.path not in recalled
    ]

    def tell(number: int) -> None:
        if progress is not None:
            progress("environments scanned", number, len(readable))

    tell(0)
    ask = partial(
        scan_all, look.readers, look.questions, deadline_seconds=look.deadline_seconds, done=tell
    )
    tasks = [
        ScanTask(one, _options_for(one, found, look, options), found.identities.get(one.path))
        for one in readable
    ]
    answers = _asked_of_all(look, tasks, ask, tell)
    if not options.deep:
        # No account is looked at without end: the rest as if nothing were remembered.
        rest = [
            number
            for number, (task, answer) in enumerate(zip(tasks, answers, strict=True))
            if task.options.deep and answer.environment.is_too_much
        ]
        for number in rest:
            tasks[number] = replace(tasks[number], options=options)
        for number, answer in zip(rest, ask([tasks[number] for number in rest]), strict=True):
            answers[number] = answer
    replaced = _replaced(tasks, answers)
    if replaced:
        retried = _resolved_again([tasks[number] for number in replaced], look)
        for number, answer in zip(replaced, ask(retried), strict=True):
            answers[number] = answer
    scanned = {}
    for number, (task, answer) in enumerate(zip(tasks, answers, strict=True)):
        path = task.candidate.path
        scanned[path] = answer.environment
        identity = _remembered_as(task.candidate, found)
        if look.memory is not None and identity is not None and number not in replaced:
            look.memory.note(identity, answer, is_full=task.options.deep)
    for candidate in listed:
        path = candidate.path
        failed = found.unreadable.get(path)
        if failed is not None:
            yield candidate, unread(candidate, failed)
        else:
            yield candidate, recalled.get(path) or scanned[path]
    for candidate, number in left_out:
        beyond = format_count(number, "environment")
        reason = f"{beyond} beyond the {MAX_OF_ONE} that are looked at for one account"
        yield candidate, unread(candidate, Unreadable(reason, owner_of(candidate)))


def _replaced(tasks: Sequence[ScanTask], answers: Sequence[Scanned]) -> list[int]:
    """Return which environments were made again while they were looked for, by their numbers."""
    return [
        number
        for number, (task, answer) in enumerate(zip(tasks, answers, strict=True))
        if task.identity is not None and answer.environment.reason == REPLACED
    ]


def _resolved_again(tasks: Sequence[ScanTask], look: Look) -> list[ScanTask]:
    """Return tasks with the folders that their paths lead to now, where these are their own."""
    look.readers.renew()
    named = [NamedFolder(task.candidate.path, task.candidate.registrant) for task in tasks]
    places = look.readers.ask_all(
        look.questions.folder, named, deadline_seconds=look.deadline_seconds
    )
    return [
        replace(task, identity=place.identity)
        if isinstance(place, FolderAt) and place.path == task.candidate.path and not place.in_bucket
        else task
        for task, place in zip(tasks, places, strict=True)
    ]


def _asked_of_all(
    look: Look,
    tasks: Sequence[ScanTask],
    ask: Callable[[Sequence[ScanTask]], list[Scanned]],
    tell: Callable[[int], None],
) -> list[Scanned]:
    """Return what workers of a cluster saw, and of what they did not see what readers did."""
    if look.policy.scan.executor != "dask" or look.moment is not Moment.PLAN:
        return ask(tasks)
    from cacheadmin.evidence.cluster.coordinator import scan_on_cluster  # noqa: PLC0415  few use it

    found = scan_on_cluster(look, tasks, tell)
    rest = [number for number in range(len(tasks)) if number not in found]
    found.update(zip(rest, ask([tasks[number] for number in rest]), strict=True))
    return [found[number] for number in range(len(tasks))]


def _divide(
    candidates: Sequence[Candidate],
) -> tuple[list[Candidate], list[tuple[Candidate, int]]]:
    """Return what is looked at; and of each account with more, the first left out and how many."""
    if len(candidates) <= MAX_OF_ONE:
        return list(candidates), []
    counts: Counter[int] = Counter()
    listed: list[Candidate] = []
    left_out: dict[int, Candidate] = {}
    for candidate in candidates:
        owner = owner_of(candidate)
        # What no name tells the owner of is no one account's.
        if owner is None:
            listed.append(candidate)
            continue
        counts[owner] += 1
        if counts[owner] <= MAX_OF_ONE:
            listed.append(candidate)
        else:
            left_out.setdefault(owner, candidate)
    return listed, [(one, counts[uid] - MAX_OF_ONE) for uid, one in left_out.items()]


def _recalled(
    candidates: Iterable[Candidate], found: DistinctCandidates, look: Look, options: ScanOptions
) -> Iterator[tuple[str, Environment]]:
    """Yield what is remembered of environments that are as they were, by path."""
    memory = look.memory
    if memory is None:
        return
    for candidate in candidates:
        identity = _remembered_as(candidate, found)
        if identity is not None and identity in found.unchanged:
            environment = memory.recall(candidate, identity, options)
            if environment is not None:
                yield candidate.path, environment


def _remembered_as(candidate: Candidate, found: DistinctCandidates) -> Identity | None:
    """Return by what the memory knows an environment; None for what it does not know.

    A folder that is seen in other mounts has the identity that it has here, and other links.
    """
    if lies_in_another_root(candidate.path):
        return None
    return found.identities.get(candidate.path)


def _options_for(
    candidate: Candidate, found: DistinctCandidates, look: Look, options: ScanOptions
) -> ScanOptions:
    """Return how an environment is scanned: in full, once anything is remembered of it.

    Few change from look to look, and a distribution that is linked in part is seen only so.
    """
    memory = look.memory
    if memory is not None and memory.knows(_remembered_as(candidate, found)):
        return replace(options, deep=True)
    return options


def _told_once(environments: Sequence[Environment]) -> Iterator[Environment]:
    """Leave out what a process in other mounts sees, where it is what is seen from here.

    Services have mounts of their own, and what they run from lies where all see it.
    """
    by_identity: dict[Identity | None, Environment] = {
        one.identity: one
        for one in environments
        if one.identity is not None and not lies_in_another_root(one.path)
    }
    also: dict[str, list[str]] = {}
    elsewhere: set[str] = set()
    for one in environments:
        here = by_identity.get(one.identity) if lies_in_another_root(one.path) else None
        if here is not None and _uses(one) == _uses(here):
            elsewhere.add(one.path)
            also.setdefault(here.path, []).extend(one.sources)
    for one in environments:
        if one.path in also:
            sources = tuple(dict.fromkeys((*one.sources, *also[one.path])))
            yield replace(one, sources=sources)
        elif one.path not in elsewhere:
            yield one


def _uses(environment: Environment) -> tuple[object, ...]:
    """Return what an environment uses of the cache, and whether all of it was seen."""
    seen = (environment.status, environment.complete)
    return (*seen, environment.archives, environment.hardlinked_archives, environment.entries)


def _worth_telling(environments: Iterable[Environment]) -> Iterator[Environment]:
    """Leave out what has nothing to do with the cache, although it was come across.

    Every interpreter uv ever asked is in its buckets, every Python program that
    runs has an environment, and homes are full of those that uv never saw; one
    that links into the cache is of ours.
    """
    for environment in environments:
        by_chance = (
            (environment.kind is EnvironmentKind.PYTHON and environment.sources == ("cache",))
            or environment.kind is EnvironmentKind.FOLDER
            or environment.sources == ("process",)
            or (_BY_CHANCE.issuperset(environment.sources) and environment.uv_version is None)
        )
        links = environment.archives or environment.hardlinked_archives or environment.entries
        if by_chance and environment.complete and not links:
            continue
        yield environment


def _unread(environments: Iterable[Environment]) -> Iterator[Unseen]:
    over: dict[int | None, list[str]] = {}
    for environment in environments:
        if environment.is_too_much:
            over.setdefault(environment.uid, []).append(environment.path)
        elif not environment.complete:
            what = "environment"
            reason = environment.reason or "it could not be read"
            yield Unseen(what, environment.path, reason, hides_archives=True, uid=environment.uid)
        elif environment.status is EnvironmentStatus.UNREADABLE:
            yield Unseen("environment", environment.path, environment.reason, True, environment.uid)
    # One for an account, however many environments it has made of its files.
    for uid, paths in over.items():
        others = f", in {len(paths)} environments" if len(paths) > 1 else ""
        yield Unseen("environment", paths[0], f"{OVER_ALLOWANCE}{others}", True, uid)


def _away(
    environments: Iterable[Environment], found: Mapping[str, Candidate], readers: Readers
) -> Iterator[Gap]:
    """Yield environments that are named and not there, where more than they is not there.

    A home that is not mounted tonight has its environments again tomorrow.
    """
    missing = [one for one in environments if one.status is EnvironmentStatus.MISSING]
    absent = [
        Absent(one.path, found[one.path].seen_ns, one.uid, found[one.path].mount_point)
        for one in missing
    ]
    answers = readers.ask_all(AWAY, absent)
    for environment, answer in zip(missing, answers, strict=True):
        why = answer
        if isinstance(why, Unreadable):
            why = f"what lies on the way could not be looked at ({why.reason})"
        if not why:
            continue
        # Only the cache's own records speak of it: the site's word that all are found counts.
        known = set(environment.sources) - {"cache", "process"}
        yield Gap(
            "environments.away",
            GapKind.AWAY if known else GapKind.SEARCH,
            environment.path,
            f"{environment.path} is named ({', '.join(environment.sources)}) and not found, and "
            f"{why}: it may be back tomorrow",
            _what_brings_back(environment.path, known),
            environment.uid,
        )


def _what_brings_back(path: str, known: set[str]) -> str:
    """Return what closes the gap of an environment that is away; ``known``: by what it is known."""
    if not known:
        return f"mount it; {IF_ALL_ARE_FOUND}"
    if known & {"registry", "remembered"}:
        forget = f"`cacheadmin venv remove POLICY {shell_word(path)}`"
        return f"mount it; or, if it is gone for good: {forget}"
    if "include" in known:
        return "mount it; or, if it is gone for good, take it out of venvs.include"
    return "mount it"
