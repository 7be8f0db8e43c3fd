"""What a restore must not leave in the cache: pointers to archives that are gone for good.

Pointers go to quarantine, what they lead to may go on trial; where the trial ends
first, or another run's, the pointers are all that can come back. uv before 0.3.1 fails
at a pointer that leads nowhere, later ones download again: so they stay in quarantine.
What leads nowhere without a doing of ours is none of ours, and comes back as it was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveId, archive_path, lies_in
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.prune.journal import read_journal
from cacheadmin.prune.moves import make_folders
from cacheadmin.prune.open_folders import Parents
from cacheadmin.uv.layout import ARCHIVES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.prune.quarantine import QuarantineFolder


def take_out_dangling(
    cache: OpenCache, quarantine: QuarantineFolder, entries_fd: int, restored: Collection[str]
) -> list[tuple[str, str]]:
    """Move pointers that came back and lead to what runs of ours have removed out again.

    ``restored`` are the paths that came back. Returns (path, why) of each pointer. Call it
    under the run lock.
    """
    gone = _gone(cache.fd, quarantine)
    if not gone or not restored:
        return []
    found = {
        path: archive
        for path, archive in _pointers(read_inventory(cache), gone)
        if lies_in(path, restored)
    }
    said = []
    make_folders(entries_fd, found)
    with Parents(cache.fd) as source, Parents(entries_fd) as target:
        for path, archive in found.items():
            words = f"{archive_path(archive)}, to which it leads, is gone; uv fetches it again"
            try:
                source_fd, name = source.of(path)
                target_fd, _ = target.of(path)
                os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                words = f"{words} (it could not be taken out again: {error.strerror})"
            said.append((path, words))
    return said


def _gone(cache_fd: int, quarantine: QuarantineFolder) -> frozenset[ArchiveId]:
    """Return the archives that runs of ours moved, and that are not in the cache."""
    moved: set[str] = set()
    for run_id in quarantine.run_ids():
        run_fd = quarantine.open_run(run_id)
        try:
            journal = read_journal(run_fd)
        finally:
            os.close(run_fd)
        if journal is not None:
            moved.update(entry["path"] for entry in journal.moved_entries)
    names = (path.partition("/") for path in moved)
    archives = {ArchiveId(name) for bucket, _, name in names if bucket == ARCHIVES and name}
    return frozenset(one for one in archives if not _is_there(cache_fd, archive_path(one)))


def _is_there(cache_fd: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=cache_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def _pointers(inventory: Inventory, gone: Collection[ArchiveId]) -> Iterator[tuple[str, ArchiveId]]:
    """Yield the files and links that lead to one of these archives."""
    for pointer in inventory.wheel_pointers:
        folder = pointer.path.rpartition("/")[0]
        for archive in pointer.archives:
            if archive in gone:
                yield from ((f"{folder}/{file}", archive) for file in pointer.files)
    for revision in inventory.revisions:
        for name, archive in revision.links.items():
            if archive in gone:
                yield f"{revision.path}/{name}", archive
    for environment in inventory.environments:
        if environment.archive is not None and environment.archive in gone:
            yield environment.path, environment.archive
