"""Past runs: list them, show one, undo one, delete what was kept for undoing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import NotACache, Refused
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.removal import Removed, remove_tree
from cacheadmin.fs.small_files import open_directory
from cacheadmin.prune.dangling_links import take_out_dangling
from cacheadmin.prune.journal import (
    SETTLED,
    Journal,
    JournalWriter,
    RunState,
    read_journal,
    was_begun,
)
from cacheadmin.prune.kept_open import kept_open, undeleted
from cacheadmin.prune.led_to_trials import bring_back_led_to, bring_back_packages
from cacheadmin.prune.moves import ENTRIES
from cacheadmin.prune.restoration import PutBack, put_back
from cacheadmin.text.timestamps import nanoseconds, now_ns, parse_rfc3339, rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.prune.quarantine import QuarantineFolder
    from cacheadmin.trial.ledger import Spring, Trial
    from cacheadmin.trial.trials import Trials

_RESTORABLE = frozenset({RunState.COMMITTED, RunState.RESTORED})

# What `entries` is called while it is deleted and the journal can't say so.
_PURGING = "purging"

# A purged run's journal stays for this long: who removed what, and when.
_HISTORY_NS = 366 * 86_400 * 10**9


@frozen
class Run:
    """One past run."""

    run_id: str
    """Its id, which sorts by time (``20261121T052343Z-0a1b2c``)."""
    state: RunState
    """How far it came, or what became of it since."""
    begun_at: str
    """When it began (RFC 3339); empty where its journal does not tell."""
    host: str
    """The name of the host that ran it; empty where its journal does not tell."""
    policy: str
    """The name of its policy; empty where its journal does not tell."""
    entries: tuple[dict[str, Any], ...]
    """The journal's rows of what it moved; each has a ``path`` relative to the cache."""
    restorable: bool
    """Whether something of it can still be put back."""
    holds: bool
    """Whether something of it still lies in quarantine."""
    on_trial: tuple[Trial, ...] = ()
    """Entries of it that are on trial now."""
    came_back: tuple[Spring, ...] = ()
    """Entries of it that came back from trial, and why."""
    of_earlier_cache: bool = False
    """Whether it was made on a cache that was at the path of this one before."""

    @property
    def unfinished(self) -> str:
        """Return that it has not come to its end, and what ends it; empty where it has."""
        return "" if self.state in SETTLED else _unfinished(earlier=self.of_earlier_cache)

    @property
    def bytes(self) -> int:
        """Return the bytes its entries had, where they were measured."""
        return sum(entry.get("bytes") or 0 for entry in self.entries)

    @property
    def quarantined_bytes(self) -> int:
        """Return the bytes of what it moved to quarantine, without what went on trial."""
        return sum(entry.get("bytes") or 0 for entry in self.entries if not entry.get("trial"))


def list_runs(
    quarantine: QuarantineFolder, cache: CacheIdentity, trials: Trials | None = None
) -> Iterator[Run]:
    """Yield the runs of a cache, oldest first; ``trials`` tell what of them is on trial.

    Several caches may share one quarantine: runs of others are none of this policy's.
    """
    for run_id in quarantine.run_ids():
        run_fd = quarantine.open_run(run_id)
        try:
            journal = read_journal(run_fd)
            if journal is not None and journal.concerns(cache):
                yield _run(run_id, journal, _holds(run_fd, journal), trials, cache)
        finally:
            os.close(run_fd)


def unreadable_runs(quarantine: QuarantineFolder) -> Iterator[str]:
    """Yield the runs whose journal can't be read; of which cache they are can't be told."""
    for run_id in quarantine.run_ids():
        run_fd = quarantine.open_run(run_id)
        try:
            if read_journal(run_fd) is None:
                yield run_id
        finally:
            os.close(run_fd)


def find_run(quarantine: QuarantineFolder, run_id: str, trials: Trials | None = None) -> Run:
    """Return one run. Raises NotACache when there is none of that id."""
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None:
            raise Refused(f"the journal of run {run_id} in {quarantine.path} can't be read")
        return _run(run_id, journal, _holds(run_fd, journal), trials, None)
    finally:
        os.close(run_fd)


