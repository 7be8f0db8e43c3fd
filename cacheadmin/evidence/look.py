"""What a source of evidence is given, and what it answers.

A source says who may use a cache (environments to scan, processes, pins,
entries that are named somewhere), and where it could not look. The same
answer serves a whole look (``Source.collect``) and what has come since
(``Source.changed``), so a source can't be forgotten in one of the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from cacheadmin.evidence.observations import KeptObservations, NoObservations, Observations
from cacheadmin.evidence.questions import Questions, aliases_of, inodes_for, locator_for
from cacheadmin.evidence.uv_binaries import UvBinaries
from cacheadmin.fs.mounts import mount_of
from cacheadmin.inventory.root import list_root
from cacheadmin.readers import Readers
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.distributions import ArchiveInodes
    from cacheadmin.evidence.environments import Candidate
    from cacheadmin.evidence.facts import (
        Gap,
        HostUse,
        KnownEnvironment,
        LockHolder,
        NamedEntry,
        Pin,
        Process,
        Unseen,
    )
    from cacheadmin.evidence.memory import Memory
    from cacheadmin.evidence.observations import Observation
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.evidence.searched_folders import SearchMemory
    from cacheadmin.evidence.targets import CacheLocator
    from cacheadmin.fs.folder_watch import FolderWatch
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.policy.model import Policy


# Clocks of filesystems tick: ext4 and xfs every few milliseconds, NFS and
# older ones every second. A time this young may hide a second change.
_GRAIN_NS = 20_000_000
_COARSE_GRAIN_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000

# Under the lock one answer may take so small a part of the time for which it may be held.
_SHARE_OF_LOCK = 2


def grain_ns(moment_ns: int, *, coarse: bool = False) -> int:
    """Return for how long a folder's time may hide a second change; ``coarse``: at least so."""
    # A time of whole seconds comes from a filesystem that has no finer ones.
    return _COARSE_GRAIN_NS if coarse or moment_ns % _SECOND_NS == 0 else _GRAIN_NS


class Moment(Enum):
    """When a look is taken: it decides what a look may cost."""

    PLAN = "before the plan"
    """The whole look; minutes are fine."""
    BEFORE_LOCK = "before the lock"
    """What came since the plan; seconds are fine."""
    UNDER_LOCK = "under the lock"
    """Milliseconds: nothing that a user can multiply, no tree, is walked."""
    AFTER_MOVES = "after the moves"
    """The lock is given back; seconds are fine."""


