"""Archives that no uv can begin to use: nothing in the cache leads to them. Pure.

A host tells of them together with its environments (``hosts.observation``). What
nothing led to before its environments were looked at, and none of them uses,
none of them comes to use later: uv finds archives by pointers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveId, archive_path
from cacheadmin.uv.layout import is_content_made_id

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import SourceRevision, WheelPointer
    from cacheadmin.planner.plan_input import PlanInput


def unreferenced_archives(case: PlanInput) -> tuple[str, ...]:
    """Return the paths of archives that nothing in the cache leads to, sorted.

    None where a uv is at work, which may know what led there a moment ago, nor
    where something that could not be read or understood may lead anywhere. Ids that are
    made from the content are found without a pointer.
    """
    inventory = case.inventory
    hidden = inventory.unreadable or any(one.hides_archives for one in case.evidence.unseen)
    pointers: tuple[WheelPointer | SourceRevision, ...] = (
        *inventory.wheel_pointers,
        *inventory.revisions,
    )
    if case.working_uv or hidden or not all(one.understood for one in pointers):
        return ()
    led_to: set[ArchiveId] = set()
    for pointer in pointers:
        led_to |= pointer.archives
    led_to.update(one.archive for one in inventory.environments if one.archive is not None)
    return tuple(
        archive_path(archive)
        for archive in sorted(inventory.archives)
        if archive not in led_to and not is_content_made_id(archive)
    )
