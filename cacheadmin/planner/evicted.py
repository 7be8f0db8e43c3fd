"""Which archives are given up although pointers lead to them: unused for long, or over budget.

An eviction takes pointer and archive together: an archive without its pointer is
of no use, a pointer without its archive a failure. *Unused* is more than "no
link leads there": environments that hold a hardlink, a clone or a copy use the
archive for the next installation, although losing it would not break them.

Never on suspicion: what could hide a use of any archive, or hosts that can't
be seen, end it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveContent
from cacheadmin.packages.names import normalized
from cacheadmin.planner import reasons
from cacheadmin.text.timestamps import NANOSECONDS, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheadmin.inventory.entries import Archive, ArchiveId
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.reasons import Why


def unused_archives(case: PlanInput, live: Liveness) -> Iterator[Archive]:
    """Yield the wheels that no user uses in any way, where that can be concluded.

    Of ``live`` the marks of what uses the cache; pointers must not be marked yet.
    """
    if live.hidden_uses or case.others_may_link:
        return
    held: set[ArchiveId] = set()
    copies: set[str] = set()
    for environment in case.evidence.environments:
        held.update(environment.archives, environment.hardlinked_archives)
        copies |= environment.copied
    for archive in case.inventory.archives.values():
        if archive.content is not ArchiveContent.WHEEL or archive.package is None:
            continue
        name = f"{normalized(archive.package)}=={archive.version}"
        if not live.archives.get(archive.id) and archive.id not in held and name not in copies:
            yield archive


def evicted(case: PlanInput, live: Liveness) -> dict[ArchiveId, Why]:
    """Return the archives to give up, each with why."""
    after = case.policy.prune.unused.after
    found: dict[ArchiveId, Why] = {}
    for archive in live.unused:
        idle_ns = case.evidence.idle.get(archive.id)
        if after is not None and idle_ns is not None and idle_ns >= nanoseconds(after):
            days = idle_ns // (86_400 * NANOSECONDS)
            found[archive.id] = (reasons.WHEEL_UNUSED, str(days))
        elif archive.id in case.over_budget:
            found[archive.id] = (reasons.WHEEL_OVER_BUDGET, "")
    return _with_all_pointers(case, live, found)


def _with_all_pointers(
    case: PlanInput, live: Liveness, found: dict[ArchiveId, Why]
) -> dict[ArchiveId, Why]:
    """Leave out archives that a pointer which stays leads to, until nothing changes."""
    while True:
        staying: set[ArchiveId] = set()
        for pointer in case.inventory.wheel_pointers:
            if live.buckets[pointer.bucket] and not goes(pointer.archives, found):
                staying |= pointer.archives
            if not pointer.understood:
                staying |= {
                    a.id for a in case.inventory.archives.values() if a.package == pointer.package
                }
        for revision in case.inventory.revisions:
            # Of a superseded one the whole folder goes, or stays: not our matter.
            links = () if revision.current is False else revision.links.values()
            if live.buckets[revision.bucket]:
                staying |= revision.archives.difference(links)
        smaller = {archive: why for archive, why in found.items() if archive not in staying}
        if len(smaller) == len(found):
            return found
        found = smaller


def goes(archives: frozenset[ArchiveId], evicted: Mapping[ArchiveId, Why]) -> bool:
    """Whether a pointer to these archives is removed with them: only where all of them are."""
    return bool(archives) and archives <= evicted.keys()
