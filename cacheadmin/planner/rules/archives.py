"""Archives: gone when nothing alive leads to them.

*Unreferenced* (no pointer inside the cache leads there) is not enough: an
environment may link to it, or a process run from it. Only what is neither
referenced nor seen to be used goes, and only while nothing hides a use.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.cached_environments import cached_names
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import OtherUser
from cacheadmin.uv.layout import is_content_made_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cacheadmin.inventory.entries import Archive, ArchiveId, SourceRevision, WheelPointer
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.reasons import Why


_CONTENT_MADE = Use(reasons.ARCHIVE_CONTENT_MADE, OtherUser.UV_WITH_THE_WHEEL)

# An archive is given up with its pointers, each under a name of its own.
_OF_ARCHIVES = {
    reasons.WHEEL_UNUSED: reasons.ARCHIVE_UNUSED,
    reasons.WHEEL_OVER_BUDGET: reasons.ARCHIVE_OVER_BUDGET,
}


def archives(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on every archive; what goes comes in the order of its names.

    A listing, and what is remembered of the last one, have another order each time.
    """
    led_there = _dead_pointers(case, live)
    names = cached_names(case)
    going: list[Decision] = []
    for archive in case.inventory.archives.values():
        uses = [*live.archives.get(archive.id, ()), *live.hidden_uses]
        if not uses and is_content_made_id(archive.id) and not case.absence_is_proof:
            uses = [_CONTENT_MADE]
        if not uses and not case.policy.prune.archives:
            uses = [Use(reasons.ARCHIVE_POLICY, OtherUser.POLICY, "prune.archives is false")]
        name, version = names.get(archive.path, (archive.package, archive.version))
        if uses:
            yield keep(EntryKind.ARCHIVE, archive.path, uses, package=name, version=version)
        else:
            decision = _remove(archive, led_there, live.evicted.get(archive.id))
            going.append(replace(decision, package=name, version=version))
    yield from sorted(going, key=lambda decision: decision.path)


def _remove(
    archive: Archive,
    led_there: Mapping[ArchiveId, set[str]],
    evicted: Why | None,
) -> Decision:
    sources = led_there.get(archive.id)
    if evicted is not None:
        reason, detail = _OF_ARCHIVES[evicted[0]], evicted[1]
    elif sources:
        reason, detail = reasons.ARCHIVE_POINTERS_GONE, ", ".join(sorted(sources))
    else:
        reason, detail = reasons.ARCHIVE_UNREFERENCED, ""
    return remove(
        EntryKind.ARCHIVE,
        archive.path,
        reason,
        detail,
        package=archive.package,
        version=archive.version,
    )


def _dead_pointers(case: PlanInput, live: Liveness) -> Mapping[ArchiveId, set[str]]:
    """Return which buckets hold (soon removed) pointers to an archive without a mark."""
    led: dict[ArchiveId, set[str]] = defaultdict(set)
    marked = {archive for archive, uses in live.archives.items() if uses}
    pointers: tuple[WheelPointer | SourceRevision, ...] = (
        *case.inventory.wheel_pointers,
        *case.inventory.revisions,
    )
    for pointer in pointers:
        for archive in pointer.archives - marked:
            led[archive].add(pointer.bucket)
    for environment in case.inventory.environments:
        if environment.archive is not None and environment.archive not in marked:
            led[environment.archive].add(environment.bucket)
    return led
