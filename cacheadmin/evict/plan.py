"""What an eviction removes, and what it leaves, each with its reason.

- Pointers, in the buckets of every release, whole: a new install finds none and fetches
  again, or fails offline. That is proven to harm no user.
- Revisions of source distributions, with the file that names the current one.
- Links by which uv finds a cached environment that has the package: the next
  `uvx` makes a new one.
- Archives that no user uses; with ``even_in_use`` the others too, and cached environments
  that have it.

A revision, a git source or such a link may be used itself, and not only what it leads to: an
environment links through it, a file names it, it is pinned. Then it stays, as an archive does.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cacheadmin.evict.package_users import PackageUser, holders, processes_of
from cacheadmin.evict.silent_trials import SilentTrials
from cacheadmin.evict.wanted import is_wanted
from cacheadmin.fs.small_files import open_directory_beneath
from cacheadmin.inventory.entries import EntryKind, archive_in, archive_path
from cacheadmin.planner import reasons
from cacheadmin.planner.gaps import rests_on, unlinkable
from cacheadmin.planner.git_packages import one_package
from cacheadmin.planner.plan import Decision, Plan, Verdict
from cacheadmin.planner.words import describe_finding
from cacheadmin.readers import Question, Unreadable
from cacheadmin.text.lists import first_few
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cacheadmin.evict.wanted import Wanted
    from cacheadmin.evidence.facts import Process
    from cacheadmin.inventory.entries import Archive, ArchiveId, Inventory, SourceRevision
    from cacheadmin.planner.marks import Liveness, Use
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.snapshot.snapshot import Snapshot

_POINTER = reasons.EVICTED["pointer"]
_SOURCE = reasons.EVICTED["source"]
_SILENT = "it was on trial, and no user has used it there"
_FILES = ("revision.http", "revision.rev")

# Why a cached environment stays of which no use was seen.
_UNSEEN_USES = frozenset(
    {
        reasons.ENVIRONMENT_POLICY,
        reasons.ENVIRONMENT_RECENT,
        reasons.ENVIRONMENT_LATEST,
        reasons.ENVIRONMENT_UNSEEN,
        reasons.ENVIRONMENT_OTHER_HOSTS,
    }
)

# Made from the content: uv finds such an archive without any pointer.
_CONTENT_MADE = 24


@frozen
class Eviction:
    """An eviction as it would be carried out."""

    wanted: tuple[Wanted, ...]
    """The packages to evict."""
    plan: Plan
    """What is removed and kept, in the form that a prune carries out."""
    holders: tuple[PackageUser, ...]
    """Environments that have one of the packages."""
    processes: tuple[Process, ...]
    """Processes that have one of them loaded, or may load it."""
    breaks: bool
    """Whether archives or environments are removed although they are used."""
    warnings: tuple[str, ...]
    """What a new install may still find all the same, a sentence each."""
    absent: tuple[Wanted, ...]
    """What was to be evicted, and is neither in this cache nor in any environment."""


def plan_eviction(
    snapshot: Snapshot,
    wanted: Collection[Wanted],
    *,
    even_in_use: bool = False,
    silent: SilentTrials | None = None,
) -> Eviction:
    """Decide what goes and who has it. Reads the cache, changes nothing.

    ``silent`` is, or was until a moment ago, on trial without a use.
    """
    silent = silent or SilentTrials()
    case, inventory = snapshot.case, snapshot.inventory
    base = snapshot.plan()
    archives = {
        one.id: one
        for one in inventory.archives.values()
        if is_wanted(wanted, one.package, one.version)
    }
    holding = holders(case, wanted, archives)
    users = processes_of(
        case, snapshot.collected.look.processes, holding, archives, snapshot.readers
    )
    removals = [*_pointers(snapshot.inventory, wanted, archives)]
    kept: list[Decision] = []
    out_of_reach = unlinkable(snapshot.policy, snapshot.evidence)
    for part in (
        *_sources(snapshot, wanted),
        *_git_sources(snapshot.case, snapshot.inventory, wanted),
        *_links_to(snapshot.inventory, holding),
    ):
        uses = _uses_itself(base.live, inventory, part[-1].path)
        if uses and not even_in_use:
            kept.append(_keep(part[-1], uses))
        else:
            forced = bool(uses)
            removals += [replace(one, even_in_use=one.even_in_use or forced) for one in part]
    for entry in _cached(snapshot.inventory, holding) if even_in_use else ():
        kind = EntryKind.ENVIRONMENT if archive_in(entry) is None else EntryKind.ARCHIVE
        environment = _remove(kind, entry, "a cached environment that has it")
        removals.append(replace(environment, even_in_use=True))
    for one in archives.values():
        uses = [use for use in base.live.archives.get(one.id, []) if not use.reason.leads]
        uses += [use for use in base.live.hidden_uses if use not in uses]
        if not uses or even_in_use:
            decision = _remove(EntryKind.ARCHIVE, one.path, _words(uses), one)
            if even_in_use:
                decision = replace(decision, even_in_use=True)
            elif one.path in silent.paths:
                decision = replace(decision, detail=_SILENT)
            else:
                # What only was not seen to be used goes on trial: an environment that
                # no user knows goes on working, and is told.
                rests = rests_on(decision, snapshot.policy, base.gaps, out_of_reach)
                decision = replace(decision, rests_on=rests)
            removals.append(decision)
        else:
            kept.append(_keep(_remove(EntryKind.ARCHIVE, one.path, "", one), uses))
    for trial in silent.entries:
        if trial.entry in snapshot.inventory.on_trial:
            decision = _remove(EntryKind.ARCHIVE, trial.entry, _SILENT)
            removals.append(replace(decision, package=trial.package, version=trial.version))
    warnings = silent.warnings + tuple(
        f"{one.path} is used, and stays; its name is made from its content, so uv (with the "
        "preview content-addressed-cache) finds it without a pointer"
        for one in archives.values()
        if len(one.id) == _CONTENT_MADE and any(one.path == d.path for d in kept)
    )
    by_commit = {one.path for one in inventory.revisions if one.found_by_name}
    by_commit |= {one.path for one in inventory.git_sources}
    warnings += tuple(
        f"{one.path} is used, and stays; uv finds it by its commit, without a pointer"
        for one in kept
        if one.path in by_commit
    )
    plan = Plan(Verdict.LIMITED, tuple(removals), tuple(kept), (), base.live, base.gaps)
    breaks = even_in_use and any(one.kind is EntryKind.ARCHIVE for one in removals)
    absent = _absent(wanted, inventory, plan, holding)
    return Eviction(tuple(wanted), plan, tuple(holding), tuple(users), breaks, warnings, absent)


def _absent(
    wanted: Collection[Wanted],
    inventory: Inventory,
    plan: Plan,
    holding: Collection[PackageUser],
) -> tuple[Wanted, ...]:
    """Return what is neither in the cache, on trial there, nor in any environment."""
    found = {(one.package, one.version) for one in (*plan.removals, *plan.kept)}
    found |= {(one.package, one.version) for one in inventory.on_trial.values()}
    for one in holding:
        pairs = (text.partition("==") for text in one.packages)
        found |= {(name, version or None) for name, _, version in pairs}
    return tuple(one for one in wanted if not any(one.names(*pair) for pair in found))


def _pointers(
    inventory: Inventory, wanted: Collection[Wanted], archives: Collection[ArchiveId]
) -> Iterator[Decision]:
    """Yield every file of each pointer to such a package, or to an archive that may go."""
    for pointer in inventory.wheel_pointers:
        named = is_wanted(wanted, pointer.package, pointer.version)
        if not named and pointer.archives.isdisjoint(archives):
            continue
        folder = pointer.path.rpartition("/")[0]
        for file in pointer.files:
            yield Decision(
                EntryKind.WHEEL,
                f"{folder}/{file}",
                pointer.package,
                pointer.version,
                _POINTER,
                "by it uv would install the package again",
                rests_on="proof",
            )


def _uses_itself(live: Liveness, inventory: Inventory, path: str) -> list[Use]:
    """Return who was seen to use an entry itself.

    A link to a cached environment is not used when that environment is: who uses that, and
    was not seen, misses no more than the next `uvx` makes again. A git database is used when
    a checkout of it is.
    """
    archives = {one.path: one.archive for one in inventory.environments}
    archive = archives.get(path)
    led_to = [] if archive is None else live.archives.get(archive, [])
    checkouts = [one.path for one in inventory.git_sources if one.database == path]
    return [
        use
        for place in (path, *checkouts)
        for use in live.within(place)
        if not (use.reason.leads or use.reason in _UNSEEN_USES or use in led_to)
    ]


def _sources(snapshot: Snapshot, wanted: Collection[Wanted]) -> Iterator[tuple[Decision, ...]]:
    """Yield revisions of such packages, and the files that name them."""
    present = _present(snapshot, wanted)
    seen: set[str] = set()
    for revision in snapshot.inventory.revisions:
        package, version = _named(revision, snapshot.inventory)
        if not is_wanted(wanted, package, version):
            continue
        folder = revision.path.rpartition("/")[0]
        if folder not in seen:
            seen.add(folder)
            for name in present.get(folder, ()):
                path = f"{folder}/{name}"
                reason = "by it uv would build the package again"
                pointer = Decision(
                    EntryKind.WHEEL, path, package, version, _POINTER, reason, rests_on="proof"
                )
                yield (pointer,)
        source = Decision(
            EntryKind.REVISION,
            revision.path,
            package,
            version,
            _SOURCE,
            "a source distribution of the package",
            rests_on="proof",
        )
        yield (source,)


def _git_sources(
    case: PlanInput, inventory: Inventory, wanted: Collection[Wanted]
) -> Iterator[tuple[Decision, ...]]:
    """Yield git checkouts that such a package was built from; databases of nothing else too.

    Each comes after the file that says it is whole: uv deletes a checkout without that.
    """
    for source in inventory.git_sources:
        packages = case.git_packages.get(source.path, ())
        meant = [is_wanted(wanted, package, version) for package, version in packages]
        if any(meant) and (source.commit is not None or all(meant)):
            package, version = one_package(packages)
            reason = "what the package was built from"
            yield tuple(
                Decision(
                    EntryKind.SOURCE,
                    path,
                    package,
                    version,
                    _SOURCE,
                    reason,
                    rests_on="proof",
                )
                for path in (*source.files, source.path)
            )


def _named(revision: SourceRevision, inventory: Inventory) -> tuple[str | None, str | None]:
    """Return a revision's package; of sources without a name in their path, by its wheels."""
    if revision.package is not None and revision.version is not None:
        return revision.package, revision.version
    for archive in revision.archives:
        stored = inventory.archives.get(archive)
        if stored is not None and stored.package is not None:
            return stored.package, stored.version
    return revision.package, revision.version