def restore(
    cache: OpenCache,
    quarantine: QuarantineFolder,
    run_id: str,
    locked: AbstractContextManager[object],
    trials: Trials | None = None,
) -> PutBack:
    """Put a run back where it was. Call it under the run lock.

    ``locked`` holds the cache's lock; it is entered when nothing speaks against it.

    What uv made again meanwhile stays; the older is in ``conflicts`` and waits
    in quarantine: restoring again brings it back once the way is free. So do pointers
    to archives that are gone for good. What the run put on trial, and is nowhere any more,
    is ``absent``. Raises
    Refused when the run was purged, undone, or made on another cache.
    """
    run_fd = quarantine.open_run(run_id)
    try:
        on_trial = _on_trial(run_id, trials)
        journal = _journal_to_restore(run_fd, cache, run_id, on_trial)
        entries_fd = _open_entries(run_fd)
        try:
            mine = {trial.entry for trial in on_trial}
            # What another run put on trial since is not this run's to bring back.
            rows = [
                entry
                for entry in journal.moved_entries
                if not entry.get("trial") or entry["path"] in mine
            ]
            paths = [entry["path"] for entry in rows]
            with locked:
                quarantine.fence(batch=True)
                stuck = dict(bring_back_packages(trials, rows, mine))
                result = put_back(
                    cache.fd,
                    entries_fd,
                    paths,
                    journal.before,
                    journal.after,
                    journal.rights,
                    trials,
                    quarantine.fence,
                )
                stuck.update(bring_back_led_to(cache, trials))
            result.failed += stuck.items()
            result.conflicts += take_out_dangling(
                cache, quarantine, entries_fd, frozenset(result.moved)
            )
        finally:
            os.close(entries_fd)
        # What of it was on trial and is not: back in its place, by a use, or gone for good.
        over = [entry["path"] for entry in journal.moved_entries if entry.get("trial")]
        result.absent += [path for path in over if path not in mine]
        # An earlier restore that was interrupted, or met conflicts, had these.
        result.absent = [path for path in result.absent if not _exists(cache.fd, path)]
        if not result.failed:
            conflicts = [list(pair) for pair in result.conflicts]
            if journal.state is not RunState.PURGED:
                _note_restored(run_fd, conflicts)
        return result
    finally:
        os.close(run_fd)


def _note_restored(run_fd: int, conflicts: list[list[str]]) -> None:
    """Note that a run was put back; without room for a line it is one that holds nothing."""
    try:
        _note(run_fd, RunState.RESTORED, conflicts=conflicts)
    except OSError as error:
        if not is_full(error):
            raise


def _open_entries(run_fd: int) -> int:
    """Return a descriptor of a run's quarantine, made empty again where it was purged."""
    try:
        os.mkdir(ENTRIES, 0o700, dir_fd=run_fd)
    except FileExistsError:
        pass
    except OSError as error:
        if not is_full(error):
            raise
        # Nothing waits there; what is on trial comes back all the same.
        return os.dup(run_fd)
    return open_directory(ENTRIES, run_fd)


def _journal_to_restore(
    run_fd: int, cache: OpenCache, run_id: str, on_trial: Sequence[Trial]
) -> Journal:
    journal = read_journal(run_fd)
    if journal is None:
        raise Refused(f"run {run_id} can't be restored: its journal can't be read")
    if not journal.is_of(cache.identity):
        raise _of_another_cache(run_id, journal, cache.identity)
    held = journal.state in _RESTORABLE and _holds(run_fd, journal)
    if not (held or (on_trial and journal.state in SETTLED)):
        why = f"it is {journal.state.value}"
        if journal.state is RunState.COMMITTED:
            why = "nothing of it is in quarantine or on trial any more"
        if journal.state not in SETTLED:
            why = _unfinished(earlier=False)
        raise Refused(f"run {run_id} can't be restored: {why}")
    return journal


