"""Strays: rubbish in a bucket is removed, unknown names are a user's and kept.

Rubbish in ``archive-v0`` is no finished archive (facts section 2). A process that may
still be making one holds uv's lock, which a prune holds alone; only where a uv
without lock may be at work does rubbish have to be old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, bucket_of
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import AccountUser
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def strays(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on everything that no uv release puts there."""
    for stray in case.inventory.strays:
        bucket = bucket_of(stray.path)
        if "/" in stray.path and not live.buckets.get(bucket):
            continue
        age = format_age(stray.changed_ns, case.now_ns)
        owner = AccountUser(case.user(stray.uid))
        young = case.now_ns - stray.changed_ns < nanoseconds(case.policy.prune.builds.after)
        uses = list(live.of(stray.path))
        if not stray.removable:
            uses.append(Use(reasons.STRAY_UNKNOWN, owner, stray.what))
        elif young and (
            not _lock_excludes_makers(case) or case.hosts_may_run_from(stray.changed_ns)
        ):
            uses.append(Use(reasons.STRAY_RECENT, owner, f"{stray.what}, changed {age}"))
        if uses:
            yield keep(EntryKind.STRAY, stray.path, uses)
        else:
            detail = f"{stray.what}, unchanged for {age}"
            yield remove(EntryKind.STRAY, stray.path, reasons.STRAY_RUBBISH, detail)


def _lock_excludes_makers(case: PlanInput) -> bool:
    return case.lock_proves_absence and not case.lock_free_uv
