"""Places whose users can't come now: what their silence proves, and for how long. Pure.

A host that tells nothing may be switched off, a home or a disk may be away for
weeks. No user there can spring a tripwire, so no trial ends meanwhile, and that
time does not count. A host counts until it tells, or is forgotten. A
home or an environment that was away for as long as a trial lasts is taken for
gone: else one old record would keep all trials from ending.
"""

from __future__ import annotations

from collections.abc import Iterable
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

# A place whose users may be back, although the site's word closes it.
_AWAY = frozenset({"homes.away", "search.away"})

# So many places are remembered one by one; one account can name a million.
_REMEMBERED = 1000


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
    """Whether it is waited for without end: a host; else it is taken for gone in the end."""


def absences_of(
    gaps: Iterable[Gap], hosts: Iterable[Observation], now_ns: int
) -> tuple[Absence, ...]:
    """Return whose users can't come now, by the open gaps of a look and what hosts told.

    An environment that only the cache's own records name is none: containers leave
    such records every day.
    """
    told: dict[str, int] = {}
    for one in hosts:
        told[one.host] = max(one.at_ns, told.get(one.host, 0))
    found = []
    for gap in gaps:
        host = gap.id in _SILENT_HOSTS
        if not (host or gap.kind is GapKind.AWAY or gap.id in _AWAY):
            continue
        # A host that never told: never since the trials began.
        since_ns = told.get(gap.host, 0) if host else now_ns
        words = f"{gap.detail} ({gap.fix})"
        found.append(Absence(f"{gap.id} {gap.subject}", words, since_ns, returns=host))
    return tuple(found)


def with_absences(
    ledger: Ledger, absences: Iterable[Absence], now_ns: int, trial_ns: int
) -> tuple[Ledger, str]:
    """Return what is remembered after a look, and why silence does not count now (or nothing).

    When the last of them is back, the time that they were away is added to all trials.
    """
    there = sorted(absences, key=lambda one: (not one.returns, one.place))[:_REMEMBERED]
    absent = {
        one.place: min(ledger.absent.get(one.place, now_ns), one.since_ns, now_ns) for one in there
    }
    awaited = [one for one in there if one.returns or now_ns - absent[one.place] < trial_ns]
    since_ns = ledger.absent_since_ns
    trials = ledger.trials
    if awaited:
        first_ns = min(absent[one.place] for one in awaited)
        since_ns = first_ns if since_ns is None else min(since_ns, first_ns)
    elif since_ns is not None:
        back = paused(ledger, ledger.trials, since_ns, now_ns - since_ns, now_ns)
        trials, since_ns = ledger.with_trials(back).trials, None
    after = replace(ledger, trials=trials, absent=absent, absent_since_ns=since_ns)
    return after, awaited[0].words if awaited else ""
