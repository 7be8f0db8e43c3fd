"""What silence and springs prove. Pure: what was seen, what is remembered, what follows.

- A tripwire that sprang, and no decoy with it: a user uses the entry. It comes
  back, and counts as used from then on.
- One that sprang together with a decoy: something walked the whole folder, a
  backup, an indexer, a prune of uv's. It may hide a use, and may be none: the
  tripwire is set back, and the time since the last look does not count.
- A tripwire that was removed, or an entry that lies in our folder without
  one: a process may have missed it, unseen. The entry comes back.
- Something foreign in its place: the entry stays in our folder for as long as
  it takes; people are told.
- Silence counts only where, and for as long as, the kernel could have told: not
  on a filesystem that keeps no access times, nor while a process sees the cache
  through a mount that keeps none. That time does not count either, from the look before
  it was found so to the look after; where the site vouches that every user is known
  (``venvs.complete``), it does.
- A machine that is switched off or asleep has no users. Of the time between two
  looks counts what it ran. How long it ran before its last boot is not known: a
  day of it counts, so that machines which are switched off every night end
  their trials too. Where several hosts look, none counts more than it ran since
  its own last look: the clock of any of them may be wrong.

A trial is over when its silence has lasted until ``until_ns``; every stretch of
time that does not count moves that moment by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.steady_time import TOLERANCE_NS
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.tripwires import SeenTripwire, TripwireStanding
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.trial.ledger import HostLook, Ledger, Trial

# So much of the time between a look and the boot after it counts.
_UNKNOWN_RUN_NS = 86_400 * NANOSECONDS

# The wall clock is slewed by NTP, the kernel's count is not.
_DRIFT_NS = 60 * NANOSECONDS


@frozen
class Judgement:
    """What follows from one look at all tripwires."""

    used: Mapping[str, str]
    """Entries that come back, each with why: ``sprung`` or ``taken``."""

    doubtful: frozenset[str]
    """Tripwires to set back: they sprang with a decoy."""

    foreign: Mapping[str, str]
    """Entries with something foreign in their place, each with what it is."""

    emptied: frozenset[str]
    """Entries that were deleted while they were on trial, and not by us."""

    walked: bool
    """Whether a process walked the whole folder: a decoy sprang."""


def judge(seen: Iterable[SeenTripwire], decoys: frozenset[str]) -> Judgement:
    """Return what follows from a look; ``seen`` has the decoys among the rest."""
    everything = tuple(seen)
    walked = any(
        one.entry in decoys and one.standing is TripwireStanding.SPRUNG for one in everything
    )
    used: dict[str, str] = {}
    doubtful: set[str] = set()
    for one in everything:
        if one.standing is TripwireStanding.SPRUNG and walked:
            doubtful.add(one.entry)
        elif one.entry in decoys:
            continue
        elif one.standing is TripwireStanding.SPRUNG:
            used[one.entry] = "sprung"
        elif one.standing is TripwireStanding.TAKEN:
            used[one.entry] = "taken"
    return Judgement(
        used,
        frozenset(doubtful),
        {one.entry: one.what for one in everything if one.standing is TripwireStanding.FOREIGN},
        frozenset(one.entry for one in everything if one.standing is TripwireStanding.EMPTY),
        walked,
    )


def prolonged(
    ledger: Ledger, entries: Iterable[str], now_ns: int, trial_ns: int
) -> tuple[Trial, ...]:
    """Return the trials of entries whose time since the last look does not count.

    ``now_ns`` is a moment after the tripwires were set back. Without an earlier
    look the whole trial begins again.
    """
    found = []
    for entry in entries:
        trial = ledger.trials.get(entry)
        if trial is None:
            continue
        seen_ns = trial.since_ns
        if ledger.looked_ns is not None:
            seen_ns = max(seen_ns, ledger.looked_ns)
        unwatched_ns = now_ns - seen_ns
        # A clock that was set back tells nothing: all of it again.
        lost_ns = unwatched_ns if unwatched_ns >= 0 else trial_ns
        found.append(
            replace(
                trial,
                until_ns=trial.until_ns + lost_ns,
                discounted_ns=trial.discounted_ns + lost_ns,
            )
        )
    return tuple(found)


def moment_of(ledger: Ledger, clock_ns: int, here: HostTime) -> int:
    """Return the time (ns) of a look, by the clock and what the kernel has counted since the last.

    Within one boot a clock that was set, forward or back, moves no trial.
    """
    own = ledger.looks.get(here.host)
    if own is None or own.host.boot != here.boot:
        return clock_ns
    steady_ns = own.at_ns + here.uptime_ns - own.host.uptime_ns
    return steady_ns if abs(clock_ns - steady_ns) > TOLERANCE_NS else clock_ns


def uncounted_ns(ledger: Ledger, now_ns: int, here: HostTime) -> int:
    """Return how much of the time since the last look does not count (ns).

    No more counts than this host ran since its own last look, though others have looked
    since: hosts' clocks may differ by years. A host that never looked counts nothing yet.
    A job in a container has another name each night; its kernel tells that it is this machine.
    """
    looked_ns, own = ledger.looked_ns, _own_look(ledger, here)
    if looked_ns is None:
        looked_ns = min((one.since_ns for one in ledger.trials.values()), default=now_ns)
    if own is None:
        ran_ns = 0
    elif own.host.boot == here.boot:
        ran_ns = max(0, here.running_ns - own.host.running_ns)
    else:
        ran_ns = here.running_ns + _UNKNOWN_RUN_NS
    lost_ns = now_ns - looked_ns - ran_ns
    return lost_ns if lost_ns > _DRIFT_NS else 0


def _own_look(ledger: Ledger, here: HostTime) -> HostLook | None:
    """Return this machine's last look: in this boot, under whatever name, or else by its name."""
    same = [one for one in ledger.looks.values() if one.host.boot == here.boot]
    last = ledger.looks.get(here.host)
    return max(same, key=lambda one: one.host.running_ns, default=last)


