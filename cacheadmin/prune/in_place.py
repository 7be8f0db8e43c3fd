"""Room on a full disk: remove a little where it lies, with nothing to be written.

A run needs a journal and a quarantine before it moves anything. Where not even
these can be made, something has to go first, and only what rests on proof may:
what is wanted all the same costs a download.

Each entry is renamed, under uv's lock and after a last look, to a name that
uv and we know for rubbish (``.tmp...``), in its own bucket. A rename needs no
room but that of a name; where a filesystem refuses even that (btrfs, over its
quota), leftovers and whole buckets are deleted under the name they have. Then
every link of every environment is resolved, and what one leads to gets its
name back. Only then is anything deleted. A kill in
between leaves whole entries at their place, or rubbish that the next prune
deletes: there is no record, and nothing to put back.
"""

from __future__ import annotations

import os
import string
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheBusy
from cacheadmin.evidence.lock_holders import describe_holders
from cacheadmin.evidence.look import Moment
from cacheadmin.fs.free_space import commit, is_full
from cacheadmin.fs.removal import Removed, remove_tree
from cacheadmin.fs.rename import move_to_free_name
from cacheadmin.hosts.leases import LeaseLost
from cacheadmin.hosts.turns import Undisputed
from cacheadmin.inventory.entries import EntryKind, with_folders_above
from cacheadmin.planner.gaps import PROOF
from cacheadmin.planner.plan import Verdict
from cacheadmin.prune.kept_open import undeleted
from cacheadmin.prune.last_look import LastLook
from cacheadmin.prune.moves import led_to, move_out
from cacheadmin.prune.open_folders import Parents
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.restoration import uninterrupted
from cacheadmin.prune.result import MadeRoom
from cacheadmin.prune.room import Needs, needs_of
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.verification import verify
from cacheadmin.uv.cache_lock import ExclusiveLock

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.hosts.turns import Turn
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Snapshot

# What is missed least goes first: leftovers, then what can be fetched again. Not the
# files of a pointer: they go all together or not at all, and free next to nothing.
_ORDER = (
    EntryKind.STRAY,
    EntryKind.BUILD,
    EntryKind.FILE,
    EntryKind.BUCKET,
    EntryKind.REVISION,
    EntryKind.ARCHIVE,
)

# What may be seen in halves while it is deleted: nothing runs from there, and what is
# missing in a bucket is fetched again.
_IN_HALVES = frozenset({EntryKind.STRAY, EntryKind.BUILD, EntryKind.FILE, EntryKind.BUCKET})

# The estimate is of allocated blocks; filesystems need some of them for themselves.
_MARGIN = 2

_LETTERS = string.ascii_letters + string.digits


def make_room_where_short(
    snapshot: Snapshot, plan: Plan, sizes: Mapping[str, Size], *, full: bool = False
) -> MadeRoom | None:
    """Make room for a run where there is none; None where there is, or nothing to be done.

    ``full``: a write told so, whatever else is told of free space. Raises CacheBusy.
    """
    if plan.verdict is Verdict.REFUSED:
        return None
    # What has no room to go on trial stays, and is no reason to delete anything at once.
    if not full and needs_of(_proven(plan.removals)).fit(snapshot.cache.fd):
        return None
    needs = needs_of(plan.removals)
    policy = snapshot.policy
    waits = policy.lock.busy == "wait"
    timeout = policy.lock.timeout.total_seconds() if waits else 0.0
    try:
        with _undisturbed(snapshot.policy, snapshot.cache, timeout) as fence:
            return make_room(snapshot, plan.removals, sizes, needs, timeout, full=full, fence=fence)
    except CacheBusy:
        if policy.lock.busy != "concurrent":
            raise
        # A uvx that never ends: as much as goes beside it, by the run itself.
        return None


def make_room(
    snapshot: Snapshot,
    removals: Sequence[Decision],
    sizes: Mapping[str, Size],
    needs: Needs,
    timeout_seconds: float,
    *,
    full: bool = False,
    fence: Turn | Undisputed,
) -> MadeRoom:
    """Remove as much of what rests on proof as a run needs, for good.

    ``full``: at least something, whatever is told of free space. ``fence`` is asked
    before every move. Raises CacheBusy when uv's lock is not free in time.
    """
    made = MadeRoom()
    waiting = _in_order(removals, sizes)
    tried: set[str] = set()
    while waiting and ((full and made.bytes < needs.bytes) or not needs.fit(snapshot.cache.fd)):
        batch = _batch(waiting, sizes, needs)
        tried |= {decision.path for decision in batch}
        waiting = [decision for decision in waiting if decision.path not in tried]
        aside = _Aside(
            snapshot.cache.fd, {one.path for one in batch if one.kind in _IN_HALVES}, fence
        )
        _remove(snapshot, [*made.removed, *batch], batch, aside, made, timeout_seconds)
        # Some filesystems give back what was deleted only when it is on the disk.
        commit(snapshot.cache.fd)
    return made


def _in_order(removals: Sequence[Decision], sizes: Mapping[str, Size]) -> list[Decision]:
    """Return what may go here: on proof, and nothing that leads to what does not."""

    def order(decision: Decision) -> tuple[int, int]:
        size = sizes.get(decision.path)
        # Few large ones, rather than many small ones.
        return _ORDER.index(decision.kind), 0 if size is None else -size.reclaimable_bytes

    return sorted((one for one in _proven(removals) if one.kind in _ORDER), key=order)


def _proven(removals: Iterable[Decision]) -> Iterator[Decision]:
    return (decision for decision in removals if decision.rests_on == PROOF)


