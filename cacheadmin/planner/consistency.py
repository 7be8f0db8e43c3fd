"""Keep a shortened list of removals consistent: nothing that stays may point at what goes.

A plan may lose removals after it was made: a saved plan did not have them, or
the look under the lock found them alive again. What a surviving pointer leads
to must then survive too, or the next install would meet a pointer to a
missing archive (fails before 0.3.1, downloads again later; facts section 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import archive_path, lies_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.entries import ArchiveId, Inventory
    from cacheadmin.planner.plan import Decision


def without_dangling(
    removals: Sequence[Decision], inventory: Inventory, evidence: Evidence
) -> tuple[Decision, ...]:
    """Return the removals that leave no surviving pointer without its archive.

    Order is kept; the result is always a subset. Cached environments that
    survive keep what they link, and what they extend.
    """
    leading = leads(inventory, evidence)
    result = tuple(removals)
    while True:
        gone = {decision.path for decision in result}
        needed = {
            target for source, target in leading if not lies_in(source, gone) and source != target
        }
        smaller = tuple(d for d in result if d.path not in needed)
        if len(smaller) == len(result):
            return result
        result = smaller


def leads(inventory: Inventory, evidence: Evidence) -> list[tuple[str, str]]:
    """Return every (path that leads, path led to) inside the cache."""
    return [
        *_pointer_leads(inventory),
        *_revision_leads(inventory),
        *_environment_leads(inventory, evidence),
    ]


def _pointer_leads(inventory: Inventory) -> Iterator[tuple[str, str]]:
    holders: Iterable[tuple[str, Iterable[ArchiveId]]] = (
        *_wheel_holders(inventory),
        *_built_wheel_holders(inventory),
    )
    for path, archives in holders:
        for archive in archives:
            yield path, archive_path(archive)
    for environment in inventory.environments:
        if environment.archive is not None:
            yield environment.path, archive_path(environment.archive)


def _wheel_holders(inventory: Inventory) -> Iterator[tuple[str, Iterable[ArchiveId]]]:
    """Yield each file of each pointer: any one of them is enough for some release."""
    for pointer in inventory.wheel_pointers:
        folder, _, name = pointer.path.rpartition("/")
        for file in pointer.files or (name,):
            yield f"{folder}/{file}", pointer.archives


def _built_wheel_holders(inventory: Inventory) -> Iterator[tuple[str, Iterable[ArchiveId]]]:
    for revision in inventory.revisions:
        for name, archive in revision.links.items():
            yield f"{revision.path}/{name}", (archive,)
        yield revision.path, revision.archives.difference(revision.links.values())


def _revision_leads(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Yield each file that names a revision: uv looks for the folder that it names."""
    for revision in inventory.revisions:
        if revision.current is not False:
            for path in revision.file_paths:
                yield path, revision.path


def _environment_leads(inventory: Inventory, evidence: Evidence) -> Iterator[tuple[str, str]]:
    there = {
        *(archive.path for archive in inventory.archives.values()),
        *(environment.path for environment in inventory.environments),
        *(build.path for build in inventory.builds),
    }
    for environment in evidence.environments:
        source = environment.entry_in(inventory.cache)
        if source in there:
            for target in environment.led_to:
                yield source, target
