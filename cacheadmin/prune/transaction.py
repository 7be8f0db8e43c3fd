"""One transaction: journal, lock, last look, renames, unlock, verify, commit or undo.

What must hold at every instant, also when the process is killed or the power
fails:
- an entry lies either at its origin or in the run's ``entries/``, never
  nowhere and never twice: each move is one rename on one filesystem;
- before the first rename the journal lists everything that may be moved, and
  is on the disk; so whatever lies in ``entries/`` can be put back;
- what goes on trial changes places with a link, or is renamed and a link put in
  its place (``trial.tripwires``); its journal row says so, and it is put back
  like the rest: an entry lies at its origin, in ``entries/``, or on trial;
- a run whose journal does not say ``committed`` is put back by the next run;
- a host that has lost its turn among hosts moves nothing more, back neither.
Hence nothing is written or synced between two renames, and the lock is held
only for the last look and the renames themselves.

Renames within one filesystem are ordered and atomic there; a power cut may
lose the newest of them, which leaves entries at their origin: safe.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheBusy, Refused
from cacheadmin.evidence.look import Moment
from cacheadmin.fs.small_files import open_directory, open_directory_beneath
from cacheadmin.hosts.leases import LeaseLost
from cacheadmin.prune.journal import JournalWriter, RunState
from cacheadmin.prune.moves import ENTRIES, Moves, led_to, make_folders, move_out
from cacheadmin.prune.open_folders import Parents
from cacheadmin.prune.restoration import PutBack, put_back, uninterrupted
from cacheadmin.text.timestamps import now_ns, rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.rights import Rights
    from cacheadmin.hosts.turns import Turn, Undisputed
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.planner.plan import Decision
    from cacheadmin.prune.last_look import StillRemovable
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.prune.verification import Verified
    from cacheadmin.trial.trials import Trials
    from cacheadmin.uv.cache_lock import ExclusiveLock


# Locks found deleted before a prune gives up.
_STALE_LOCKS = 10

# Looks under the lock that may take too long before a prune gives up.
_SLOW_LOOKS = 5


@dataclass(slots=True)
class Transaction:
    """What one transaction did."""

    run_id: str
    """Its id."""
    outcome: str = "nothing_to_do"
    """One of ``committed``, ``partial``, ``rolled_back``, ``nothing_to_do``."""
    done: list[Decision] = field(default_factory=list)
    """What was removed; empty when it was rolled back."""
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """What was kept or put back after all: (path, why)."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """What could not be moved: (path, why)."""
    stuck: list[tuple[str, str]] = field(default_factory=list)
    """What could not be put back when a broken link asked for it: (path, why)."""
    verified: Verified | None = None
    """What the links of environments said after the moves; None before they were asked."""
    linked: dict[str, str] = field(default_factory=dict)
    """Entries that the look after the moves found to be used, each with a link to it."""


@frozen
class Steps:
    """What a transaction asks of others: how to lock, look again, and verify.

    The look is repeated after the renames: no lock keeps out a uv that takes
    none, nor one that read a pointer before the lock was taken. What came alive
    meanwhile is put back.
    """

    acquire: Callable[[ExclusiveLock], None]
    """Takes the lock it is given. Raises CacheBusy when it is not free in time."""
    look: Callable[[Moment], StillRemovable]
    """Returns what may still be removed at a moment."""
    verify: Callable[[Sequence[str], Callable[[str], bool]], Verified]
    """Follows every link, given the moved paths and whether one lies in quarantine."""
    trials: Trials | None = None
    """Where removals that rest on absence are put on trial; None: nothing is put there."""
    on_trial: frozenset[str] = frozenset()
    """Paths of the removals to put on trial; their tripwires are made already."""
    held_at_most: float = math.inf
    """Longest time to hold the lock (seconds); infinite under a shared lock."""


@dataclass(slots=True)
class _Attempt:
    """One transaction under way: what is to move, and what happened so far.

    ``before`` and ``after`` are the parents' modification times (ns) around
    the moves, ``rights`` those of all folders above the entries.
    """

    transaction: Transaction
    removals: Sequence[tuple[Decision, dict[str, Any]]]
    cache_fd: int
    entries_fd: int
    journal: JournalWriter
    steps: Steps
    fence: Turn | Undisputed
    moves: Moves = field(default_factory=Moves)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    rights: dict[str, Rights] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [decision.path for decision, _ in self.removals]

    @property
    def quarantined(self) -> list[str]:
        """Paths of what goes to quarantine."""
        return [path for path in self.paths if path not in self.steps.on_trial]

    def put_back(self, paths: Sequence[str], *, times: bool) -> PutBack:
        """Put some of them back from wherever they are; with ``times`` the parents' times too."""
        before, after = (self.before, self.after) if times else ({}, {})
        trials = self.steps.trials
        return put_back(
            self.cache_fd, self.entries_fd, paths, before, after, self.rights, trials, self.fence
        )