def _present(snapshot: Snapshot, wanted: Collection[Wanted]) -> dict[str, tuple[str, ...]]:
    """Return the files that name a current revision, by the folder of such packages' sources."""
    folders = {
        revision.path.rpartition("/")[0]: revision.uid
        for revision in snapshot.inventory.revisions
        if is_wanted(wanted, *_named(revision, snapshot.inventory))
    }
    question: Question[str, tuple[str, ...]] = Question(
        partial(_files_in, snapshot.cache.fd), tuple[str, ...], blame=folders.get
    )
    answers = snapshot.readers.ask_all(question, folders)
    # What no reader could look at may hold both: what is not there is passed over later.
    return {
        folder: _FILES if isinstance(answer, Unreadable) else answer
        for folder, answer in zip(folders, answers, strict=True)
    }


def _files_in(cache_fd: int, folder: str) -> tuple[str, ...]:
    """Return which of these files lie in a folder; runs in a reader."""
    try:
        fd = open_directory_beneath(cache_fd, folder)
    except OSError:
        return ()
    try:
        return tuple(sorted(set(os.listdir(fd)) & set(_FILES)))
    finally:
        os.close(fd)


def _cached(inventory: Inventory, holding: Collection[PackageUser]) -> list[str]:
    """Return the cached environments that have the package, by their entries."""
    entries = (one.environment.entry_in(inventory.cache) for one in holding)
    return [entry for entry in entries if entry is not None]


