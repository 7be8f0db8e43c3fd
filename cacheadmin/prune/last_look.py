"""The last look: did anything come alive since the plan was made?

Every source of evidence is asked what has come since (``Source.changed``):
before the lock in full, under it what milliseconds allow, and once more after
the moves. What the sources name is followed here, to the entries that it
keeps alive; what was written to since the plan stays. It errs to the safe
side: a place that can't be looked at any more keeps all that rests on absence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from cacheadmin.evidence.collection import scan_candidates
from cacheadmin.evidence.environments import Candidate, ScanOptions
from cacheadmin.evidence.facts import EnvironmentKind, uv_version
from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.evidence.targets import lies_in_sources
from cacheadmin.fs.folder_watch import watch_folders
from cacheadmin.inventory.entries import EntryKind, archive_path, with_folders_above
from cacheadmin.planner.consistency import leads, without_dangling
from cacheadmin.planner.pins import pin_words, pinned_packages, pinned_paths
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.prune.changed_environments import changed_environments
from cacheadmin.prune.moves import led_to
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.evidence.facts import Environment, Pin, Process
    from cacheadmin.planner.plan import Decision
    from cacheadmin.snapshot.snapshot import Snapshot

# What may have been used again since the plan, as its time tells.
_LEFT_BEHIND = frozenset({EntryKind.BUILD, EntryKind.STRAY, EntryKind.FILE})

# A process runs from an overlay, that from a cached environment: no deeper.
_MAX_ENVIRONMENTS = 64

_Use = tuple[str, str]


@frozen
class StillRemovable:
    """What may still be removed, and what may not."""

    removals: tuple[Decision, ...]
    """Decisions that still hold, in the plan's order."""
    dropped: tuple[tuple[str, str], ...]
    """What is kept after all: (path, why)."""
    leads: Mapping[str, frozenset[str]]
    """Paths of other removals that each removal leads to, by its path."""


