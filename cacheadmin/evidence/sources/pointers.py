"""What is written in the cache's own buckets between plan and moves.

The inventory is the look for the plan; this source only tells what has
changed since: a pointer that leads to an archive now, a revision that is
current now, a cached environment that was made.
"""

from __future__ import annotations

from collections.abc import Iterator

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.inventory.contents import EntriesByKind
from cacheadmin.inventory.entries import (
    CachedEnvironment,
    EntryPath,
    Inventory,
    UnreadEntry,
    archive_path,
    bucket_of,
    lies_in,
)
from cacheadmin.inventory.pointer_folders import FoldersTask
from cacheadmin.uv.layout import POINTER_KINDS

# So many new environments are looked at, while uv's lock is held and else: of more it is not
# asked which releases made them, and they may link any archive.
_MOST_UNDER_LOCK = 16
_MOST_MADE = 1000


class Pointers:
    """Pointers, revisions and cached environments that were written since the inventory."""

    id = "pointers"

    def __init__(self) -> None:
        self._planned: _Planned | None = None

    def collect(self, look: Look) -> Facts:
        """Return nothing: the inventory has it all."""
        return Facts()

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return the entries that came alive, each with what leads to it; new environments, too.

        Who made one of what the cache held has left no other trace of their release.
        """
        folders = look.changed_folders(_leads_to_archives)
        if look.moment is not Moment.UNDER_LOCK:
            # While the lock is held there is no time to go through all.
            self._planned = _Planned(look.inventory)
        if not folders:
            return Facts()
        planned = self._planned
        if planned is None or planned.inventory is not look.inventory:
            planned = _Planned(look.inventory)
        # Together, as they are read while the lock is held: one answer, one deadline.
        task = FoldersTask(look.cache.fd, tuple(folders))
        (reply,) = look.readers.replies(
            look.questions.pointers, (task,), deadline_seconds=look.deadline_seconds
        )
        found = EntriesByKind()
        for part in reply.parts:
            found.add(part)
        written = list(_written(planned, found))
        unseen = [_unseen(one) for one in found.unreadable if one.path not in planned.unreadable]
        if reply.failed is not None:
            reason = f"what was written there could not be read: {reply.failed.reason}"
            unseen.append(Unseen("cache", folders[0], reason, True, reply.failed.uid))
            written += _all_below(look.inventory, frozenset(folders), reason)
        made = [one.path for one in found.environments if _is_new(one, planned)]
        if len(made) > (_MOST_UNDER_LOCK if look.moment is Moment.UNDER_LOCK else _MOST_MADE):
            why = f"{len(made)} cached environments were made since the plan, of any release"
            written += [(bucket.name, why) for bucket in look.inventory.buckets]
            reason = f"{len(made)} were made since the plan, and may link any archive"
            unseen.append(Unseen("cache", "cached environments", reason, hides_archives=True))
            made = []
        candidates = (
            Candidate(f"{look.cache.identity.path}/{path}", EnvironmentKind.CACHED, ("cache",))
            for path in made
        )
        return Facts(candidates=tuple(candidates), written=tuple(written), unseen=tuple(unseen))


class _Planned:
    """What the inventory has, by path: to be compared with what is there now."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.pointers = {one.path: one.archives for one in inventory.wheel_pointers}
        self.revisions = {one.path: (one.archives, one.current) for one in inventory.revisions}
        self.environments = {(one.path, one.archive) for one in inventory.environments}
        self.unreadable = {one.path for one in inventory.unreadable}


def _leads_to_archives(folder: str) -> bool:
    return EntryPath.of(folder).kind in POINTER_KINDS


def _unseen(one: UnreadEntry) -> Unseen:
    return Unseen("cache", one.path, one.reason, hides_archives=True, uid=one.uid)


def _all_below(
    inventory: Inventory, folders: frozenset[str], reason: str
) -> Iterator[tuple[str, str]]:
    """Yield every entry that anything below these folders is, or belongs to, with the reason."""
    for bucket in {bucket_of(folder) for folder in folders}:
        yield bucket, reason
    for pointer in inventory.wheel_pointers:
        if lies_in(pointer.path, folders):
            folder = pointer.path.rpartition("/")[0]
            for path in (pointer.path, *(f"{folder}/{name}" for name in pointer.files)):
                yield path, reason
    for revision in inventory.revisions:
        if lies_in(revision.path, folders):
            for path in (revision.path, *revision.file_paths, *revision.parts):
                yield path, reason
    for environment in inventory.environments:
        if lies_in(environment.path, folders):
            yield environment.path, reason


def _is_new(environment: CachedEnvironment, planned: _Planned) -> bool:
    return (environment.path, environment.archive) not in planned.environments


def _written(planned: _Planned, found: EntriesByKind) -> Iterator[tuple[str, str]]:
    for pointer in found.wheel_pointers:
        if planned.pointers.get(pointer.path) == pointer.archives:
            continue
        yield pointer.bucket, f"{pointer.path} was written since the plan was made"
        for archive in pointer.archives:
            yield archive_path(archive), f"{pointer.path} points to it now"
    for revision in found.revisions:
        if planned.revisions.get(revision.path) == (revision.archives, revision.current):
            continue
        yield revision.bucket, f"{revision.path} was written since the plan was made"
        if revision.current is not False:
            yield revision.path, "it is the current revision now"
            for path in revision.file_paths:
                yield path, f"it names {revision.path} now"
            for archive in revision.archives:
                yield archive_path(archive), f"{revision.path} points to it now"
    for environment in found.environments:
        if _is_new(environment, planned):
            yield environment.path, "it was made since the plan"
            yield environment.bucket, "an environment was made in it since the plan"
            if environment.archive is not None:
                yield archive_path(environment.archive), f"{environment.path} leads to it"
