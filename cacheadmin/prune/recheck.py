"""The last look, under the lock: did anything come alive since the plan was made?

Only what could have changed is read again: folders whose modification time
moved, or is so young that a change could hide behind the clock's grain;
environments likewise; processes that were not there before. The lock is held
meanwhile, so this must cost milliseconds, and it errs to the safe side: what
was written to since the plan stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.evidence.collecting import inodes_for, locator_for
from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_environment
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.processes import read_processes
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.inventory.reading import interpreter_prefixes, read_pointer_folders
from cacheadmin.planner.consistency import without_dangling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.planner.plan import Decision
    from cacheadmin.situation import Situation

# Clocks of filesystems tick: ext4 and xfs every few milliseconds, NFS and
# older ones every second. A time this young may hide a second change.
_GRAIN_NS = 20_000_000
_NETWORK_GRAIN_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Recheck:
    """What may still go, and what came alive: (path, why)."""

    removals: tuple[Decision, ...]
    dropped: tuple[tuple[str, str], ...]


class Rechecker:
    """Prepared before the lock is taken, so that under it only the look remains."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._locator = locator_for(situation.policy, situation.inventory)
        self._inodes = inodes_for(situation.inventory)
        self._known = situation.known_processes
        network = situation.evidence.filesystem.network
        grain = _NETWORK_GRAIN_NS if network else _GRAIN_NS
        self._settled_ns = situation.inventory.read_at_ns - grain

    def look(self, removals: Sequence[Decision]) -> Recheck:
        """Return what of the removals may still go."""
        alive: dict[str, str] = {}
        for entry, why in (*self._pointers(), *self._environments(), *self._processes()):
            alive.setdefault(entry, why)
        dropped = {
            decision.path: alive[decision.path] for decision in removals if decision.path in alive
        }
        for decision in removals:
            if decision.kind in (EntryKind.BUILD, EntryKind.STRAY) and self._changed(decision):
                dropped[decision.path] = "it was changed since the plan was made"
        left = tuple(decision for decision in removals if decision.path not in dropped)
        consistent = without_dangling(left, self._situation.inventory, self._situation.evidence)
        staying = {decision.path for decision in consistent}
        for decision in left:
            if decision.path not in staying:
                dropped[decision.path] = "something that stays leads to it"
        return Recheck(consistent, tuple(dropped.items()))

    def _changed_folders(self) -> Iterator[str]:
        cache_fd = self._situation.cache.fd
        for folder, seen_ns in self._situation.inventory.watched.items():
            try:
                now_ns = os.stat(folder, dir_fd=cache_fd, follow_symlinks=False).st_mtime_ns
            except OSError:
                # Gone: a prune of somebody else; it can't have come alive.
                continue
            if now_ns != seen_ns or now_ns > self._settled_ns:
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
                    yield f"archive-v0/{archive}", f"{pointer.path} points to it now"
        revisions = {r.path: (r.archives, r.current) for r in inventory.revisions}
        for revision in found.revisions:
            if revisions.get(revision.path) == (revision.archives, revision.current):
                continue
            yield revision.bucket, f"somebody wrote {revision.path} since the plan was made"
            if revision.current is not False:
                yield revision.path, "it is the current revision now"
                for archive in revision.archives:
                    yield f"archive-v0/{archive}", f"{revision.path} points to it now"
        known = {(e.path, e.archive) for e in inventory.environments}
        for environment in found.environments:
            if (environment.path, environment.archive) not in known:
                yield environment.path, "it was made since the plan"
                yield environment.bucket, "an environment was made in it since the plan"
                if environment.archive is not None:
                    yield f"archive-v0/{environment.archive}", f"{environment.path} leads to it"

    def _environments(self) -> Iterator[tuple[str, str]]:
        """Yield what environments link now that changed, appeared, or are new."""
        options = ScanOptions()
        for candidate in (*self._changed_environments(), *self._new_environments()):
            scanned = scan_environment(candidate, self._locator, self._inodes, options)
            why = f"{candidate.path} uses it now"
            for archive in scanned.archives:
                yield f"archive-v0/{archive}", why
            for entry in scanned.entries:
                yield entry, why

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
                if now_ns != seen_ns or now_ns > self._settled_ns:
                    yield candidate
                    break

    def _new_environments(self) -> Iterator[Candidate]:
        changed = any(folder.startswith("interpreter-") for folder in self._changed_folders())
        if not changed or not self._situation.policy.venvs.from_cache:
            return
        known = {environment.path for environment in self._situation.evidence.environments}
        inside = self._situation.inventory.cache.path + "/"
        for prefix, _, _ in interpreter_prefixes(self._situation.cache).prefixes:
            if prefix not in known and not prefix.startswith(inside):
                yield Candidate(prefix, EnvironmentKind.VENV, ("cache",))

    def _processes(self) -> Iterator[tuple[str, str]]:
        processes, _ = read_processes(self._locator, known=self._known)
        publishers: dict[str, list[str]] = {}
        for environment in self._situation.inventory.environments:
            if environment.archive is not None:
                entry = f"archive-v0/{environment.archive}"
                publishers.setdefault(entry, []).append(environment.path)
        scanned = self._situation.case.cached_environments
        for process in processes:
            why = f"process {process.pid} uses it now"
            for use in process.uses:
                yield use.entry, why
                for publisher in publishers.get(use.entry, ()):
                    yield publisher, why
                cached = scanned.get(use.entry)
                for archive in cached.archives if cached is not None else ():
                    yield f"archive-v0/{archive}", why
            if process.is_uv and process.takes_cache_lock is not True and not process.parked:
                yield from self._everything(
                    f"process {process.pid}, a uv without lock, has started"
                )

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

    def _changed(self, decision: Decision) -> bool:
        inventory = self._situation.inventory
        known = {
            **{build.path: build.changed_ns for build in inventory.builds},
            **{stray.path: stray.changed_ns for stray in inventory.strays},
        }
        try:
            status = os.stat(decision.path, dir_fd=self._situation.cache.fd, follow_symlinks=False)
        except OSError:
            return False
        return max(status.st_mtime_ns, status.st_ctime_ns) > known.get(decision.path, 0)
