"""What is written in the cache's own buckets between plan and moves.

The inventory is the look for the plan; this source only tells what has
changed since: a pointer that leads to an archive now, a revision that is
current now, a cached environment that was made.
"""

from __future__ import annotations

from collections.abc import Iterator

from cacheadmin.evidence.look import Facts, Look
from cacheadmin.inventory.entries import archive_path
from cacheadmin.inventory.pointer_folders import read_pointer_folders


class Pointers:
    """Pointers, revisions and cached environments that were written since the inventory."""

    id = "pointers"

    def collect(self, look: Look) -> Facts:
        """Return nothing: the inventory has it all."""
        return Facts()

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return the entries that came alive, each with what leads to it."""
        folders = [
            folder
            for folder in look.inventory.watched
            if not folder.startswith("interpreter-") and look.folder_changed(folder)
        ]
        return Facts(written=tuple(_written(look, folders)) if folders else ())


def _written(look: Look, folders: list[str]) -> Iterator[tuple[str, str]]:
    inventory = look.inventory
    found = read_pointer_folders(look.cache.fd, folders, skip=inventory.watched)
    before = {pointer.path: pointer.archives for pointer in inventory.wheel_pointers}
    for pointer in found.wheel_pointers:
        if before.get(pointer.path) == pointer.archives:
            continue
        yield pointer.bucket, f"somebody wrote {pointer.path} since the plan was made"
        for archive in pointer.archives:
            yield archive_path(archive), f"{pointer.path} points to it now"
    revisions = {r.path: (r.archives, r.current) for r in inventory.revisions}
    for revision in found.revisions:
        if revisions.get(revision.path) == (revision.archives, revision.current):
            continue
        yield revision.bucket, f"somebody wrote {revision.path} since the plan was made"
        if revision.current is not False:
            yield revision.path, "it is the current revision now"
            for path in revision.file_paths:
                yield path, f"it names {revision.path} now"
            for archive in revision.archives:
                yield archive_path(archive), f"{revision.path} points to it now"
    known = {(e.path, e.archive) for e in inventory.environments}
    for environment in found.environments:
        if (environment.path, environment.archive) not in known:
            yield environment.path, "it was made since the plan"
            yield environment.bucket, "an environment was made in it since the plan"
            if environment.archive is not None:
                yield archive_path(environment.archive), f"{environment.path} leads to it"