def paused(ledger: Ledger, entries: Iterable[str], lost_ns: int, now_ns: int) -> tuple[Trial, ...]:
    """Return the trials of entries without ``lost_ns`` of the time until now.

    One that began later has lost no more than its own time. A clock that was set back
    moves no trial: another host, or the next boot, may know the true time again, and that
    must not end what began a moment ago.
    """
    found = []
    for entry in entries:
        trial = ledger.trials.get(entry)
        if trial is None:
            continue
        if (lost := min(lost_ns, now_ns - trial.since_ns)) > 0:
            later_ns, more_ns = trial.until_ns + lost, trial.discounted_ns + lost
            found.append(replace(trial, until_ns=later_ns, discounted_ns=more_ns))
    return tuple(found)


def over(ledger: Ledger, silent: Iterable[str], now_ns: int) -> tuple[Trial, ...]:
    """Return the trials that silence has ended, the longest first. A decoy has no trial."""
    due = [ledger.trials[entry] for entry in silent if entry in ledger.trials]
    return tuple(
        sorted(
            (trial for trial in due if now_ns >= trial.until_ns),
            key=lambda trial: (trial.since_ns, trial.entry),
        )
    )


def ended_early(
    silent: Iterable[Trial],
    now_ns: int,
    at_least_ns: int,
    lacks: Callable[[Sequence[Trial]], bool],
) -> tuple[Trial, ...]:
    """Return silent trials that pressure ends before their time, the longest first.

    ``lacks`` tells whether something is still lacking after some have ended.
    None ends that has not lasted ``at_least_ns`` of time that counts.
    """
    chosen: list[Trial] = []
    for trial in sorted(silent, key=lambda one: (one.since_ns, one.entry)):
        if not lacks(chosen):
            break
        if now_ns - trial.since_ns - trial.discounted_ns >= at_least_ns:
            chosen.append(trial)
    return tuple(chosen)
