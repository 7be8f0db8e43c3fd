"""What entries of one cache take on the disk, alone and together."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.accounting import Measured
from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.clones import extents_of_environments
from cacheadmin.fs.charges import charges_of
from cacheadmin.inventory.measurement import Measuring
from cacheadmin.snapshot.archive_measurement import MeasuredArchive, measure_archives

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from cacheadmin.accounting import Ranges, Size
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.fs.charges import FilesystemCosts
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import ArchiveId, Inventory
    from cacheadmin.planner.plan import Plan
    from cacheadmin.readers import Readers
    from cacheadmin.state.archive_sizes import ArchiveSizes, RememberedSize


class Sizing:
    """Measures entries of an open cache; nothing is measured before it is asked for."""

    def __init__(
        self,
        cache: OpenCache,
        filesystem_kind: str,
        environments: Collection[Environment],
        readers: Readers,
        inventory: Inventory | None = None,
        remembered: ArchiveSizes | None = None,
    ) -> None:
        """Take the cache, the kind of its filesystem, and who may share blocks with it.

        ``readers`` keep the cache's descriptor: what is measured is its members' to fill.
        ``inventory``: what lies in it; ``remembered``: what its archives measured before.
        """
        self._cache = cache
        self._filesystem_kind = filesystem_kind
        self._environments = environments
        self._readers = readers
        self._inventory = inventory
        self._remembered = remembered

    def names(self) -> list[str]:
        """Return the names of the buckets and files of the cache."""
        return os.listdir(self._cache.fd)

    def filesystem(self) -> os.statvfs_result:
        """Return how large the cache's filesystem is, and what is free there."""
        return os.fstatvfs(self._cache.fd)

    @cached_property
    def charges(self) -> FilesystemCosts:
        """What the cache's filesystem charges for files."""
        return charges_of(self._cache.fd, self._filesystem_kind)

    @cached_property
    def _measuring(self) -> Measuring:
        return Measuring(self._readers, self._cache.fd, self.charges)

    def of_cache(self) -> Size:
        """Return what the whole cache takes, but for its root folder."""
        sizes = self._measuring.together(self.names())
        return sizes.together(sizes)

    def of_each(self, paths: Iterable[str]) -> dict[str, Size]:
        """Return the size of each entry by itself; entries may lie in each other."""
        listed = list(paths)
        sizes = self._of_many(frozenset(listed))
        sizes.update(self._measuring.each(path for path in listed if path not in sizes))
        return sizes

    def _of_many(self, paths: Collection[str]) -> dict[str, Size]:
        """Return the sizes of those of which there are very many: archives, links of pointers."""
        inventory = self._inventory
        if inventory is None:
            return {}
        archives = [one for one in inventory.archives.values() if one.path in paths]
        known = {} if self._remembered is None else self._remembered.read()
        measured = measure_archives(self._readers, self._cache.fd, archives, known, self.charges)
        self._remember(
            {archive: size for archive, size in known.items() if archive in inventory.archives},
            measured,
        )
        sizes = {
            one.archive.path: one.tally.alone()
            for one in measured
            # Files of several names, or of several users' blocks, count with all there are.
            if one.tally.stands_alone and not one.failures
        }
        pointers = ((one.path, one.uid) for one in inventory.wheel_pointers if one.path in paths)
        sizes.update(self._measuring.links(pointers))
        return sizes

    def _remember(
        self, known: Mapping[ArchiveId, RememberedSize], measured: Iterable[MeasuredArchive]
    ) -> None:
        found = {**known, **{one.archive.id: one.remember for one in measured}}
        kept = {archive: size for archive, size in found.items() if size is not None}
        if self._remembered is None or kept == known:
            return
        try:
            self._remembered.replace(kept)
        except CacheadminError:
            # Only the next time takes as long again.
            return

    def of_plan(self, plan: Plan, *, kept: bool) -> Measured[str]:
        """Return the sizes of a plan's removals, alone and together, by path.

        With ``kept`` also of what it keeps, each entry by itself.
        """
        going = [decision.path for decision in plan.removals]
        removals = self.of_entries(going, lambda: self.shared_elsewhere(going))
        if not kept:
            return removals
        staying = [decision.path for decision in plan.kept]
        sizes = self.of_each(staying)
        return Measured({**sizes, **removals.sizes}, removals.common)

    def of_entries(
        self, paths: Iterable[str], shared: Callable[[], Ranges] | None = None
    ) -> Measured[str]:
        """Return the sizes of entries, alone and together.

        ``shared`` returns extents that stay on the disk; without it those of environments.
        """
        return self._measuring.together(paths, shared or self.shared_with_environments)

    def shared_with_environments(self) -> Ranges:
        """Return the shared extents of known environments."""
        device = self._cache.identity.device
        return extents_of_environments(self._environments, device, self._readers)

    def shared_elsewhere(self, but: Collection[str]) -> Ranges:
        """Return the shared extents of known environments, and of the cache ``but`` for entries."""
        below = self._measuring.extents(self.names(), leave_out=but)
        return [*self.shared_with_environments(), *below]
