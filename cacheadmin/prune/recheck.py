"""The last look, under the lock: did anything come alive since the plan was made?

Only what could have changed is read again: folders whose modification time
moved, or is so young that a change could hide behind the clock's grain;
environments likewise; processes that were not there before. The lock is held
meanwhile, so this must cost milliseconds, and it errs to the safe side: what
was written to since the plan stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from cacheadmin.evidence.collecting import inodes_for, locator_for
from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_environment
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.pins import read_pins
from cacheadmin.evidence.processes import known_processes, read_processes
from cacheadmin.evidence.registry import registered
from cacheadmin.inventory.entries import EntryKind, archive_path, with_folders_above
from cacheadmin.inventory.reading import interpreter_prefixes, read_pointer_folders
from cacheadmin.planner.case import Case
from cacheadmin.planner.consistency import leads, without_dangling
from cacheadmin.planner.pins import pin_words, pinned_packages, pinned_paths
from cacheadmin.prune.moving import led_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.evidence.facts import Process
    from cacheadmin.planner.plan import Decision
    from cacheadmin.situation import Situation

# Clocks of filesystems tick: ext4 and xfs every few milliseconds, NFS and
# older ones every second. A time this young may hide a second change.
_GRAIN_NS = 20_000_000
_COARSE_GRAIN_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000

# A process runs from an overlay, that from a cached environment: no deeper.
_MAX_ENVIRONMENTS = 64


@dataclass(frozen=True, slots=True)
class Recheck:
    """What may still go, and what came alive: (path, why).

    ``leads`` maps each removal to the other removals it leads to.
    """

    removals: tuple[Decision, ...]
    dropped: tuple[tuple[str, str], ...]
    leads: Mapping[str, frozenset[str]]


class Rechecker:
    """Prepared before the lock is taken, so that under it only the look remains.

    ``beside``: no exclusive lock keeps uv out (``planner.grace``).

    Preparing looks at all processes again: measuring a plan's sizes and waiting
    for the lock take time, and a process may have become another program by
    ``exec``, keeping its id and start.
    """

    def __init__(
        self, situation: Situation, removals: Sequence[Decision], *, beside: bool = False
    ) -> None:
        self._situation = situation
        self._beside = beside
        inventory, evidence = situation.inventory, situation.evidence
        self._locator = locator_for(situation.policy, inventory)
        self._inodes = inodes_for(inventory)
        self._coarse = evidence.filesystem.network
        self._removals = without_dangling(removals, inventory, evidence)
        self._leads = _leads_among(self._removals, leads(inventory, evidence))
        self._changed_ns = {
            **{build.path: build.changed_ns for build in inventory.builds},
            **{stray.path: stray.changed_ns for stray in inventory.strays},
        }
        self._folders = {e.path for e in inventory.environments if e.archive is None}
        self._publishers: dict[str, list[str]] = {}
        for environment in inventory.environments:
            if environment.archive is not None:
                entry = archive_path(environment.archive)
                self._publishers.setdefault(entry, []).append(environment.path)
        going = {decision.path for decision in self._removals}
        self._dropped = {
            decision.path: "something that stays leads to it"
            for decision in removals
            if decision.path not in going
        }
        self._known = known_processes()
        self._programs = {pid: _program(pid) for pid, _ in self._known}
        self._alive_before = dict(self._used_by_processes(frozenset()))

    def look(self) -> Recheck:
        """Return what of the removals may still go."""
        alive = dict(self._alive_before)
        looks = [self._pointers(), self._environments(), self._processes(), self._pins()]
        if not self._beside:
            looks.append(self._unlinked_locks())
        for entry, why in chain.from_iterable(looks):
            alive.setdefault(entry, why)
        dropped = dict(self._dropped)
        for decision in self._removals:
            path = decision.path
            if path in alive:
                dropped[path] = alive[path]
            elif decision.kind in (EntryKind.BUILD, EntryKind.STRAY) and self._changed(path):
                dropped[path] = "it was changed since the plan was made"
        for path in led_to(tuple(dropped), self._leads):
            dropped.setdefault(path, "something that stays leads to it")
        left = tuple(decision for decision in self._removals if decision.path not in dropped)
        return Recheck(left, tuple(dropped.items()), self._leads)

    def _moved_on(self, now_ns: int, seen_ns: int) -> bool:
        """Whether a folder may have changed since it was read, by its times."""
        grain = grain_ns(now_ns, coarse=self._coarse)
        return now_ns != seen_ns or now_ns > self._situation.inventory.read_at_ns - grain

    def _changed_folders(self) -> Iterator[str]:
        cache_fd = self._situation.cache.fd
        for folder, seen_ns in self._situation.inventory.watched.items():
            try:
                now_ns = os.stat(folder, dir_fd=cache_fd, follow_symlinks=False).st_mtime_ns
            except OSError:
                # Gone: a prune of somebody else; it can't have come alive.
                continue
            if self._moved_on(now_ns, seen_ns):
                yield folder

    def _pointers(self) -> Iterator[tuple[str, str]]:
        """Yield archives that are pointed at by what changed, and buckets written to."""
        inventory = self._situation.inventory
        changed = [f for f in self._changed_folders() if not f.startswith("interpreter-")]
        if not changed:
            return
        found = read_pointer_folders(self._situation.cache.fd, changed, skip=inventory.watched)
        before = {pointer.path: pointer.archives for pointer in inventory.wheel_pointers}
        for pointer in found.wheel_pointers:
            if before.get(pointer.path) != pointer.archives:
                yield pointer.bucket, f"somebody wrote {pointer.path} since the plan was made"
            for archive in pointer.archives:
                if before.get(pointer.path) != pointer.archives:
                    yield archive_path(archive), f"{pointer.path} points to it now"
        revisions = {r.path: (r.archives, r.current) for r in inventory.revisions}
        for revision in found.revisions:
            if revisions.get(revision.path) == (revision.archives, revision.current):
                continue
            yield revision.bucket, f"somebody wrote {revision.path} since the plan was made"
            if revision.current is not False:
                yield revision.path, "it is the current revision now"
                for archive in revision.archives:
                    yield archive_path(archive), f"{revision.path} points to it now"
        known = {(e.path, e.archive) for e in inventory.environments}
        for environment in found.environments:
            if (environment.path, environment.archive) not in known:
                yield environment.path, "it was made since the plan"
                yield environment.bucket, "an environment was made in it since the plan"
                if environment.archive is not None:
                    yield archive_path(environment.archive), f"{environment.path} leads to it"

    def _environments(self) -> Iterator[tuple[str, str]]:
        """Yield what environments link now that changed, appeared, or are new."""
        for candidate in (*self._changed_environments(), *self._new_environments()):
            yield from self._used_by_environment(candidate, f"{candidate.path} uses it now")

    def _used_by_environment(self, first: Candidate, why: str) -> Iterator[tuple[str, str]]:
        """Yield what an environment leads to, through cached ones that it builds on too."""
        options = ScanOptions()
        root = self._situation.inventory.cache.path
        waiting, seen = [first], {first.path}
        while waiting and len(seen) <= _MAX_ENVIRONMENTS:
            scanned = scan_environment(waiting.pop(), self._locator, self._inodes, options)
            for archive in scanned.archives:
                yield archive_path(archive), why
            for entry in scanned.entries:
                yield from self._used_entry(entry, why)
                path = f"{root}/{entry}"
                if path not in seen:
                    seen.add(path)
                    waiting.append(Candidate(path, EnvironmentKind.CACHED, ("cache",)))

    def _used_entry(self, entry: str, why: str) -> Iterator[tuple[str, str]]:
        yield entry, why
        for publisher in self._publishers.get(entry, ()):
            yield publisher, why

    def _pins(self) -> Iterator[tuple[str, str]]:
        """Yield what was pinned since the plan."""
        case = self._situation.case
        known = {replace(pin, known_age_ns=0) for pin in case.evidence.pins}
        policy = self._situation.policy
        found, _ = read_pins(case.inventory.cache, policy.venvs.registry, policy.aliases)
        new = tuple(pin for pin in found if pin not in known)
        if new:
            since = Case(policy, case.inventory, replace(case.evidence, pins=new), case.now_ns)
            pointing = set()
            for entry, pin in chain(pinned_paths(since), pinned_packages(since)):
                if entry.kind in (EntryKind.WHEEL, EntryKind.REVISION):
                    pointing.add(entry.path)
                yield entry.path, f"{pin_words(since, pin)}, since the plan"
                for archive in entry.archives:
                    yield archive_path(archive), f"{entry.path} is pinned since the plan"
            for decision in self._removals:
                # A pointer goes file by file, a built wheel without its revision.
                around = {decision.path.rpartition(mark)[0] for mark in "./"}
                if around & pointing:
                    yield decision.path, "what it is part of is pinned since the plan"

    def _changed_environments(self) -> Iterator[Candidate]:
        for environment in self._situation.evidence.environments:
            candidate = Candidate(environment.path, environment.kind, environment.sources)
            if environment.status is EnvironmentStatus.MISSING:
                if os.path.lexists(environment.path):
                    yield candidate
                continue
            # Cached ones that go are unlinked with what they alone linked.
            if environment.kind is EnvironmentKind.CACHED:
                continue
            for folder, seen_ns in environment.watched.items():
                try:
                    now_ns = os.stat(folder).st_mtime_ns
                except OSError:
                    continue
                if self._moved_on(now_ns, seen_ns):
                    yield candidate
                    break

    def _new_environments(self) -> Iterator[Candidate]:
        policy = self._situation.policy
        known = {environment.path for environment in self._situation.evidence.environments}
        if policy.venvs.registry is not None:
            for candidate in registered(policy.venvs.registry):
                if isinstance(candidate, Candidate) and candidate.path not in known:
                    yield candidate
        changed = any(folder.startswith("interpreter-") for folder in self._changed_folders())
        if not changed or not policy.venvs.from_cache:
            return
        inside = self._situation.inventory.cache.path + "/"
        for prefix, _, _ in interpreter_prefixes(self._situation.cache).prefixes:
            if prefix not in known and not prefix.startswith(inside):
                yield Candidate(prefix, EnvironmentKind.VENV, ("cache",))

    def _processes(self) -> Iterator[tuple[str, str]]:
        same = (key for key in self._known if _program(key[0]) == self._programs[key[0]])
        yield from self._used_by_processes(frozenset(same))

    def _used_by_processes(self, known: frozenset[tuple[int, int]]) -> Iterator[tuple[str, str]]:
        """Yield what processes use that are not ``known`` or were not so at the plan."""
        processes, _ = read_processes(self._locator, known=known)
        evidence = self._situation.evidence
        planned = {(process.pid, process.started_ns): process for process in evidence.processes}
        environments = {environment.path for environment in evidence.environments}
        root = self._situation.inventory.cache.path
        for process in processes:
            before = planned.get((process.pid, process.started_ns))
            if before is not None and (before.uses, before.is_uv) == (process.uses, process.is_uv):
                continue
            why = f"process {process.pid} uses it now"
            for use in process.uses:
                yield from self._used_entry(use.entry, why)
                inner = Candidate(f"{root}/{use.entry}", EnvironmentKind.CACHED, ("process",))
                yield from self._used_by_environment(inner, why)
            for path in process.environments:
                if path not in environments:
                    outer = Candidate(path, EnvironmentKind.VENV, ("process",))
                    yield from self._used_by_environment(outer, why)
            if process.is_uv and not process.parked:
                if self._beside:
                    yield from self._found_by_name(process)
                elif process.takes_cache_lock is not True:
                    why = f"process {process.pid}, a uv without lock, has started"
                    yield from self._everything(why)

    def _unlinked_locks(self) -> Iterator[tuple[str, str]]:
        """Yield everything when a uv holds a lock that was deleted: ours does not stop it."""
        planned = {h.pid for h in self._situation.evidence.lock_holders if h.unlinked}
        for holder in lock_holders(self._situation.cache.identity.path):
            if holder.unlinked and holder.pid not in planned:
                why = f"process {holder.pid} works behind a .lock that was deleted"
                yield from self._everything(why)

    def _found_by_name(self, process: Process) -> Iterator[tuple[str, str]]:
        """Yield what a uv that has just started may find, having no lock to wait for.

        Archives are found through pointers only; what may go beside a uv at
        work has none (``planner.grace``).
        """
        case = self._situation.case
        version = process.uv_version
        buckets = None if version is None else case.buckets_of(version)
        why = f"process {process.pid}, a uv that has started, may look into it"
        for decision in self._removals:
            found = decision.path in self._folders
            if decision.kind is EntryKind.BUCKET:
                found = buckets is None or decision.path in buckets
            if found:
                yield decision.path, why

    def _everything(self, why: str) -> Iterator[tuple[str, str]]:
        inventory = self._situation.inventory
        for archive in inventory.archives.values():
            yield archive.path, why
        for environment in inventory.environments:
            yield environment.path, why
        for revision in inventory.revisions:
            yield revision.path, why
        for bucket in inventory.buckets:
            yield bucket.name, why

    def _changed(self, path: str) -> bool:
        try:
            status = os.stat(path, dir_fd=self._situation.cache.fd, follow_symlinks=False)
        except OSError:
            return False
        return max(status.st_mtime_ns, status.st_ctime_ns) > self._changed_ns.get(path, 0)


def grain_ns(moment_ns: int, *, coarse: bool = False) -> int:
    """Return for how long a folder's time may hide a second change; ``coarse``: at least so."""
    # A time of whole seconds comes from a filesystem that has no finer ones.
    return _COARSE_GRAIN_NS if coarse or moment_ns % _SECOND_NS == 0 else _GRAIN_NS


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


def _program(pid: int) -> str | None:
    """Return what a process runs as: its short name, which ``exec`` changes."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read(64).decode("utf-8", "surrogateescape")
    except OSError:
        return None