@frozen
class Facts:
    """What one source found, and where it could not look."""

    candidates: tuple[Candidate, ...] = ()
    """Folders that are, or may be, environments; they are scanned afterwards."""
    processes: tuple[Process, ...] = ()
    """Running processes that use the cache, run from an environment, or are a uv."""
    lock_holders: tuple[LockHolder, ...] = ()
    """Who holds or waits for the cache's ``.lock``."""
    pins: tuple[Pin, ...] = ()
    """Pins and leases, expired ones too."""
    named: tuple[NamedEntry, ...] = ()
    """Entries of the cache that files outside name."""
    written: tuple[tuple[str, str], ...] = ()
    """Entries that came alive in the cache itself since the plan: (path, why)."""
    unseen: tuple[Unseen, ...] = ()
    """What is there and could not be read."""
    gaps: tuple[Gap, ...] = ()
    """Places that were not looked at."""
    recorded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Interpreter buckets that name an environment, by its path."""
    host_uses: tuple[HostUse, ...] = ()
    """Entries that other hosts use, by their own word."""
    hosts: tuple[Observation, ...] = ()
    """What other hosts told of themselves."""
    releases: tuple[ReleaseTrace, ...] = ()
    """Releases that other hosts use."""
    watched: Mapping[str, int] = field(default_factory=dict)
    """Folders (absolute) that were searched, with their modification time in ns."""
    elsewhere: frozenset[str] = frozenset()
    """Paths of other hosts that were found under another path of this one."""


@dataclass(frozen=True)
class Look:
    """One look at one cache: what every source may use."""

    policy: Policy
    """The effective policy."""
    cache: OpenCache
    """The cache, open."""
    inventory: Inventory
    """What lies in the cache, as it was read for the plan."""
    known: tuple[KnownEnvironment, ...] = ()
    """The environments that earlier looks recorded."""
    observed: KeptObservations = field(default_factory=NoObservations)
    """Where other hosts tell of themselves."""
    told: Observations = field(default_factory=Observations)
    """What they had told when the look began."""
    now_ns: int = 0
    """The moment of the plan's look, as far as it is known to have passed (`steady_time`)."""
    clock_ahead_ns: int = 0
    """How much (ns) this host's clock told beyond that: other hosts go by their clocks."""
    moment: Moment = Moment.PLAN
    """When this look is taken."""
    found: tuple[Candidate, ...] = ()
    """What the sources before this one have found."""
    processes: tuple[Process, ...] = ()
    """The processes that the sources before this one have found."""
    binaries: UvBinaries = field(default_factory=UvBinaries)
    """Which executables are a uv, remembered from look to look."""
    readers: Readers = field(default_factory=Readers)
    """Processes that open and parse what users control."""
    asked: Questions | None = None
    """The questions that readers know; None: made when they are first asked."""
    memory: Memory | None = None
    """What earlier looks saw of environments; only the plan's look asks it."""
    searched: SearchMemory | None = None
    """What earlier looks saw of the trees that are searched; only the plan's look asks it."""
    watch: FolderWatch | None = None
    """What tells, while the lock is held, which of the inventory's folders have changed."""

    def may_have_changed(self, now_ns: int, seen_ns: int) -> bool:
        """Whether a folder may have changed since the plan's look, by its modification times.

        A time as young as that look may hide a second change behind the clock's grain.
        """
        grain = grain_ns(now_ns, coarse=self.coarse_times)
        return now_ns != seen_ns or now_ns > self.inventory.read_at_ns - grain

    def folder_changed(self, folder: str) -> bool:
        """Whether a folder that the inventory watches may have changed since."""
        try:
            status = os.stat(folder, dir_fd=self.cache.fd, follow_symlinks=False)
        except OSError:
            # Gone: another process pruned; nothing in it can have come alive.
            return False
        return self.may_have_changed(status.st_mtime_ns, self.inventory.watched[folder])

    def changed_folders(self, is_meant: Callable[[str], bool]) -> list[str]:
        """Return the folders, of those that the inventory watches, that may have changed.

        And the buckets that have come since: a release that had none here has made them.
        Under the lock those that changed since ``watch`` was made; what changed
        before, the look before the lock has seen. Then no other is even thought of:
        there may be very many.
        """
        new = [name for name in self._new_buckets() if is_meant(name)]
        if self.moment is Moment.UNDER_LOCK and self.watch is not None:
            changed = self.watch.changed()
            if changed is not None:
                seen = [one for one in sorted(changed) if is_meant(one) and self._is_there(one)]
                return seen + new
        watched = self.inventory.watched
        return [one for one in watched if is_meant(one) and self.folder_changed(one)] + new

    def _new_buckets(self) -> list[str]:
        # A bucket of planted roots alone is none to the inventory, and is watched. Not put together
        # with the buckets: there may be very many.
        watched = self.inventory.watched
        buckets = {bucket.name for bucket in self.inventory.buckets}
        names = list_root(self.cache)
        return [name for name in names if name not in buckets and name not in watched]

    def _is_there(self, folder: str) -> bool:
        try:
            os.stat(folder, dir_fd=self.cache.fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    @cached_property
    def coarse_times(self) -> bool:
        """Whether times on the cache's filesystem may be seconds apart, or late: on a network."""
        return mount_of(self.inventory.cache.path).is_network

    @cached_property
    def questions(self) -> Questions:
        """What readers can be asked; the same for every later look at this inventory."""
        return self.asked or Questions(
            self.policy, self.inventory, self.binaries, self.memory, aliases=self.aliases
        )

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        """What else the cache is called: by the policy, and on other hosts by their word."""
        return aliases_of(self.policy, self.told)

    def later(self, moment: Moment) -> Look:
        """Return another look, taken later: readers look at everything again."""
        self.readers.renew()
        return replace(self, moment=moment, asked=self.questions, memory=None, searched=None)

    @property
    def deadline_seconds(self) -> float:
        """How long one answer may take at this moment; under the lock it must be soon."""
        if self.moment is not Moment.UNDER_LOCK:
            return self.readers.limits.deadline_seconds
        return self.policy.lock.held_at_most.total_seconds() / _SHARE_OF_LOCK

    @cached_property
    def locator(self) -> CacheLocator:
        """What tells whether a path leads into this cache."""
        return locator_for(self.policy, self.inventory, self.aliases)

    @cached_property
    def inodes(self) -> ArchiveInodes:
        """What tells which archive a hardlinked file belongs to."""
        return inodes_for(self.inventory)


class Source(Protocol):
    """A kind of place that tells who uses a cache.

    Both methods change nothing and never raise for what they find: what can't
    be read is ``Facts.unseen``, where no look went is ``Facts.gaps``.
    """

    id: str
    """Its name, as ``Environment.sources`` shows it where it finds environments."""

    def collect(self, look: Look) -> Facts:
        """Return everything it can find."""

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what has come, or may have come, since ``before`` was collected."""


def new_candidates(now: Facts, before: Facts) -> Facts:
    """Return what ``now`` has and ``before`` had not: most sources need no other ``changed``."""
    known = {candidate.path for candidate in before.candidates}
    return Facts(
        candidates=tuple(one for one in now.candidates if one.path not in known),
        named=tuple(one for one in now.named if one not in before.named),
        unseen=tuple(one for one in now.unseen if one not in before.unseen),
        gaps=tuple(one for one in now.gaps if one not in before.gaps),
    )