def _of_another_cache(run_id: str, journal: Journal, cache: CacheIdentity) -> Refused:
    if journal.concerns(cache):
        return Refused(
            f"run {run_id} was made on the cache that was at {cache.path} before",
            hint="nothing of it belongs into the one that is there now; `cacheadmin runs purge "
            f"POLICY {run_id}` deletes it",
        )
    return Refused(
        f"run {run_id} was made on another cache: {journal.run.get('cache', {}).get('path')}",
        hint="name the policy of that cache",
    )


def _unfinished(*, earlier: bool) -> str:
    if not earlier:
        return "it did not come to its end; the next prune puts it back"
    # That cache may be back tomorrow: a disk that is not mounted, a folder that was moved aside.
    return (
        "it did not come to its end, on a cache that was at this path before; where that is gone "
        "for good, remove the run's folder from quarantine"
    )


def purge(quarantine: QuarantineFolder, cache: CacheIdentity, run_id: str) -> Removed:
    """Delete for good what a run moved; its journal stays as a record.

    It is called purged before the first file goes: a purge that is killed
    leaves halves, which no user must put back. What a process of this host has
    open stays on NFS, and is among the failures; a later purge goes on. Raises Refused
    for a run that did not come to its end, and for one of another cache.
    """
    run_fd = quarantine.open_run(run_id)
    try:
        journal = read_journal(run_fd)
        if journal is None and was_begun(run_fd):
            # It may be one that did not come to its end: what it moved may be in use.
            why = "it can't be read, so nothing of the run is deleted"
            return Removed(failures=[("its journal", why)])
        if journal is not None and not journal.concerns(cache):
            raise _of_another_cache(run_id, journal, cache)
        if journal is not None and journal.state not in SETTLED:
            raise Refused(
                f"run {run_id} in {quarantine.path} can't be deleted: "
                + _unfinished(earlier=not journal.is_of(cache))
            )
        quarantine.fence(batch=True)
        tells = journal is not None and journal.state in _RESTORABLE and _holds(run_fd, journal)
        noted = tells and _note_purged(run_fd)
        removed = remove_tree(run_fd, _PURGING, device=quarantine.device)
        one = remove_tree(run_fd, ENTRIES, device=quarantine.device)
        if tells and not noted:
            _note_purged(run_fd)
        still_open = [*removed.still_open, *one.still_open]
        return Removed(
            removed.files + one.files,
            removed.allocated_bytes + one.allocated_bytes,
            [*removed.failures, *one.failures, *kept_open(still_open)],
            still_open,
        )
    finally:
        os.close(run_fd)


def _note_purged(run_fd: int) -> bool:
    """Note that a run is purged; where there is no room for a line, put its entries out of reach.

    Returns whether the line was written. A rename needs no room.
    """
    try:
        _note(run_fd, RunState.PURGED)
    except OSError as error:
        if not is_full(error):
            raise
        try:
            os.rename(ENTRIES, _PURGING, src_dir_fd=run_fd, dst_dir_fd=run_fd)
        except FileNotFoundError:
            pass
        return False
    return True


