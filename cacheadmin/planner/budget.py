"""What ``prune.budget`` gives up: unused wheels, least recently used first. Pure.

Nothing that is used is ever given up; a budget that can't be met says by how
much, and what holds it. Wheels that were built here cost more than downloads
and go last; ties go by path, so that two runs agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cacheadmin.counting import count_words
from cacheadmin.policy.quantities import Share

if TYPE_CHECKING:
    from cacheadmin.fs.accounting import Size
    from cacheadmin.inventory.entries import Archive, ArchiveId, Inventory
    from cacheadmin.policy.model import Budget


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is, were the rest of the plan carried out.

    ``cache_bytes`` are allocated, ``cache_files`` inodes of the cache;
    ``free_bytes`` and ``filesystem_bytes`` of its filesystem.
    """

    cache_bytes: int
    cache_files: int
    free_bytes: int
    filesystem_bytes: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What to give up; ``unmet`` says in words what the budget still lacks, or is empty."""

    archives: frozenset[ArchiveId]
    unmet: str = ""


def choose(
    budget: Budget,
    room: Room,
    unused: Iterable[Archive],
    sizes: Mapping[str, Size],
    idle: Mapping[ArchiveId, int],
    built: frozenset[ArchiveId],
    now_ns: int,
) -> Choice:
    """Choose archives until the budget is met. ``sizes`` by path, ``idle`` in ns."""

    def order(archive: Archive) -> tuple[bool, int, str]:
        last_used_ns = max(archive.mtime_ns, now_ns - idle.get(archive.id, now_ns))
        return archive.id in built, last_used_ns, archive.path

    chosen: set[ArchiveId] = set()
    for archive in sorted(unused, key=order):
        if not lacking(budget, room):
            break
        size = sizes.get(archive.path)
        if size is None:
            continue
        chosen.add(archive.id)
        room = Room(
            room.cache_bytes - size.allocated_bytes,
            room.cache_files - size.files,
            room.free_bytes + size.reclaimable_bytes,
            room.filesystem_bytes,
        )
    return Choice(frozenset(chosen), " and ".join(lacking(budget, room)))


def built_archives(inventory: Inventory) -> frozenset[ArchiveId]:
    """Return the archives of wheels that were built from a source."""
    return frozenset(a for revision in inventory.revisions for a in revision.archives)


def lacking(budget: Budget, room: Room) -> list[str]:
    """Return what is over, in words."""
    found = []
    if budget.max_size is not None and room.cache_bytes > budget.max_size:
        found.append(f"{room.cache_bytes - budget.max_size} bytes above max_size")
    if budget.max_files is not None and room.cache_files > budget.max_files:
        found.append(f"{count_words(room.cache_files - budget.max_files, 'file')} above max_files")
    if budget.min_free is not None:
        wanted = budget.min_free
        if isinstance(wanted, Share):
            wanted = wanted.of(room.filesystem_bytes)
        if room.free_bytes < wanted:
            found.append(f"{wanted - room.free_bytes} bytes short of min_free")
    return found