class LastLook:
    """Prepared before the lock is taken, so that under it only what is quick remains.

    ``beside``: no exclusive lock keeps uv out (``planner.grace``). Preparing asks
    every source in full: measuring a plan's sizes and waiting for the lock take
    time.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        removals: Sequence[Decision],
        *,
        beside: bool = False,
    ) -> None:
        self._forced = frozenset(one.path for one in removals if one.even_in_use)
        self._snapshot = snapshot
        self._beside = beside
        inventory, evidence = snapshot.inventory, snapshot.evidence
        self._look = snapshot.collected.look
        self._removals = without_dangling(removals, inventory, evidence)
        self._leads = _leads_among(self._removals, leads(inventory, evidence))
        self._changed_ns = {
            **{build.path: build.changed_ns for build in inventory.builds},
            **{stray.path: stray.changed_ns for stray in inventory.strays},
            **{file.path: file.changed_ns for file in inventory.loose_files},
        }
        going = {decision.path for decision in self._removals}
        self._named_by = {
            one.path: tuple(path for path in one.file_paths if path in going)
            for one in inventory.revisions
            if one.path in going
        }
        self._by_name = {one.path for one in inventory.revisions if one.found_by_name}
        self._by_name |= {d.path for d in self._removals if d.kind is EntryKind.SOURCE}
        self._by_name |= {e.path for e in inventory.environments if e.archive is None}
        self._publishers: dict[str, list[str]] = {}
        for environment in inventory.environments:
            if environment.archive is not None:
                entry = archive_path(environment.archive)
                self._publishers.setdefault(entry, []).append(environment.path)
        self._dropped = {
            decision.path: "something that stays leads to it"
            for decision in removals
            if decision.path not in going
        }
        # First: what happens between this look and the lock is told then.
        watch = watch_folders(snapshot.cache.fd, inventory.cache.path, inventory.watched)
        self._look = replace(self._look, watch=watch)
        # What came alive by any look so far: a source tells of it once, and a look under the
        # lock may have to be taken again.
        self._alive: dict[str, str] = {}
        self._note_alive(Moment.BEFORE_LOCK)

    def look(self, moment: Moment = Moment.UNDER_LOCK) -> StillRemovable:
        """Return what of the removals may still go, by this look and all before it."""
        self._note_alive(moment)
        alive = {entry: why for entry, why in self._alive.items() if entry not in self._forced}
        dropped = dict(self._dropped)
        for decision in self._removals:
            path = decision.path
            if path in alive:
                dropped[path] = alive[path]
            elif decision.kind in _LEFT_BEHIND and self._changed(path):
                dropped[path] = "it was changed since the plan was made"
        for path in tuple(dropped):
            # Without the file that names it, uv would never find a revision again.
            for file in self._named_by.get(path, ()):
                dropped.setdefault(file, "the revision that it names stays")
        for path in led_to(tuple(dropped), self._leads):
            dropped.setdefault(path, "something that stays leads to it")
        left = tuple(decision for decision in self._removals if decision.path not in dropped)
        return StillRemovable(left, tuple(dropped.items()), self._leads)

    def _note_alive(self, moment: Moment) -> None:
        for entry, why in self._came_alive(moment):
            self._alive.setdefault(entry, why)

    def _came_alive(self, moment: Moment) -> Iterator[_Use]:
        """Yield the entries that came alive, each with why; an entry may come twice."""
        look = self._look.later(moment)
        for source, before in self._snapshot.collected.answers.items():
            yield from self._alive_by(source.changed(look, before), look)
        changes = changed_environments(self._snapshot.evidence.environments, look)
        yield from self._used_by_environments(changes.candidates, look)
        for crowded in changes.crowded:
            yield from self._resting_on_absence(crowded)

    def _alive_by(self, facts: Facts, look: Look) -> Iterator[_Use]:
        for entry, why in facts.written:
            yield entry, why
            yield from self._used_together_with(entry, why)
        for process in facts.processes:
            yield from self._used_by_process(process, look)
        yield from self._used_by_environments(facts.candidates, look)
        for named in facts.named:
            yield from self._used_entry(named.entry, f"{named.file} names it now")
        yield from self._pinned(facts.pins)
        if not self._beside:
            for holder in facts.lock_holders:
                why = f"process {holder.pid} works behind a .lock that was deleted"
                yield from self._everything(why)
        for unseen in facts.unseen:
            # One more process that may not be looked into changes nothing: what it may
            # use goes on trial already.
            if self._snapshot.case.keeps_everything(unseen):
                why = f"{unseen.path} can't be looked at any more: {unseen.reason}"
                if unseen.what == "pin":
                    # It may name what is removed on proof, too.
                    yield from ((decision.path, why) for decision in self._removals)
                yield from self._resting_on_absence(why)
        for gap in facts.gaps:
            yield from self._resting_on_absence(f"{gap.detail}, since the plan")

    def _used_by_environments(self, candidates: Iterable[Candidate], look: Look) -> Iterator[_Use]:
        """Yield what environments lead to, by themselves and through cached ones."""
        for candidate, scanned in scan_candidates(candidates, look, ScanOptions()):
            why = f"{candidate.path} uses it now"
            yield from self._used_by_environment(scanned, why, look)
            uses = scanned.archives or scanned.entries or "process" not in candidate.sources
            if uses and scanned.uv_version is not None:
                # Made, or changed, since: with a release that no older trace may tell of. What a
                # process runs from may have to do with another cache.
                why = f"uv {scanned.uv_version} made {candidate.path}, which came since the plan"
                yield from self._buckets_of(scanned.uv_version, scanned.uid, why)

    def _used_by_environment(self, first: Environment, why: str, look: Look) -> Iterator[_Use]:
        """Yield what an environment leads to, through cached ones that it builds on too."""
        root = self._snapshot.inventory.cache.path
        waiting, seen = [first], {first.path}
        while waiting and len(seen) <= _MAX_ENVIRONMENTS:
            scanned = waiting.pop()
            inner = []
            for archive in scanned.archives:
                yield archive_path(archive), why
            for entry in scanned.entries:
                yield from self._used_entry(entry, why)
                path = f"{root}/{entry}"
                if path not in seen:
                    seen.add(path)
                    inner.append(Candidate(path, EnvironmentKind.CACHED, ("cache",)))
            waiting += self._scanned(inner, look)
            if not scanned.complete:
                reason = f"{scanned.path} can't be read ({scanned.reason}) and came since the plan"
                yield from self._resting_on_absence(reason)

    @staticmethod
    def _scanned(candidates: Iterable[Candidate], look: Look) -> list[Environment]:
        return [scanned for _, scanned in scan_candidates(candidates, look, ScanOptions())]

    def _used_entry(self, entry: str, why: str) -> Iterator[_Use]:
        yield entry, why
        if lies_in_sources(entry):
            # The entry is whatever folder above of it goes.
            for above in with_folders_above(entry):
                yield above, why
        for publisher in self._publishers.get(entry, ()):
            yield publisher, why

    def _pinned(self, pins: tuple[Pin, ...]) -> Iterator[_Use]:
        """Yield what was pinned since the plan."""
        if not pins:
            return
        case = self._snapshot.case
        since = PlanInput(
            case.policy, case.inventory, replace(case.evidence, pins=pins), case.now_ns
        )
        pointing = set()
        for entry, pin in chain(pinned_paths(since), pinned_packages(since)):
            if entry.kind in (EntryKind.WHEEL, EntryKind.REVISION, EntryKind.SOURCE):
                pointing.add(entry.path)
            yield entry.path, f"{pin_words(since, pin)}, since the plan"
            for archive in entry.archives:
                yield archive_path(archive), f"{entry.path} is pinned since the plan"
        for decision in self._removals:
            # A pointer goes file by file, a built wheel without its revision.
            around = {decision.path.rpartition(mark)[0] for mark in "./"}
            if around & pointing:
                yield decision.path, "what it is part of is pinned since the plan"

    def _used_by_process(self, process: Process, look: Look) -> Iterator[_Use]:
        """Yield what a process uses that was not there, or used something else, at the plan."""
        root = self._snapshot.inventory.cache.path
        why = f"process {process.pid} uses it now"
        for use in process.uses:
            yield from self._used_entry(use.entry, why)
            inner = Candidate(f"{root}/{use.entry}", EnvironmentKind.CACHED, ("process",))
            for scanned in self._scanned((inner,), look):
                yield from self._used_by_environment(scanned, why, look)
        if process.uv is not None and not process.uv.parked:
            if self._beside:
                yield from self._found_by_name(process)
            elif self._snapshot.case.may_work_without_lock(process):
                why = f"process {process.pid}, a uv without lock, has started"
                yield from self._everything(why)
            else:
                why = f"process {process.pid}, a uv that has started, needs it"
                yield from self._buckets_of(uv_version(process), process.uid, why)

    def _found_by_name(self, process: Process) -> Iterator[_Use]:
        """Yield what a uv that has just started may find, having no lock to wait for.

        Archives are found through pointers only; what may go beside a uv at
        work has none (``planner.grace``).
        """
        why = f"process {process.pid}, a uv that has started, may look into it"
        yield from self._buckets_of(uv_version(process), None, why)
        for decision in self._removals:
            if decision.path in self._by_name:
                yield decision.path, why

    def _buckets_of(self, version: str | None, uid: int | None, why: str) -> Iterator[_Use]:
        """Yield the buckets that a release uses; all, where the release or its buckets are unknown.

        Their user came back since the plan, and would find them gone.
        """
        buckets = None if version is None else self._snapshot.case.buckets_of(version, uid)
        for decision in self._removals:
            if decision.kind is EntryKind.BUCKET and (buckets is None or decision.path in buckets):
                yield decision.path, why

    def _used_together_with(self, bucket: str, why: str) -> Iterator[_Use]:
        """Yield the buckets that go, and that no release lacks which has the one written to."""
        beside = frozenset() if "/" in bucket else self._snapshot.case.used_together_with(bucket)
        for decision in self._removals if beside else ():
            if decision.kind is EntryKind.BUCKET and decision.path in beside:
                yield decision.path, why

    def _resting_on_absence(self, why: str) -> Iterator[_Use]:
        for decision in self._removals:
            if decision.kind in (EntryKind.ARCHIVE, EntryKind.ENVIRONMENT):
                yield decision.path, why

    def _everything(self, why: str) -> Iterator[_Use]:
        inventory = self._snapshot.inventory
        for archive in inventory.archives.values():
            yield archive.path, why
        for environment in inventory.environments:
            yield environment.path, why
        for revision in inventory.revisions:
            yield revision.path, why
        for bucket in inventory.buckets:
            yield bucket.name, why
        for decision in self._removals:
            if decision.kind is EntryKind.SOURCE:
                yield decision.path, why

    def _changed(self, path: str) -> bool:
        try:
            status = os.stat(path, dir_fd=self._snapshot.cache.fd, follow_symlinks=False)
        except OSError:
            return False
        return max(status.st_mtime_ns, status.st_ctime_ns) > self._changed_ns.get(path, 0)


def _leads_among(
    removals: Sequence[Decision], leading: Iterable[tuple[str, str]]
) -> dict[str, frozenset[str]]:
    """Return for each removal the other removals that it, or what lies in it, leads to."""
    going = {decision.path for decision in removals}
    found: dict[str, set[str]] = {}
    for source, target in leading:
        if target not in going:
            continue
        for path in with_folders_above(source):
            if path in going and path != target:
                found.setdefault(path, set()).add(target)
    return {path: frozenset(targets) for path, targets in found.items()}