def purge_due(
    quarantine: QuarantineFolder,
    cache: CacheIdentity,
    keep: timedelta,
    moment_ns: int,
    seconds: float | None = None,
    *,
    trials: Trials | None = None,
) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Delete what settled runs older than ``keep`` moved.

    Returns the ids of those that are gone, and what could not be deleted: (path, why).
    ``moment_ns`` is now, by a clock that can't be set forward. After
    ``seconds`` no further run is begun. What is on trial stays so.
    """
    purged: list[str] = []
    left: list[tuple[str, str]] = []
    begun = time.monotonic()
    for run in list(list_runs(quarantine, cache, trials)):
        if seconds is not None and time.monotonic() - begun > seconds:
            break
        begun_ns = parse_rfc3339(run.begun_at)
        if begun_ns is None:
            # A damaged journal: how old it is can't be told, so it stays.
            continue
        age_ns = moment_ns - begun_ns
        if run.state in SETTLED and run.holds and age_ns > nanoseconds(keep):
            failures = purge(quarantine, cache, run.run_id).failures
            left += [(f"run {run.run_id}: {path}", why) for path, why in failures]
            if not failures:
                purged.append(run.run_id)
        elif run.state in SETTLED and not (run.holds or run.on_trial) and age_ns > _HISTORY_NS:
            left += undeleted(remove_tree(quarantine.fd, run.run_id, device=quarantine.device))
    return tuple(purged), left


def runs_due(
    quarantine: QuarantineFolder,
    cache: CacheIdentity,
    age: timedelta,
    moment_ns: int,
    *,
    on_trial_too: bool = False,
) -> tuple[str, ...]:
    """Return the settled runs older than ``age`` that hold something; or all, ``on_trial_too``.

    ``moment_ns`` is now, by a clock that can't be set forward.
    """
    found = []
    for run in list_runs(quarantine, cache):
        begun_ns = parse_rfc3339(run.begun_at)
        old = begun_ns is not None and moment_ns - begun_ns > nanoseconds(age)
        if run.state in SETTLED and old and (run.holds or on_trial_too):
            found.append(run.run_id)
    return tuple(found)


def discard_empty(quarantine: QuarantineFolder, run_id: str) -> None:
    """Drop a settled run that holds nothing; any other stays as it is.

    Only empty folders are removed before the journal goes: should something
    unforeseen still lie there, it must not be lost.
    """
    try:
        run_fd = quarantine.open_run(run_id)
    except NotACache:
        return
    try:
        journal = read_journal(run_fd)
        settled = not was_begun(run_fd) if journal is None else journal.state in SETTLED
        if settled and remove_empty_folders(run_fd, ENTRIES):
            remove_tree(quarantine.fd, run_id, device=quarantine.device)
    finally:
        os.close(run_fd)


def remove_empty_folders(parent_fd: int, name: str) -> bool:
    """Remove a tree of folders that hold no file; whether it is gone."""
    try:
        fd = open_directory(name, parent_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        gone = [remove_empty_folders(fd, child) for child in os.listdir(fd)]
    finally:
        os.close(fd)
    if not all(gone):
        return False
    try:
        os.rmdir(name, dir_fd=parent_fd)
    except OSError:
        # Something came in at the last moment.
        return False
    return True


def _note(run_fd: int, state: RunState, **details: Any) -> None:
    writer = JournalWriter(run_fd)
    try:
        writer.state(state, rfc3339(now_ns()), **details)
    finally:
        writer.close()


def _holds(run_fd: int, journal: Journal) -> bool:
    """Whether anything a run moved still lies there; the empty parents do not count."""
    if _exists(run_fd, _PURGING):
        return True
    try:
        fd = open_directory(ENTRIES, run_fd)
    except OSError:
        return False
    try:
        return any(_exists(fd, entry["path"]) for entry in journal.moved_entries)
    finally:
        os.close(fd)


def _exists(root_fd: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=root_fd, follow_symlinks=False)
    except OSError:
        return False
    return True


def _on_trial(run_id: str, trials: Trials | None) -> tuple[Trial, ...]:
    if trials is None:
        return ()
    return tuple(trial for trial in trials.current() if trial.run_id == run_id)


def _run(
    run_id: str,
    journal: Journal,
    holds: bool,
    trials: Trials | None,
    cache: CacheIdentity | None,
) -> Run:
    on_trial = _on_trial(run_id, trials)
    springs = () if trials is None else trials.ledger.springs
    halfway = journal.state is RunState.PURGED and holds
    return Run(
        run_id=run_id,
        state=RunState.PURGING if halfway else journal.state,
        begun_at=str(journal.run.get("begun_at", "")),
        host=str(journal.run.get("host", "")),
        policy=str(journal.run.get("policy", "")),
        entries=tuple(journal.moved_entries),
        restorable=(holds and journal.state in _RESTORABLE)
        or (bool(on_trial) and journal.state in SETTLED),
        holds=holds,
        on_trial=on_trial,
        came_back=tuple(spring for spring in springs if spring.run_id == run_id),
        of_earlier_cache=cache is not None and not journal.is_of(cache),
    )
