"""One transaction: journal, lock, last look, renames, unlock, verify, commit or undo.

What must hold at every instant, also when the process is killed or the power
fails:
- an entry lies either at its origin or in the run's ``entries/``, never
  nowhere and never twice: each move is one rename on one filesystem;
- before the first rename the journal lists everything that may be moved, and
  is on the disk; so whatever lies in ``entries/`` can be put back;
- a run whose journal does not say ``committed`` is put back by the next run.
Hence nothing is written or synced between two renames, and the lock is held
only for the last look and the renames themselves.

Renames within one filesystem are ordered and atomic there; a power cut may
lose the newest of them, which leaves entries at their origin: safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import Refused
from cacheadmin.fs.reading import open_directory, open_directory_beneath
from cacheadmin.prune.journal import JournalWriter, RunState
from cacheadmin.prune.moving import ENTRIES, Moves, Parents, make_folders, move_out, put_back
from cacheadmin.prune.quarantine import Quarantine
from cacheadmin.prune.verification import Verified
from cacheadmin.timestamps import now_ns, rfc3339

if TYPE_CHECKING:
    from cacheadmin.inventory.opening import OpenCache
    from cacheadmin.planner.plan import Decision
    from cacheadmin.prune.recheck import Recheck
    from cacheadmin.uv.cache_lock import ExclusiveLock


@dataclass(slots=True)
class Transaction:
    """What one transaction did. ``dropped`` and ``failed`` are (path, why)."""

    run_id: str
    outcome: str = "nothing_to_do"
    done: list[Decision] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    verified: Verified | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """What a transaction asks of others: how to lock, look again, and verify."""

    acquire: Callable[[ExclusiveLock], None]
    recheck: Callable[[Sequence[Decision]], Recheck]
    verify: Callable[[Sequence[str], Callable[[str], bool]], Verified]


@dataclass(frozen=True, slots=True)
class _Moved:
    """The moves, with the parents' modification times (ns) just before and after."""

    moves: Moves
    before: dict[str, int]
    after: dict[str, int]


def carry_out(
    run_id: str,
    header: dict[str, Any],
    removals: Sequence[tuple[Decision, dict[str, Any]]],
    cache: OpenCache,
    quarantine: Quarantine,
    lock: ExclusiveLock,
    steps: Steps,
) -> Transaction:
    """Remove entries as one transaction.

    ``removals`` pairs each decision with its journal row. Raises CacheBusy
    when the lock is not free, Refused when a rename would cross a filesystem
    or project quota; then everything is as it was.
    """
    os.mkdir(run_id, 0o700, dir_fd=quarantine.fd)
    run_fd = open_directory(run_id, quarantine.fd)
    os.mkdir(ENTRIES, 0o700, dir_fd=run_fd)
    entries_fd = open_directory(ENTRIES, run_fd)
    journal = JournalWriter(run_fd)
    try:
        journal.begin(header, (row for _, row in removals))
        os.fsync(quarantine.fd)
        make_folders(entries_fd, (decision.path for decision, _ in removals))
        transaction = Transaction(run_id)
        with Parents(cache.fd) as source, Parents(entries_fd) as target:
            _open_parents(source, target, [decision.path for decision, _ in removals])
            journal.state(RunState.MOVING, rfc3339(now_ns()))
            moved = _move_under_lock(transaction, removals, lock, steps, source, target)
            journal.times(before=moved.before, after=moved.after)
            journal.state(RunState.MOVED, rfc3339(now_ns()), moved=len(moved.moves.moved))
        _settle(transaction, moved, removals, steps, cache.fd, entries_fd, journal)
    except BaseException:
        # A lock that never came, an interrupt, a bug: back to how it was.
        _undo_all(removals, cache, entries_fd, journal)
        raise
    finally:
        journal.close()
        os.close(entries_fd)
        os.close(run_fd)
    return transaction


def _open_parents(source: Parents, target: Parents, paths: Sequence[str]) -> None:
    """Open every folder needed before the lock, so that under it only renames remain."""
    for path in paths:
        try:
            source.of(path)
        except OSError:
            # Gone since the plan: the move will say so.
            continue
        target.of(path)


def _move_under_lock(
    transaction: Transaction,
    removals: Sequence[tuple[Decision, dict[str, Any]]],
    lock: ExclusiveLock,
    steps: Steps,
    source: Parents,
    target: Parents,
) -> _Moved:
    steps.acquire(lock)
    try:
        recheck = steps.recheck([decision for decision, _ in removals])
        before = source.times()
        moves = move_out([d.path for d in recheck.removals], source, target)
        after = source.times()
    finally:
        lock.release()
    transaction.dropped = list(recheck.dropped)
    transaction.failed = moves.failed
    transaction.dropped += [(path, "it is gone already") for path in moves.vanished]
    return _Moved(moves, before, after)


def _settle(
    transaction: Transaction,
    moved: _Moved,
    removals: Sequence[tuple[Decision, dict[str, Any]]],
    steps: Steps,
    cache_fd: int,
    entries_fd: int,
    journal: JournalWriter,
) -> None:
    """Commit, or put everything back when a link broke or a filesystem was crossed."""
    moves = moved.moves
    if moves.crossed:
        raise Refused(
            f"{moves.failed[0][0]} can't be moved to quarantine: {moves.failed[0][1]}",
            details=("it lies on another filesystem or under another project quota",),
            hint="set quarantine.path to a folder with the same filesystem and project quota",
        )

    def in_quarantine(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        try:
            fd = open_directory_beneath(entries_fd, folder)
        except OSError:
            return False
        try:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    transaction.verified = steps.verify(moves.moved, in_quarantine)
    if transaction.verified.broken:
        put_back(cache_fd, entries_fd, moves.moved, moved.before, moved.after)
        journal.state(
            RunState.ROLLED_BACK,
            rfc3339(now_ns()),
            broken=list(transaction.verified.broken[:100]),
        )
        transaction.outcome = "rolled_back"
        return
    journal.state(RunState.COMMITTED, rfc3339(now_ns()))
    gone = set(moves.moved)
    transaction.done = [decision for decision, _ in removals if decision.path in gone]
    transaction.outcome = "committed" if gone else "nothing_to_do"
    if moves.failed:
        transaction.outcome = "partial"


def _undo_all(
    removals: Sequence[tuple[Decision, dict[str, Any]]],
    cache: OpenCache,
    entries_fd: int,
    journal: JournalWriter,
) -> None:
    put_back(cache.fd, entries_fd, [decision.path for decision, _ in removals], {}, {})
    journal.state(RunState.ROLLED_BACK, rfc3339(now_ns()))