def _links_to(
    inventory: Inventory, holding: Collection[PackageUser]
) -> Iterator[tuple[Decision, ...]]:
    """Yield the links by which uv finds these cached environments."""
    entries = set(_cached(inventory, holding))
    for one in inventory.environments:
        if one.archive is not None and archive_path(one.archive) in entries:
            # A process that runs from what it leads to goes on: only new runs miss it.
            link = _remove(EntryKind.ENVIRONMENT, one.path, "by it uv would run it again")
            yield (replace(link, even_in_use=True),)


def _remove(kind: EntryKind, path: str, reason: str, archive: Archive | None = None) -> Decision:
    package = None if archive is None else archive.package
    version = None if archive is None else archive.version
    why = reasons.EVICTED[kind.value]
    return Decision(kind, path, package, version, why, reason, rests_on="proof")


def _words(uses: list[Use]) -> str:
    used = [use for use in uses if not use.reason.leads]
    if not used:
        return "no user uses it"
    return f"although it is used: {describe_finding(used[0].reason, used[0].user, used[0].detail)}"


def _keep(decision: Decision, uses: list[Use]) -> Decision:
    """Return that an entry stays which would be removed, because it is used."""
    users, more = first_few(use.user for use in uses)
    return replace(
        decision,
        why=uses[0].reason,
        detail=uses[0].detail,
        users=users,
        more_users=more,
        rests_on=None,
        even_in_use=False,
    )
