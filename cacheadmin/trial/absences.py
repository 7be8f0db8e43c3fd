"""Places whose users can't come now: what their silence proves, and for how long. Pure.

A host that tells nothing may be switched off, a home or a disk may be away for
weeks. No user there can spring a tripwire, so no trial ends meanwhile, and that
time does not count. A host counts until it tells, or is forgotten. A
home or an environment that was away for as long as a trial lasts is taken for
gone: else one old record would keep all trials from ending. A program that runs from
an environment which no source knows has looked up long ago what it needs: while it runs its
silence proves nothing, however long that is.

Several policies, and hosts with a state of their own, may prune one cache, and not each
knows of each place. What one of them waits for, none of them ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import GapKind
from cacheadmin.trial.verdicts import paused
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.evidence.observations import Observation
    from cacheadmin.trial.ledger import Ledger

_SILENT_HOSTS = frozenset({"hosts.missing", "hosts.stale", "hosts.clock"})

# What is waited for without end: it is there, and known to be.
_WITHOUT_END = _SILENT_HOSTS | {"environments.unknown"}

# A place whose users may be back, although the site's word closes it.
_AWAY = frozenset({"homes.away", "search.away"})

# So many places are remembered one by one; one account can name a million.
_REMEMBERED = 1000
_REMEMBERED_OF_OTHERS = 10_000

# Between who looked, and the place.
_OF = "\t"


@frozen
class Absence:
    """A place whose users can't come now."""

    place: str
    """What tells it from every other place, the same in each run."""

    words: str
    """What is absent, and what to do: a clause for people."""

    since_ns: int
    """Since when (ns since the epoch), as far as it is known."""

    returns: bool
    """Whether it is waited for without end: a host, a program that runs.

    Else it is taken for gone in the end.
    """


def absences_of(
    gaps: Iterable[Gap], hosts: Iterable[Observation], now_ns: int
) -> tuple[Absence, ...]:
    """Return whose users can't come now, by the open gaps of a look and what hosts told.

    An environment that only the cache's own records name is none: containers leave
    such records every day.
    """
    told: dict[str, int] = {}
    hosts = tuple(hosts)
    for one in hosts:
        told[one.host] = max(one.at_ns, told.get(one.host, 0))
    found = []
    for gap in gaps:
        host, returns = gap.id in _SILENT_HOSTS, gap.id in _WITHOUT_END
        if not (returns or gap.kind is GapKind.AWAY or gap.id in _AWAY):
            continue
        # A host that never told: never since the trials began.
        since_ns = told.get(gap.host, 0) if host else now_ns
        words = f"{gap.detail} ({gap.fix})"
        found.append(Absence(f"{gap.id} {gap.subject}", words, since_ns, returns=returns))
    found += (one for host in hosts if host.at_ns == told[host.host] for one in _there(host))
    return tuple(found)


def _there(host: Observation) -> Iterator[Absence]:
    """Yield whose users can't come on another host, as that host told it."""
    for gap in host.gaps:
        returns = gap.id in _WITHOUT_END
        if returns or gap.id in _AWAY:
            place = f"{gap.id} {host.host}: {gap.subject}"
            yield Absence(place, f"on host {host.host} {gap.detail}", host.at_ns, returns)


def with_absences(
    ledger: Ledger, absences: Iterable[Absence], now_ns: int, trial_ns: int, by: str = ""
) -> tuple[Ledger, str]:
    """Return what is remembered after a look, and why silence does not count now (or nothing).

    ``by`` is who looks. What another one found absent stays so until that one finds it back, or
    has not looked for as long as a trial lasts: a policy that knows nothing of a place does not
    find it there. When the last of them is back, the time that they were away is added to all
    trials.
    """
    there = sorted(absences, key=lambda one: (not one.returns, one.place))[:_REMEMBERED]
    known = ledger.absent
    mine = {
        one: min(known.get(f"{by}{_OF}{one.place}", now_ns), one.since_ns, now_ns) for one in there
    }
    others = _of_others(ledger, by, now_ns - trial_ns)
    awaited = [
        (one.words, at_ns)
        for one, at_ns in mine.items()
        if one.returns or now_ns - at_ns < trial_ns
    ]
    awaited += [
        (words, at_ns)
        for returns, words, at_ns in map(_described, others.items())
        if returns or (words and now_ns - at_ns < trial_ns)
    ]
    since_ns = ledger.absent_since_ns
    trials = ledger.trials
    if awaited:
        first_ns = min(at_ns for _, at_ns in awaited)
        since_ns = first_ns if since_ns is None else min(since_ns, first_ns)
    elif since_ns is not None:
        back = paused(ledger, ledger.trials, now_ns - since_ns, now_ns)
        trials, since_ns = ledger.with_trials(back).trials, None
    absent = {**others, **{f"{by}{_OF}{one.place}": at_ns for one, at_ns in mine.items()}}
    if mine:
        # When this one looked last.
        absent[f"{by}{_OF}"] = now_ns
    after = replace(ledger, trials=trials, absent=absent, absent_since_ns=since_ns)
    return after, awaited[0][0] if awaited else ""


def _of_others(ledger: Ledger, by: str, oldest_ns: int) -> dict[str, int]:
    """Return what others remember, of those who looked since ``oldest_ns``."""
    looked = {key.partition(_OF)[0] for key, at in ledger.absent.items() if key.endswith(_OF)}
    recent = {one for one in looked if ledger.absent[f"{one}{_OF}"] > oldest_ns} - {by}
    found = [one for one in ledger.absent.items() if one[0].partition(_OF)[0] in recent]
    return dict(found[:_REMEMBERED_OF_OTHERS])


def _described(remembered: tuple[str, int]) -> tuple[bool, str, int]:
    """Return whether a place is waited for without end, words for it, and since when (ns)."""
    key, at_ns = remembered
    by, _, place = key.partition(_OF)
    gap, _, subject = place.partition(" ")
    words = f"{subject} was away when {by} looked last" if place else ""
    return gap in _WITHOUT_END, words, at_ns