def _batch(waiting: Sequence[Decision], sizes: Mapping[str, Size], needs: Needs) -> list[Decision]:
    batch = []
    freed_bytes = freed_files = 0
    for decision in waiting:
        batch.append(decision)
        size = sizes.get(decision.path)
        if size is not None:
            freed_bytes += size.reclaimable_bytes
            freed_files += size.files
        if freed_bytes >= _MARGIN * needs.bytes and freed_files >= _MARGIN * needs.files:
            break
    return batch


def _remove(
    snapshot: Snapshot,
    going: Sequence[Decision],
    batch: Sequence[Decision],
    aside: _Aside,
    made: MadeRoom,
    timeout_seconds: float,
) -> None:
    """Set a batch aside, verify, delete. ``going`` has what went before as well."""
    try:
        made.failed += _set_aside(snapshot, going, batch, aside, timeout_seconds)
        verified = verify(
            snapshot.collected.scanned,
            snapshot.cache.identity,
            list(aside.names),
            aside.holds,
            snapshot.collected.look.readers,
        )
        # Where something broke that no source explains, or could not be looked at any
        # more, all of it stays: what is deleted here does not come back.
        everything = verified.broken or verified.unread
        aside.put_back(aside.names if everything else verified.used)
        for decision in batch:
            if decision.path in aside.names:
                removed = aside.delete(decision.path, snapshot.cache.identity.device)
                made.bytes += removed.allocated_bytes
                made.left += undeleted(removed)
                made.removed.append(decision)
    except BaseException as error:
        # What was not begun to be deleted is whole.
        if not isinstance(error, LeaseLost) or aside.fence.regain():
            with uninterrupted():
                aside.put_back(aside.names)
        raise


def _set_aside(
    snapshot: Snapshot,
    going: Sequence[Decision],
    batch: Sequence[Decision],
    aside: _Aside,
    timeout_seconds: float,
) -> list[tuple[str, str]]:
    """Rename what may still go, under the lock; return what could not be renamed, and why."""
    look = LastLook(snapshot, going)
    path = snapshot.cache.identity.path
    wanted = {decision.path for decision in batch}
    lock = ExclusiveLock(snapshot.cache.fd, path)
    lock.acquire(timeout_seconds, lambda: describe_holders(path, snapshot.case.user))
    try:
        aside.fence(batch=True)
        deadline = time.monotonic() + snapshot.policy.lock.held_at_most.total_seconds()
        checked = look.look(Moment.UNDER_LOCK)
        if not lock.is_current():
            return []
        paths = [one.path for one in checked.removals if one.path in wanted]
        renames = dict.fromkeys(paths, aside.set_aside)
        with Parents(snapshot.cache.fd) as source:
            moves = move_out(paths, source, source, checked.leads, renames, deadline)
        aside.put_back(moves.held)
    finally:
        lock.release()
    alive = {path for path, _ in look.look(Moment.AFTER_MOVES).dropped if path in aside.names}
    aside.put_back(alive | led_to(alive, checked.leads))
    return moves.failed


@contextmanager
def _undisturbed(
    policy: Policy, cache: OpenCache, timeout_seconds: float
) -> Iterator[Turn | Undisputed]:
    """Keep other runs out; without a quarantine none has been here, and none could be made."""
    with existing_quarantine(policy, cache) as found:
        if found is None:
            yield Undisputed()
            return
        with run_lock(policy, cache, found, timeout_seconds) as quarantine:
            yield quarantine.fence


class _Aside:
    """Entries that have the name of rubbish, and can have their own again.

    Those in ``in_halves`` keep their own where the filesystem has no room for a name.
    """

    def __init__(self, cache_fd: int, in_halves: set[str], fence: Turn | Undisputed) -> None:
        self.fence = fence
        self._cache_fd = cache_fd
        self._in_halves = in_halves
        self.names: dict[str, str] = {}

    def set_aside(self, path: str) -> None:
        """Rename an entry within its bucket. Raises OSError."""
        bucket, _, rest = path.partition("/")
        name = f".tmp{''.join(_LETTERS[one % len(_LETTERS)] for one in os.urandom(6))}"
        target = f"{bucket}/{name}" if rest else name
        try:
            self._rename(path, target)
        except OSError as error:
            if not is_full(error) or path not in self._in_halves:
                raise
            target = path
        self.names[path] = target

    def holds(self, path: str) -> bool:
        """Whether a path of the cache led to what is set aside, and to something there."""
        for folder in with_folders_above(path):
            if folder in self.names:
                inner = f"{self.names[folder]}{path.removeprefix(folder)}"
                try:
                    os.stat(inner, dir_fd=self._cache_fd, follow_symlinks=False)
                except OSError:
                    return False
                return True
        return False

    def put_back(self, paths: Iterable[str]) -> None:
        """Give those that are set aside their names again. Raises OSError.

        What a user's own prune has deleted meanwhile, with its bucket perhaps, is gone.
        """
        for path in [path for path in self.names if path in frozenset(paths)]:
            if self.names[path] != path:
                with suppress(FileNotFoundError):
                    self._rename(self.names[path], path)
            del self.names[path]

    def delete(self, path: str, device: int) -> Removed:
        """Delete what was set aside; nothing is left to do where a user's own prune has."""
        self.fence(batch=True)
        with Parents(self._cache_fd) as parents:
            try:
                fd, name = parents.of(self.names.pop(path))
            except FileNotFoundError:
                return Removed()
            return remove_tree(fd, name, device=device)

    def _rename(self, source: str, target: str) -> None:
        self.fence()
        with Parents(self._cache_fd) as first, Parents(self._cache_fd) as second:
            source_fd, name = first.of(source)
            target_fd, new = second.of(target)
            move_to_free_name(name, source_fd, new, target_fd)
