"""What ``prune.budget`` gives up: what no user uses, least recently used first. Pure.

Nothing that is used is ever given up; a budget that can't be met says by how
much, and what stays. What goes first costs least to get back (``Cost``); ties go
by path, so that two runs agree.

What is given up together is counted together: a wheel with the revision that it was
built of, and an archive with its contents in ``files-v*``. uv stores each file there
once and hard-links it into archives: such a file is freed when the last of them
goes, and ``prune.builds.after`` is over. So it counts as free when all
archives that share it are given up, and so does what waits for that time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, EntryPath
from cacheadmin.planner import reasons
from cacheadmin.planner.sources import may_go, spare_parts
from cacheadmin.policy.quantities import Share
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cacheadmin.accounting import Common, Measured, Size
    from cacheadmin.inventory.entries import Archive, ArchiveId, SourceRevision
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.model import Budget


# A message names so many reasons.
_NAMED_REASONS = 4

_REASONS = {
    reasons.ARCHIVE_LINKED: "environments link to them",
    reasons.ARCHIVE_REFERENCED: "in use, or used too lately to be told",
    reasons.ARCHIVE_POLICY: "prune.keep names them",
    reasons.PINNED[EntryKind.ARCHIVE]: "pinned",
    reasons.ARCHIVE_CACHED_ENVIRONMENT: "cached environments need them",
    reasons.ARCHIVE_UNSEEN: "something could not be read, and may use them",
    reasons.ARCHIVE_GAP: "a gap is open, and they can't go on trial",
    reasons.PROCESS_RUNNING: "processes use them",
}
_METADATA = {
    "simple": "index metadata",
    "flat-index": "index metadata",
    "interpreter": "interpreter records",
    "files": "contents that archives share",
    "environments": "cached environments",
    "builds": "builds",
    "python": "Python downloads",
    "git": "git locks",
}
_KINDS = {
    EntryKind.REVISION: "source distributions",
    EntryKind.SOURCE: "git repositories",
    EntryKind.ENVIRONMENT: "cached environments",
    EntryKind.BUILD: "builds",
    EntryKind.STRAY: "files that are not uv's",
    EntryKind.FILE: "contents that nothing shares any more",
    EntryKind.WHEEL: "pointers",
}


class Cost(IntEnum):
    """What it takes to get something back, the cheapest first."""

    NOTHING = 0
    """A ``.whl`` beside its archive: it is asked for when the archive is lost as well."""
    UNPACKING = 1
    """An unpacked source beside its wheel, or a checkout beside its database."""
    DOWNLOAD = 2
    """A wheel of an index."""
    REBUILD = 3
    """What was built here, and what it was built from: fetched, and built, once more."""


@frozen
class Room:
    """How much there is, were the rest of the plan carried out."""

    cache_bytes: int
    """Allocated bytes of the cache."""
    cache_files: int
    """Inodes of the cache."""
    free_bytes: int
    """Free bytes of its filesystem, for users other than root."""
    filesystem_bytes: int
    """Size of its filesystem in bytes."""


@frozen
class Unit:
    """What is given up together, or not at all."""

    cost: Cost
    """What getting it back takes."""
    last_used_ns: int
    """When it was last used, as far as is known (ns since the epoch)."""
    paths: tuple[str, ...]
    """All of its entries and files, relative to the cache: they are measured together."""
    archives: frozenset[ArchiveId] = frozenset()
    """The archives in it."""
    sources: frozenset[str] = frozenset()
    """Revisions, parts of them and git sources in it, by entry path."""


@frozen
class Choice:
    """What to give up for the budget."""

    archives: frozenset[ArchiveId]
    """Unused archives to remove, each with its pointers."""
    unmet: str = ""
    """What the budget still lacks, in words; empty when it is met."""
    sources: frozenset[str] = frozenset()
    """Revisions, parts of them and git sources to remove, by entry path."""


def units(case: PlanInput, live: Liveness, gone: Collection[str]) -> Iterator[Unit]:
    """Yield everything that may be given up, but for what is removed anyway (``gone``)."""
    now_ns, idle, stored = case.now_ns, case.evidence.idle, case.inventory.archives
    unused = {archive.id: archive for archive in live.unused if archive.path not in gone}
    built: set[ArchiveId] = set()

    def last_used(name: str, changed_ns: int) -> int:
        return max(changed_ns, now_ns - idle.get(name, now_ns))

    for revision in case.inventory.revisions:
        present = revision.archives & stored.keys()
        built |= present
        if revision.path in gone or not may_go(case, live, revision):
            continue
        whole = revision.path in live.unused_sources and present <= unused.keys()
        if whole:
            yield _revision(revision, [unused[one] for one in present], last_used)
            unused = {one: archive for one, archive in unused.items() if one not in present}
        for path in () if whole else spare_parts(case, live, revision):
            if path not in gone:
                cost = Cost.NOTHING if path.endswith(".whl") else Cost.UNPACKING
                used_ns = last_used(revision.path, revision.mtime_ns)
                yield Unit(cost, used_ns, (path,), sources=frozenset({path}))
    for archive in unused.values():
        cost = Cost.REBUILD if archive.id in built else Cost.DOWNLOAD
        used_ns = last_used(archive.id, archive.mtime_ns)
        yield Unit(cost, used_ns, (archive.path,), archives=frozenset({archive.id}))
    if not case.policy.prune.revisions:
        return
    for source in case.inventory.git_sources:
        if source.path in live.unused_sources and source.path not in gone:
            cheap = source.database is not None and source.database not in gone
            used_ns = last_used(source.path, source.mtime_ns)
            yield Unit(
                Cost.UNPACKING if cheap else Cost.REBUILD,
                used_ns,
                (*source.files, source.path),
                sources=frozenset({source.path}),
            )


def _revision(
    revision: SourceRevision, archives: list[Archive], last_used: Callable[[str, int], int]
) -> Unit:
    times = [last_used(one.id, one.mtime_ns) for one in archives]
    return Unit(
        Cost.REBUILD,
        max([last_used(revision.path, revision.mtime_ns), *times]),
        (*revision.file_paths, revision.path, *sorted(one.path for one in archives)),
        frozenset(one.id for one in archives),
        frozenset({revision.path}),
    )


class Coming:
    """Adds up what comes free while one thing after the other is given up.

    ``sizes`` measures everything in the cache once, ``contents`` are the buckets of
    shared contents in it: what they share with archives comes with the last of these.
    """

    def __init__(self, sizes: Measured[str], contents: Collection[str]) -> None:
        self._sizes = sizes
        self._taken: set[str] = set()
        self._of: dict[str, list[tuple[frozenset[str], Common, bool]]] = defaultdict(list)
        for holders, common in sizes.common.items():
            others = holders - frozenset(contents)
            for path in others:
                self._of[path].append((others, common, others != holders))

    def knows(self, path: str) -> bool:
        """Whether a path was measured."""
        return path in self._sizes

    def take(self, paths: Iterable[str], room: Room) -> Room:
        """Return the room there is without these; what was not measured counts as nothing."""
        cache_bytes, files, free = room.cache_bytes, room.cache_files, room.free_bytes
        for path in dict.fromkeys(paths):
            if path in self._taken or path not in self._sizes:
                continue
            self._taken.add(path)
            size = self._sizes[path]
            cache_bytes -= size.allocated_bytes
            files -= size.files
            free += size.reclaimable_bytes
            for holders, common, in_contents in self._of[path]:
                # Counted in each holder by itself; it goes with the last one.
                cache_bytes += common.allocated
                files += common.files
                if holders <= self._taken:
                    # A content that an environment shares as well stays in its bucket.
                    cache_bytes -= common.freed_allocated if in_contents else common.allocated
                    files -= common.freed_files if in_contents else common.files
                    free += common.reclaimable
        return replace(room, cache_bytes=cache_bytes, cache_files=files, free_bytes=free)


def choose(budget: Budget, room: Room, candidates: Iterable[Unit], coming: Coming) -> Choice:
    """Choose units until the budget is met."""
    archives: set[ArchiveId] = set()
    sources: set[str] = set()
    for unit in sorted(candidates, key=lambda one: (one.cost, one.last_used_ns, one.paths)):
        if not lacking(budget, room):
            break
        if not any(coming.knows(path) for path in unit.paths):
            continue
        archives |= unit.archives
        sources |= unit.sources
        room = coming.take(unit.paths, room)
    return Choice(frozenset(archives), " and ".join(lacking(budget, room)), frozenset(sources))


def lacking(budget: Budget, room: Room) -> list[str]:
    """Return what is over, in words."""
    found = []
    if budget.max_size is not None and room.cache_bytes > budget.max_size:
        found.append(f"{room.cache_bytes - budget.max_size} bytes above max_size")
    if budget.max_files is not None and room.cache_files > budget.max_files:
        found.append(f"{format_count(room.cache_files - budget.max_files, 'file')} above max_files")
    if budget.min_free is not None:
        wanted = budget.min_free
        if isinstance(wanted, Share):
            wanted = wanted.of(room.filesystem_bytes)
        if room.free_bytes < wanted:
            found.append(f"{wanted - room.free_bytes} bytes short of min_free")
    return found


def what_stays(plan: Plan, sizes: Mapping[str, Size], on_trial_bytes: int) -> str:
    """Return in words what a budget that can't be met leaves, the largest first.

    ``sizes`` has archives, revisions and buckets by path, allocated; what lies in a bucket
    and was measured by itself is not in the bucket's.
    """
    found: Counter[str] = Counter()
    for decision in plan.kept:
        size = sizes.get(decision.path)
        if size is not None:
            found[_words(decision)] += size.allocated_bytes
    if on_trial_bytes:
        found["on trial, and freed when that is over"] = on_trial_bytes
    parts = [
        f"{amount} bytes {words}" for words, amount in found.most_common(_NAMED_REASONS) if amount
    ]
    return "; ".join(parts)


def _words(decision: Decision) -> str:
    if decision.kind is EntryKind.BUCKET:
        kind = EntryPath.of(decision.path).kind
        return f"of {_METADATA.get(kind, 'pointers and metadata')}"
    if decision.kind is EntryKind.ARCHIVE:
        return f"in archives: {_REASONS.get(decision.why, decision.why.id)}"
    return f"in {_KINDS.get(decision.kind, decision.kind.value)}: {decision.rule}"
