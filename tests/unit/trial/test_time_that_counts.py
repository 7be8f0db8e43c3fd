"""How much of the time between two looks counts, by what kernels counted."""

from __future__ import annotations

import pytest

from cacheadmin.evidence.idleness import HostTime
from cacheadmin.trial.ledger import Ledger, Trial
from cacheadmin.trial.verdicts import over, paused, uncounted_ns

HOUR = 3600 * 10**9
DAY = 24 * HOUR
NOW = 20_000 * DAY


def host(name: str, boot: str, running: int) -> HostTime:
    return HostTime(name, boot, running, running)


def looked(ago: int, by: HostTime | None) -> Ledger:
    return Ledger(looked_ns=NOW - ago, looked_by=by)


@pytest.mark.parametrize(
    ("ledger", "here", "lost"),
    [
        # In one boot: all of it, but for the time in which it slept.
        (looked(3 * DAY, host("a", "1", DAY)), host("a", "1", 4 * DAY), 0),
        (looked(3 * DAY, host("a", "1", DAY)), host("a", "1", DAY + HOUR), 3 * DAY - HOUR),
        # After a boot: what it ran since, and a day.
        (looked(20 * HOUR, host("a", "1", DAY)), host("a", "2", HOUR), 0),
        (looked(50 * DAY, host("a", "1", DAY)), host("a", "2", HOUR), 49 * DAY - HOUR),
        # Another host ran all the while, or has booted just now.
        (looked(50 * DAY, host("a", "1", DAY)), host("b", "9", 60 * DAY), 0),
        (looked(50 * DAY, host("a", "1", DAY)), host("b", "9", HOUR), 49 * DAY - HOUR),
        # The clock was ahead at that look: nothing of what was counted is lost, nothing is won.
        (looked(-50 * DAY, host("a", "1", DAY)), host("a", "2", HOUR), -50 * DAY - HOUR),
        (looked(-50 * DAY, host("a", "1", DAY)), host("b", "9", 90 * DAY), -50 * DAY),
        (looked(-50 * DAY, None), host("b", "9", 90 * DAY), -50 * DAY),
        # An older release had looked, which did not note by which host.
        (looked(50 * DAY, None), host("a", "2", HOUR), 49 * DAY - HOUR),
        (Ledger(), host("a", "1", HOUR), 0),
    ],
)
def test_what_does_not_count(ledger: Ledger, here: HostTime, lost: int) -> None:
    assert uncounted_ns(ledger, NOW, here) == lost


def test_a_clock_of_another_host_that_was_ahead_ends_no_trial() -> None:
    trial = Trial("archive-v0/a", "run", NOW - DAY, NOW + 29 * DAY)
    ledger = Ledger(trials={trial.entry: trial}, looked_ns=NOW, looked_by=host("a", "1", DAY))
    year = 365 * DAY
    moments = [
        (NOW + year, host("b", "1", HOUR)),
        (NOW + HOUR, host("a", "1", DAY + HOUR)),
        (NOW + year + HOUR, host("b", "1", 2 * HOUR)),
        (NOW + 2 * HOUR, host("c", "1", 300 * DAY)),
    ]
    for now_ns, here in moments:
        lost_ns = uncounted_ns(ledger, now_ns, here)
        since_ns = ledger.looked_ns or 0
        back = paused(ledger, [trial.entry], since_ns, lost_ns, now_ns)
        ledger = Ledger(
            trials={**ledger.trials, **{one.entry: one for one in back}},
            looked_ns=now_ns,
            looked_by=here,
        )
    left_ns = ledger.trials[trial.entry].until_ns - moments[-1][0]
    # An hour or two have passed; a day counts at each look of a host that has just booted.
    # What was given for a clock that was ahead is not taken back.
    assert left_ns > 26 * DAY


def test_a_clock_that_was_behind_for_one_look_ends_no_trial() -> None:
    """Another host, which has run for long, knows the true time right afterwards."""
    trial = Trial("archive-v0/a", "run", NOW, NOW + 12 * HOUR)
    ledger = Ledger({trial.entry: trial}, looked_ns=NOW, looked_by=host("a", "1", DAY))
    for now_ns, here in (
        (NOW - 20 * HOUR, host("a", "1", DAY)),
        (NOW, host("b", "1", 300 * DAY)),
    ):
        lost_ns = uncounted_ns(ledger, now_ns, here)
        back = paused(ledger, [trial.entry], ledger.looked_ns or 0, lost_ns, now_ns)
        ledger = Ledger(
            trials={**ledger.trials, **{one.entry: one for one in back}},
            looked_ns=now_ns,
            looked_by=here,
        )
    assert over(ledger, [trial.entry], NOW) == ()
