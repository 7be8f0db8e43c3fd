"""Which archives are in use, whatever the pointers in the cache say. Pure.

This is what protection needs: a pointer keeps its archive in its own release's
prune, and an archive that only pointers lead to is no loss to any user; one
that an environment links to, or a process runs from, is.

Unknown is alive here too. An environment that could not be read may link to
any archive, so all of them count as used while there is one, or a gap is open. Processes that
could not be looked at may run from a cached environment, so those count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.planner import reasons
from cacheadmin.planner.liveness import mark_uses
from cacheadmin.planner.marks import Use
from cacheadmin.planner.users import OtherUser
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.evidence.facts import Unseen
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.planner.plan_input import PlanInput


@frozen
class ArchivesInUse:
    """The archives that count as used."""

    archives: frozenset[ArchiveId]
    """Archives of the inventory that are used, or may be for all that could be seen."""
    note: str = ""
    """Why more may count as used than are, in words; empty where everything was seen."""


def archives_in_use(case: PlanInput) -> ArchivesInUse:
    """Return every archive of the inventory that is used, or may be for all that could be seen."""
    hiding = [unseen for unseen in case.evidence.unseen if unseen.hides_archives]
    places = [unseen for unseen in hiding if unseen.what != "process"]
    if places:
        first = places[0]
        note = f"every archive counts as used: {first.path} could not be read ({first.reason})"
        return ArchivesInUse(frozenset(case.inventory.archives), note)
    gaps = [gap for gap in case.gaps if not gap.is_unseen]
    if gaps:
        # An environment that was not looked at may link to any of them.
        note = f"every archive counts as used: {gaps[0].detail}"
        return ArchivesInUse(frozenset(case.inventory.archives), note)
    live = mark_uses(case, _perhaps_running(case, hiding), with_users=False)
    note = f"every cached environment counts as used: {hiding[0].reason}" if hiding else ""
    return ArchivesInUse(frozenset(case.inventory.archives.keys() & live.archives.keys()), note)


def _perhaps_running(case: PlanInput, hiding: list[Unseen]) -> Iterator[tuple[str, Use]]:
    if hiding:
        use = Use(reasons.ENVIRONMENT_UNSEEN, OtherUser.UNSEEN_PROCESSES, hiding[0].reason)
        paths = [environment.path for environment in case.inventory.environments]
        for path in (*paths, *(build.path for build in case.inventory.builds)):
            yield path, use
