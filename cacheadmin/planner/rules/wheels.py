"""Wheel pointers: they stay as long as their bucket does, unless their archive is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.evicted import goes
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import SourceRevision, WheelPointer
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def wheels(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on the pointers in buckets that stay; others go with their bucket."""
    kept = {
        bucket: [Use(reasons.WHEEL_BUCKET_KEPT, uses[0].user, bucket)]
        for bucket, uses in live.buckets.items()
        if uses
    }
    for pointer in case.inventory.wheel_pointers:
        if pointer.bucket not in kept:
            continue
        if goes(pointer.archives, live.evicted):
            yield from _whole(pointer, live)
        else:
            yield keep(
                EntryKind.WHEEL,
                pointer.path,
                kept[pointer.bucket],
                package=pointer.package,
                version=pointer.version,
            )
    for revision in case.inventory.revisions:
        whole = revision.current is False or revision.path in live.evicted_sources
        if live.buckets[revision.bucket] and not whole:
            yield from _built(revision, live)


def _whole(pointer: WheelPointer, live: Liveness) -> Iterator[Decision]:
    """Remove every file of a pointer: with one left, uv would never make the others again."""
    reason, detail = live.evicted[next(iter(pointer.archives))]
    folder = pointer.path.rpartition("/")[0]
    for file in pointer.files:
        path = f"{folder}/{file}"
        package, version = pointer.package, pointer.version
        yield remove(EntryKind.WHEEL, path, reason, detail, package=package, version=version)


def _built(revision: SourceRevision, live: Liveness) -> Iterator[Decision]:
    """Remove what leads from a source to a wheel built of it; uv builds it again when asked."""
    for name, archive in revision.links.items():
        if archive in live.evicted:
            reason, detail = live.evicted[archive]
            yield remove(
                EntryKind.WHEEL,
                f"{revision.path}/{name}",
                reason,
                detail,
                package=revision.package,
                version=revision.version,
            )