def carry_out(
    run_id: str,
    header: dict[str, Any],
    removals: Sequence[tuple[Decision, dict[str, Any]]],
    cache: OpenCache,
    quarantine: QuarantineFolder,
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
    try:
        os.mkdir(ENTRIES, 0o700, dir_fd=run_fd)
        entries_fd = open_directory(ENTRIES, run_fd)
        journal = JournalWriter(run_fd)
        attempt = _Attempt(
            Transaction(run_id), removals, cache.fd, entries_fd, journal, steps, quarantine.fence
        )
        try:
            journal.begin(header, (row for _, row in removals))
            os.fsync(quarantine.fd)
            make_folders(entries_fd, attempt.quarantined)
            with Parents(cache.fd) as source, Parents(entries_fd) as target:
                _open_parents(source, target, attempt)
                attempt.rights = source.rights()
                journal.rights(attempt.rights)
                journal.state(RunState.MOVING, rfc3339(now_ns()))
                _move_under_lock(attempt, lock, steps, source, target)
            _note_moves(attempt)
            _settle(attempt, steps)
        except BaseException as error:
            # A lock that never came, an interrupt, a bug: back to how it was. Without the
            # turn among hosts only who has it may put anything back, and does (`recovery`).
            if not isinstance(error, LeaseLost) or quarantine.fence.regain():
                with uninterrupted():
                    _undo(attempt)
            raise
        finally:
            journal.close()
            os.close(entries_fd)
    finally:
        os.close(run_fd)
    return attempt.transaction


def _open_parents(source: Parents, target: Parents, attempt: _Attempt) -> None:
    """Open every folder needed before the lock, so that under it only renames remain."""
    for path in attempt.paths:
        try:
            source.of(path)
        except OSError:
            # Gone since the plan: the move will say so.
            continue
        if path not in attempt.steps.on_trial:
            target.of(path)


def _move_under_lock(
    attempt: _Attempt, lock: ExclusiveLock, steps: Steps, source: Parents, target: Parents
) -> None:
    transaction = attempt.transaction
    try:
        checked, deadline = _lock_and_look(lock, steps)
        attempt.before = source.times()
        try:
            paths = [decision.path for decision in checked.removals]
            plant = (
                {} if steps.trials is None else dict.fromkeys(steps.on_trial, steps.trials.plant)
            )
            attempt.fence(batch=True)
            attempt.moves = moves = move_out(
                paths, source, target, checked.leads, plant, deadline, attempt.fence
            )
        finally:
            # Also when it was interrupted: what is put back gets its time again.
            attempt.after = source.times()
        # Moved before what leads to them turned out to be immovable.
        early = set() if moves.crossed else set(moves.held) & set(moves.moved)
        _put_back_some(attempt, early, source)
    finally:
        lock.release()
    alive = _came_alive(steps, moves, checked.leads)
    _put_back_some(attempt, alive, source)
    transaction.dropped = [*checked.dropped, *alive.items()]
    transaction.failed = moves.failed
    transaction.dropped += [(path, "it is gone already") for path in moves.vanished]
    transaction.dropped += [
        (path, "lock.held_at_most was over; it goes in a later run") for path in moves.late
    ]
    transaction.dropped += [(path, "what leads to it could not be removed") for path in moves.held]


def _put_back_some(attempt: _Attempt, paths: Container[str], source: Parents) -> None:
    """Put back what was moved and stays after all."""
    moves = attempt.moves
    back = [path for path in moves.moved if path in paths]
    if back:
        attempt.put_back(back, times=False)
        attempt.after = source.times()
        moves.moved = [path for path in moves.moved if path not in set(back)]


def _lock_and_look(lock: ExclusiveLock, steps: Steps) -> tuple[StillRemovable, float]:
    """Take the lock and look again, until the lock held then is still the cache's own.

    The prune of a uv before 0.8.19 deletes ``.lock``: the next process locks
    another file, and ours keeps no process out any more. A look that takes more than
    half of the time for which the lock may be held leaves too little for the
    moves: the lock is given back, and what is new is looked at without it. Also
    returned is when the moves must be done.
    """
    slow = 0
    for _ in range(_STALE_LOCKS):
        steps.acquire(lock)
        begun = time.monotonic()
        checked = steps.look(Moment.UNDER_LOCK)
        if time.monotonic() - begun > steps.held_at_most / 2:
            lock.release()
            slow += 1
            if slow == _SLOW_LOOKS:
                break
            steps.look(Moment.BEFORE_LOCK)
            continue
        if lock.is_current():
            return checked, begun + steps.held_at_most
        lock.release()
    if slow:
        raise CacheBusy(
            f"the last look under the lock takes more than {steps.held_at_most / 2:g} s, "
            "half of lock.held_at_most",
            details=("nothing was removed",),
            hint="prune when less is going on, or raise lock.held_at_most",
        )
    raise CacheBusy(
        "the cache's .lock is deleted again and again, by the prune of a uv before 0.8.19",
        details=("nothing was removed",),
        hint="find who runs it: `cacheadmin schemas POLICY` names users of such releases",
    )


def _came_alive(
    steps: Steps, moves: Moves, leading: Mapping[str, frozenset[str]]
) -> dict[str, str]:
    """Return what was moved and is used or needed after all, with why."""
    moved = set(moves.moved)
    checked = steps.look(Moment.AFTER_MOVES)
    found = {path: why for path, why in checked.dropped if path in moved}
    for path in led_to(tuple(found), leading):
        found.setdefault(path, "something that came alive leads to it")
    return found


def _note_moves(attempt: _Attempt) -> None:
    attempt.fence(batch=True)
    moved = set(attempt.moves.moved)
    attempt.journal.times(before=attempt.before, after=attempt.after)
    attempt.journal.state(
        RunState.MOVED,
        rfc3339(now_ns()),
        moved=len(moved),
        not_moved=[path for path in attempt.paths if path not in moved],
    )


def _settle(attempt: _Attempt, steps: Steps) -> None:
    """Commit, or put everything back when a link broke or a filesystem was crossed."""
    transaction, moves = attempt.transaction, attempt.moves
    if moves.crossed:
        raise Refused(
            f"{moves.failed[0][0]} can't be moved to quarantine: {moves.failed[0][1]}",
            details=("it lies on another filesystem or under another project quota",),
            hint="set quarantine.path to a folder with the same filesystem and project quota",
        )
    transaction.verified = _verify_and_keep(attempt, steps)
    broken = transaction.verified.broken
    if broken:
        transaction.outcome = "rolled_back"
        with uninterrupted():
            transaction.stuck = _undo(attempt, broken=[one.link for one in broken[:100]])
        return
    attempt.fence(batch=True)
    attempt.journal.state(RunState.COMMITTED, rfc3339(now_ns()))
    gone = set(moves.moved)
    transaction.done = [decision for decision, _ in attempt.removals if decision.path in gone]
    transaction.outcome = "committed" if gone else "nothing_to_do"
    if moves.failed:
        transaction.outcome = "partial"


def _verify_and_keep(attempt: _Attempt, steps: Steps) -> Verified:
    """Look where every link leads; put back what one leads to, and look again if any broke.

    A link that no probe had seen (a distribution linked in part, a link made by
    hand) is evidence, not a failure: what it leads to stays, the rest goes.
    """
    moves, in_quarantine = attempt.moves, _looks_into(attempt.entries_fd)
    verified = steps.verify(moves.moved, in_quarantine)
    if not verified.used:
        return verified
    moved = set(moves.moved)
    back = [path for path in moves.moved if path in verified.used]
    attempt.put_back(back, times=False)
    moves.moved = [path for path in moves.moved if path not in verified.used]
    attempt.transaction.dropped += [
        (path, f"{link} leads to it") for path, link in verified.used.items() if path in moved
    ]
    attempt.transaction.linked.update(verified.used)
    if verified.broken:
        verified = steps.verify(moves.moved, in_quarantine)
    _note_moves(attempt)
    return verified


def _looks_into(entries_fd: int) -> Callable[[str], bool]:
    """Return what tells whether a path of the cache now lies in quarantine."""

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

    return in_quarantine


def _undo(attempt: _Attempt, **details: Any) -> list[tuple[str, str]]:
    """Put everything back; return what could not be.

    The run is settled only when nothing failed: otherwise the next one tries
    again, and until then nothing of it is deleted.
    """
    result = attempt.put_back(attempt.paths, times=True)
    if not result.failed:
        conflicts = [list(pair) for pair in result.conflicts]
        try:
            attempt.journal.state(
                RunState.ROLLED_BACK, rfc3339(now_ns()), conflicts=conflicts, **details
            )
        except OSError:
            # No space for a line: the next run finds everything back, and says so.
            pass
    return result.left
