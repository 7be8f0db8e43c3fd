"""What a restore must bring back with its pointers: archives that are on trial by now.

A pointer that came back leads uv to the archive that it has always led to. Where another
run has put that on trial since, a link has its place, and an install through it fails: uv
renames what it finds there into an environment, from which it may have taken an older
version a moment ago. So what restored pointers lead to is put back with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.inventory.entries import archive_path
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.packages.names import normalized

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.trial.trials import Trials


def bring_back_packages(
    trials: Trials | None, rows: Iterable[Mapping[str, Any]], others: Collection[str]
) -> list[tuple[str, str]]:
    """Put back what is on trial of packages of which ``rows`` of a journal come back.

    ``others`` come back by themselves. Call it before anything is moved: no pointer then leads
    to a tripwire meanwhile. Returns (entry, why not).
    """
    if trials is None:
        return []
    packages = {
        (normalized(row["package"]), row.get("version")) for row in rows if row.get("package")
    }
    wanted = [
        one.entry
        for one in trials.current()
        if one.package is not None
        and one.entry not in others
        and not packages.isdisjoint(
            (normalized(one.package), version) for version in (one.version, None)
        )
    ]
    return trials.put_back(wanted, drop_decoys=False, used=True)


def bring_back_led_to(cache: OpenCache, trials: Trials | None) -> list[tuple[str, str]]:
    """Put back what is on trial, and pointers of the cache lead to; return (entry, why not).

    For what no package tells: revisions without a name, cached environments.
    """
    if trials is None:
        return []
    on_trial = frozenset(trials.entries())
    led_to = on_trial.intersection(_led_to(read_inventory(cache))) if on_trial else ()
    return trials.put_back(sorted(led_to), used=True)


def _led_to(inventory: Inventory) -> Iterator[str]:
    for pointer in inventory.wheel_pointers:
        yield from map(archive_path, pointer.archives)
    for revision in inventory.revisions:
        yield from map(archive_path, revision.archives)
    for environment in inventory.environments:
        if environment.archive is not None:
            yield archive_path(environment.archive)
