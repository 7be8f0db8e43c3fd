"""Version buckets: gone when no release in use has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.text.timestamps import format_age

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import Bucket
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def buckets(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on every bucket."""
    for bucket in case.inventory.buckets:
        uses = live.buckets[bucket.name]
        if uses:
            yield keep(EntryKind.BUCKET, bucket.name, uses)
        else:
            yield remove(
                EntryKind.BUCKET, bucket.name, reasons.BUCKET_UNNEEDED, _writer(case, bucket)
            )


def _writer(case: PlanInput, bucket: Bucket) -> str:
    if not bucket.writes:
        return ", and nothing in it tells who wrote it"
    newest = bucket.writes[0]
    age = format_age(newest.written_ns, case.now_ns)
    writer = case.user(newest.uid)
    return f"; last written {age} ago by {writer}"
