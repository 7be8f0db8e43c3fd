"""Wheel pointers: they stay as long as their bucket does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.liveness import Use
from cacheadmin.planner.rules.ruling import Ruling, keep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.planner.case import Case
    from cacheadmin.planner.liveness import Liveness


def wheels(case: Case, live: Liveness) -> Iterator[Ruling]:
    """Rule on the pointers in buckets that stay; others go with their bucket."""
    for pointer in case.inventory.wheel_pointers:
        bucket_uses = live.buckets[pointer.bucket]
        if bucket_uses:
            use = Use("wheel.bucket_kept", bucket_uses[0].who, f"{pointer.bucket} is kept")
            yield keep(
                EntryKind.WHEEL,
                pointer.path,
                [use],
                package=pointer.package,
                version=pointer.version,
            )
