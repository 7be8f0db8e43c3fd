"""The trials of one cache: put on trial, watch, bring back, end.

Everything that changes something needs the run lock. The disk says what is on
trial, the ledger since when; a ledger that can't be written stops no run from
bringing an entry back.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cacheadmin.errors import Refused
from cacheadmin.evidence.steady_time import host_time
from cacheadmin.fs.removal import Removed
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.absences import with_absences
from cacheadmin.trial.blindness import blindness
from cacheadmin.trial.folder import (
    TrialFolder,
    existing_trial_folder,
    remove_trial_folder,
    trial_folder,
)
from cacheadmin.trial.kin import kin_of
from cacheadmin.trial.ledger import HostLook, Ledger, Spring, Trial, read_ledger, write_ledger
from cacheadmin.trial.prune_exclusion import prunes_kept_out
from cacheadmin.trial.tripwires import SeenTripwire, Tripwires, TripwireStanding, open_content
from cacheadmin.trial.verdicts import judge, moment_of, paused, prolonged, uncounted_ns
from cacheadmin.trial.ways_back import has_way_back, look_at_ways_back
from cacheadmin.uv.layout import ARCHIVES, is_content_made_id
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.trial.absences import Absence

# Tripwires that no environment knows, spread over the folder's order by chance.
_DECOYS = 3
_DECOY_LENGTH = 21

# What came back stays in the record for as long as journals of runs do.
_HISTORY_NS = 366 * 86_400 * NANOSECONDS

# The moment of the last look is written down at least so often.
_NOTE_LOOKS_NS = 600 * NANOSECONDS

Shield = Callable[[Iterable[str]], str]
Who = Callable[[Sequence[str]], Mapping[str, tuple[str, ...]]]


@frozen
class Rules:
    """What the policy says of trials."""

    lasts_ns: int
    """How long a trial lasts (ns)."""

    unseen_ns: int = 0
    """For how long (ns) lookups may be unseen after a link is planted or set back.

    Clients of a network filesystem answer them from memory.
    """

    complete: bool = False
    """Whether the policy says that every user of the cache is known (``venvs.complete``).

    Silence then counts also where no use could have been seen.
    """


@frozen
class Watched:
    """What one look at all tripwires found and did."""

    springs: tuple[Spring, ...] = ()
    """Entries that came back, kin included."""

    doubtful: frozenset[str] = frozenset()
    """Tripwires that sprang together with a decoy, and were set back."""

    stuck: tuple[tuple[str, str], ...] = ()
    """Entries that should have come back and could not: (entry, why)."""

    foreign: Mapping[str, str] = field(default_factory=dict)
    """Entries in whose place something foreign stands, each with what it is."""

    emptied: frozenset[str] = frozenset()
    """Entries that were deleted while they were on trial, and not by us."""

    blind: str = ""
    """Why silence proves nothing now; empty where it does prove disuse."""

    undeleted: tuple[tuple[str, str], ...] = ()
    """What is left of entries whose trials ended earlier: (path in our folder, why)."""


@dataclass(slots=True)
class Ended:
    """What became of trials that were to end."""

    deleted: list[Trial] = field(default_factory=list)
    """Trials whose entries are deleted for good."""

    came_back: list[str] = field(default_factory=list)
    """Entries that sprang at the last moment, and are back."""

    stuck: list[tuple[str, str]] = field(default_factory=list)
    """(entry, why it could not be ended)."""

    removed: Removed = field(default_factory=Removed)
    """What the deletion did."""


class Trials:
    """The trials of one cache, with our folder held open."""

    def __init__(self, cache: OpenCache, folder: TrialFolder) -> None:
        self.cache = cache
        # Plants roots for entries, so that users' prunes leave them; returns why not, or "".
        self.shield: Shield | None = None
        # Asked before every move: it raises where this run must stop.
        self.fence: Callable[[], None] | None = None
        # What this host's kernel has counted, whatever its clock says.
        self.here: Callable[[], HostTime] = host_time
        # Whether decoys may go with the last entry that is put back (``trial.prune_exclusion``).
        self.drops_decoys = True
        self.folder = folder
        self.tripwires = Tripwires(folder)
        self.ledger = read_ledger(folder)

    def close(self) -> None:
        """Let everything go but the folder."""
        self.tripwires.close()

    # What is there

    def entries(self) -> list[str]:
        """Return the entries on trial, decoys left out, sorted."""
        return [one for one in self.tripwires.entries() if one not in self.ledger.decoys]

    def current(self) -> list[Trial]:
        """Return the trial of every entry that is on trial, the longest first."""
        unknown = Trial("", "", 0, 0)
        found = [
            self.ledger.trials.get(entry, replace(unknown, entry=entry)) for entry in self.entries()
        ]
        return sorted(found, key=lambda one: (one.since_ns, one.entry))

    def used_since(self, moment_ns: int, *, by_way_back_ns: int) -> dict[str, int]:
        """Return what came back and was used since a moment, each with when (ns since the epoch).

        ``by_way_back_ns``: since when, of entries that a way back leads to, or may lead to.
        """
        return {
            entry: one.at_ns
            for entry, one in self.ledger.uses_since(min(moment_ns, by_way_back_ns)).items()
            if one.at_ns >= moment_ns or self._may_have_way_back(entry)
        }

    def _may_have_way_back(self, entry: str) -> bool:
        try:
            return has_way_back(self.folder, entry)
        except OSError:
            return True

    def look(self) -> list[SeenTripwire]:
        """Look at everything in our folder, decoys too; changes nothing."""
        return [self.tripwires.look(entry) for entry in self.tripwires.entries()]

    # On trial

    def prepare(self, trials: Iterable[Trial], moment_ns: int) -> dict[str, str]:
        """Get ready to plant, before uv's lock is taken; return what can't be: entry to why.

        Raises OSError where nothing can be written at all.
        """
        if not self.entries():
            # Else the look before this has told.
            hidden = bool(blindness(self.folder, self.cache.identity))
            self.ledger = replace(self.ledger, blind=hidden)
        self._plant_decoys(moment_ns)
        ready: list[Trial] = []
        failed: dict[str, str] = {}
        for trial in trials:
            try:
                inode = self.tripwires.prepare(trial.entry, moment_ns)
            except OSError as error:
                failed[trial.entry] = f"no tripwire could be made: {error.strerror}"
            else:
                ready.append(replace(trial, link_inode=inode))
        if ready and self.shield is not None:
            # Before the first exchange: a prune may come at any moment.
            problem = self.shield([*(one.entry for one in ready), *self.ledger.decoys])
            if problem:
                failed.update((one.entry, problem) for one in ready)
                for one in ready:
                    self.tripwires.forget(one.entry)
                ready = []
        self.ledger = replace(
            self.ledger.with_trials(ready),
            rooted=self.ledger.rooted | {trial.entry for trial in ready},
        )
        if self.ledger.looked_ns is None:
            # The first time is counted from here.
            self.ledger = self._looked(moment_ns, self.here())
        self._write()
        return failed

    def plant(self, entry: str) -> None:
        """Put a prepared entry on trial, in one step where the filesystem can. Raises OSError."""
        self.tripwires.plant(entry)

    def unprepare(self, entries: Iterable[str]) -> None:
        """Forget entries that were prepared and not planted."""
        gone = [entry for entry in entries if not self.tripwires.holds(entry)]
        for entry in gone:
            # One that was planted, and deleted since by a user's prune, leaves its tripwire.
            self.tripwires.put_back(entry)
        self.ledger = self.ledger.without(gone)
        self._drop_idle_decoys()
        self._try_write()

    # Back

    def put_back(
        self, entries: Iterable[str], *, drop_decoys: bool = True, used: bool = False
    ) -> list[tuple[str, str]]:
        """Put entries back in their places, as if nothing had been; return (entry, why not).

        What is not in our folder needs nothing. With ``drop_decoys``, which only who holds the
        cache's lock asks for, decoys go with the last entry; else with the next look. Of what is
        ``used`` a process may know the place on trial, which goes on leading to it.
        """
        stuck, back = [], []
        for entry in entries:
            self._require_turn()
            problem = self.tripwires.put_back(entry, used=used)
            if problem:
                stuck.append((entry, problem))
            else:
                back.append(entry)
        self.ledger = self.ledger.without(back)
        if drop_decoys and self.drops_decoys:
            self._drop_idle_decoys()
        self._try_write()
        return stuck

    def bring_back(
        self, entries: Mapping[str, str], moment_ns: int, who: Who
    ) -> tuple[tuple[Spring, ...], list[tuple[str, str]]]:
        """Put back what is in use, with its kin; return what came back, and (entry, why not).

        ``entries`` maps each to a word of ``ledger.Spring.why``.
        """
        on_trial = self.entries()
        # A user who is known is seen as a whole; of a stranger only a part is.
        used = [entry for entry, why in entries.items() if why == "sprung"]
        of_known = [entry for entry, why in entries.items() if why != "sprung"]
        kin = kin_of(self.folder, used, on_trial, of_known)
        words = {**dict.fromkeys(kin, "kin"), **entries}
        known = who(list(entries)) if entries else {}
        springs = []
        for entry, why in words.items():
            trial = self.ledger.trials.get(entry)
            seen = self.tripwires.look(entry)
            at_ns = seen.accessed_ns if seen.accessed_ns is not None else moment_ns
            names = (kin[entry],) if why == "kin" else tuple(known.get(entry, ()))
            # Never later than now, whatever a user gave his link.
            at_ns = min(at_ns, moment_ns) if why == "sprung" else moment_ns
            springs.append(Spring(entry, trial.run_id if trial else "", at_ns, why, names))
        there = set(on_trial)
        stuck = self.put_back(list(words), drop_decoys=False, used=True)
        kept = {entry for entry, _ in stuck}
        back = tuple(
            spring
            for spring in springs
            if spring.entry not in kept and (spring.entry in there or spring.why == "linked")
        )
        self.ledger = replace(self.ledger, springs=(*self.ledger.springs, *back))
        self._try_write()
        return back, stuck

    # Watching

    def watch(self, clock: Callable[[], int], rules: Rules, who: Who) -> Watched:
        """Look at all tripwires, bring back what was used, and mend what users' prunes left.

        ``clock`` tells the time (ns).
        """
        before = self.ledger
        here = self.here()

        def now() -> int:
            return moment_of(before, clock(), here)

        seen = self.look()
        self._adopt(seen, now(), rules)
        known = {one.entry for one in seen}
        lost = set(self.ledger.trials).union(self.ledger.decoys) - known
        judgement = judge(seen, self.ledger.decoys)
        springs, stuck = self.bring_back(judgement.used, now(), who)
        for entry in judgement.doubtful:
            self.tripwires.set_back(entry)
        self._note_ways_back(before, now())
        uncounted = set(judgement.doubtful)
        blind = ""
        if self.entries():
            blind = blindness(self.folder, self.cache.identity)
            # What hid lookups at the last look did so for some time after it, too.
            if (blind or before.blind) and not rules.complete:
                uncounted.update(self.entries())
        self.ledger = replace(self.ledger, blind=bool(blind))
        moment_ns = now()
        counted = set(self.entries()) - uncounted
        lost_ns = uncounted_ns(before, moment_ns, here)
        self.ledger = self.ledger.with_trials(
            (
                *paused(self.ledger, counted, lost_ns, moment_ns),
                *prolonged(self.ledger, uncounted, moment_ns + rules.unseen_ns, rules.lasts_ns),
            )
        )
        emptied = self._clear(lost)
        self._renew_decoys(seen, moment_ns)
        self._note_look(before, moment_ns, here)
        return Watched(
            springs,
            judgement.doubtful - self.ledger.decoys,
            tuple(stuck),
            judgement.foreign,
            emptied,
            blind,
        )

    def _note_ways_back(self, before: Ledger, moment_ns: int) -> None:
        """Remember what was used by its place on trial since the last look."""
        seen = look_at_ways_back(self.folder)
        uses = {entry: min(at_ns, moment_ns) for entry, at_ns in seen.used.items()}
        last = {one.entry: one.at_ns for one in before.springs if one.is_use}
        # Whether there was a use is not known: until now no time has passed.
        passed_ns = max(0, moment_ns - (before.looked_ns or 0))
        for entry in seen.doubtful:
            uses[entry] = min(last.get(entry, moment_ns) + passed_ns, moment_ns)
        self.ledger = self.ledger.used_again(uses)

    def note_absences(
        self, absences: Iterable[Absence], now_ns: int, lasts_ns: int, by: str
    ) -> str:
        """Remember whose users can't come now; return why no trial ends for their sake, or nothing.

        ``lasts_ns``: how long a trial lasts. ``by``: who looks, as ``policy ml-team of node1``.
        """
        before = self.ledger
        self.ledger, why = with_absences(before, absences, now_ns, lasts_ns, by)
        if self.ledger != before:
            self._try_write()
        return why

    def mend(self) -> Removed:
        """Clear what a kill left: unused links, and the rest of what was being deleted.

        So goes a tripwire that leads nowhere and that no record knows; of one with a
        record the next look tells.
        """
        self.tripwires.discard_prepared()
        self._clear_unrecorded()
        return self.tripwires.delete_condemned()

    def _clear_unrecorded(self) -> None:
        recorded = self.ledger.decoys | self.ledger.trials.keys()
        for entry in self.tripwires.leading_nowhere():
            if entry not in recorded:
                self.tripwires.put_back(entry)

    def note_roots(self) -> None:
        """Remember that no roots but those of what is on trial now were planted for trials.

        Where nothing is on trial, and nothing to be remembered, our folder goes.
        """
        with suppress(OSError):
            # Of what this run has removed, or put on trial again.
            self.tripwires.mend_ways_back()
        entries = self.tripwires.entries()
        if not entries and not self.ledger.springs:
            with prunes_kept_out(self.cache, 0.0) as alone, suppress(OSError):
                if alone:
                    # Else, or where it can't go now, it goes another time.
                    self._clear_unrecorded()
                    remove_trial_folder(self.folder)
            return
        self.ledger = replace(self.ledger, rooted=frozenset(entries))
        self._try_write()

    # The end

    def moment(self, clock_ns: int) -> int:
        """Return a time of the clock (ns), without what it was set by since this host's last look.

        Trials begin and are over by this time.
        """
        return moment_of(self.ledger, clock_ns, self.here())

    def end(self, entries: Sequence[str], wait_seconds: float, lock_seconds: float = 0.0) -> Ended:
        """Delete entries for good, in two steps; what springs at the last moment comes back.

        ``wait_seconds`` lie between the steps. For ``lock_seconds`` a prune of uv's own is
        waited for; while it goes on, nothing ends.
        """
        done = Ended()
        # What has nothing at its place now.
        left: dict[str, None] = {}
        try:
            with prunes_kept_out(self.cache, lock_seconds) as alone:
                if not alone:
                    why = "another prune has the cache's lock"
                    done.stuck += [(entry, why) for entry in entries]
                    return done
                for entry in entries:
                    self._require_turn()
                    left[entry] = None
                    if problem := self.tripwires.take_away(entry):
                        del left[entry]
                        done.stuck.append((entry, problem))
            if left:
                time.sleep(wait_seconds)
            sprung = [entry for entry in left if not self.tripwires.stayed_silent(entry)]
            # Of a stranger's environment, in which one of them is, none may go.
            kin = kin_of(self.folder, sprung, left)
            for entry in [one for one in left if one not in kin]:
                if self._end_one(entry, done):
                    del left[entry]
            self.ledger = self.ledger.without([one.entry for one in done.deleted])
            if done.came_back:
                self._bring_back_sprung(done)
            for entry in kin:
                # It has come back with them, if what is kin has not changed meanwhile.
                self.tripwires.restore_way(entry)
        except BaseException:
            # Nothing leads to these, and it may be long until the next look. Whose turn is over
            # may not touch them, and raises that.
            if left:
                self._require_turn()
            for entry in left:
                self.tripwires.restore_way(entry)
            raise
        with prunes_kept_out(self.cache, 0.0) as alone:
            if alone:
                # Else the next look drops them.
                self._drop_idle_decoys()
        self._try_write()
        done.removed = self.tripwires.delete_condemned()
        return done

    def _end_one(self, entry: str, done: Ended) -> bool:
        """Take the second step of the end of one entry; False where it has to come back."""
        if not self.tripwires.stayed_silent(entry):
            done.came_back.append(entry)
            return False
        self._require_turn()
        try:
            self.tripwires.condemn(entry)
        except OSError as error:
            done.stuck.append((entry, error.strerror or type(error).__name__))
            self.tripwires.put_back(entry)
        else:
            done.deleted.append(self.ledger.trials.get(entry, Trial(entry, "", 0, 0)))
        return True

    def _bring_back_sprung(self, done: Ended) -> None:
        """Put back what sprang at the last moment, with its kin."""
        springs, stuck = self.bring_back(
            dict.fromkeys(done.came_back, "sprung"), time.time_ns(), nobody_named
        )
        done.came_back = [spring.entry for spring in springs]
        done.stuck += stuck

    # What these are made of

    def _looked(self, moment_ns: int, here: HostTime) -> Ledger:
        looks = {**self.ledger.looks, here.host: HostLook(moment_ns, here)}
        return replace(self.ledger, looked_ns=moment_ns, looks=looks)

    def _require_turn(self) -> None:
        if self.fence is not None:
            self.fence()

    def _adopt(self, seen: Iterable[SeenTripwire], moment_ns: int, rules: Rules) -> None:
        """Begin the trial of what has no record, or another link than the recorded one.

        Decoys without a record are known by their emptiness.
        """
        until_ns = moment_ns + rules.lasts_ns + rules.unseen_ns
        decoys, trials = set(self.ledger.decoys), []
        for one in seen:
            known = self.ledger.trials.get(one.entry)
            if one.entry in decoys:
                continue
            if known is None and self._is_empty(one.entry):
                decoys.add(one.entry)
            elif known is None or one.link_inode not in (None, known.link_inode):
                trial = known or Trial(one.entry, "", moment_ns, until_ns)
                trials.append(
                    replace(
                        trial,
                        since_ns=moment_ns,
                        until_ns=until_ns,
                        link_inode=one.link_inode,
                        discounted_ns=rules.unseen_ns,
                    )
                )
        self.ledger = replace(self.ledger.with_trials(trials), decoys=frozenset(decoys))

    def _is_empty(self, entry: str) -> bool:
        try:
            fd = open_content(self.folder, entry)
        except OSError:
            return False
        try:
            return not os.listdir(fd)
        finally:
            os.close(fd)

    def _clear(self, lost: Iterable[str]) -> frozenset[str]:
        """Forget what is not in our folder, with its link; return what another process deleted."""
        emptied = set()
        for entry in lost:
            if self.tripwires.stands_empty(entry):
                emptied.add(entry)
            self.tripwires.put_back(entry)
        self.ledger = self.ledger.without(lost)
        return frozenset(emptied)

    def _plant_decoys(self, moment_ns: int) -> None:
        while len(self.ledger.decoys) < _DECOYS:
            decoy = f"{ARCHIVES}/{_unguessable()}"
            # Remembered first: one that is not there is forgotten by the next look.
            self.ledger = replace(
                self.ledger,
                decoys=self.ledger.decoys | {decoy},
                rooted=self.ledger.rooted | {decoy},
            )
            self._write()
            self.tripwires.plant_decoy(decoy, moment_ns)

    def _renew_decoys(self, seen: Iterable[SeenTripwire], moment_ns: int) -> None:
        if not self.entries():
            with prunes_kept_out(self.cache, 0.0) as alone:
                if alone:
                    self._drop_decoys()
            return
        lost = [
            one.entry
            for one in seen
            if one.entry in self.ledger.decoys
            and one.standing not in (TripwireStanding.SILENT, TripwireStanding.SPRUNG)
        ]
        self.ledger = self.ledger.without(
            [decoy for decoy in lost if self.tripwires.remove_decoy(decoy)]
        )
        if self.shield is None:
            return
        try:
            self._plant_decoys(moment_ns)
            self.shield(self.ledger.decoys)
        except OSError:
            # No room for one: then a walk may be taken for a use, which keeps more.
            pass

    def _drop_idle_decoys(self) -> None:
        # Prepared trials are in the ledger already, and not yet in our folder.
        if not self.ledger.trials and not self.entries():
            self._drop_decoys()

    def _drop_decoys(self) -> None:
        left = [one for one in self.ledger.decoys if not self.tripwires.remove_decoy(one)]
        self.ledger = replace(self.ledger, decoys=frozenset(left))

    def _note_look(self, before: Ledger, moment_ns: int, here: HostTime) -> None:
        oldest_ns = moment_ns - _HISTORY_NS
        springs = tuple(one for one in self.ledger.springs if one.at_ns >= oldest_ns)
        after = replace(self.ledger, springs=springs)
        stale = before.looked_ns is None or abs(moment_ns - before.looked_ns) > _NOTE_LOOKS_NS
        if after != before or stale:
            self.ledger = after
            self.ledger = self._looked(moment_ns, here)
            self._try_write()

    def _write(self) -> None:
        write_ledger(self.folder, self.ledger)

    def _try_write(self) -> None:
        try:
            self._write()
        except OSError:
            # A full disk: what is not remembered keeps more.
            pass


@contextmanager
def existing_trials(cache: OpenCache) -> Iterator[Trials | None]:
    """Open the trials of a cache for looking; None where nothing was ever on trial.

    Raises Refused where something that is not ours has our folder's name.
    """
    with existing_trial_folder(cache) as folder:
        if folder is None:
            yield None
            return
        trials = Trials(cache, folder)
        try:
            yield trials
        finally:
            trials.close()


@contextmanager
def trials_or_none(cache: OpenCache) -> Iterator[Trials | None]:
    """Open the trials of a cache where there are any; None also where our folder isn't ours."""
    with ExitStack() as stack:
        try:
            trials = stack.enter_context(existing_trials(cache))
        except Refused:
            trials = None
        yield trials


@contextmanager
def open_trials(cache: OpenCache) -> Iterator[Trials]:
    """Open the trials of a cache, making our folder where it is missing. Raises Refused."""
    try:
        with trial_folder(cache) as folder:
            trials = Trials(cache, folder)
            try:
                yield trials
            finally:
                trials.close()
    except OSError as error:
        raise Refused(
            f"nothing can be put on trial in the cache: {error.strerror}",
            hint="run it as root or as the cache's owner, or set prune.trial: never",
        ) from None


def nobody_named(_entries: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Name no process: for callers that don't look at processes."""
    return {}


def _unguessable() -> str:
    while True:
        name = base64.urlsafe_b64encode(os.urandom(32)).decode()[:_DECOY_LENGTH]
        if not is_content_made_id(name):
            return name
