"""How much of the time between two looks counts, by what kernels counted."""

from __future__ import annotations

import pytest

from cacheadmin.evidence.idleness import HostTime
from cacheadmin.trial.ledger import HostLook, Ledger, Trial
from cacheadmin.trial.verdicts import (
    ended_early,
    moment_of,
    over,
    paused,
    prolonged,
    uncounted_ns,
)

HOUR = 3600 * 10**9
DAY = 24 * HOUR
NOW = 20_000 * DAY


def host(name: str, boot: str, running: int, slept: int = 0) -> HostTime:
    return HostTime(name, boot, running + slept, running)


def looked(ago: int, by: HostTime, *others: HostTime) -> Ledger:
    """Looks of some hosts, the last of them so long ago by its clock."""
    looks = {one.host: HostLook(NOW - ago, one) for one in (*others, by)}
    return Ledger(looked_ns=NOW - ago, looks=looks)


HOST_A = host("a", "1", DAY)


@pytest.mark.parametrize(
    ("ledger", "here", "lost"),
    [
        # In one boot: all of it, but for the time in which it slept.
        (looked(3 * DAY, host("a", "1", DAY)), host("a", "1", 4 * DAY), 0),
        (
            looked(3 * DAY, host("a", "1", DAY)),
            host("a", "1", DAY + HOUR, slept=3 * DAY - HOUR),
            3 * DAY - HOUR,
        ),
        # After a boot: what it ran since, and a day.
        (looked(20 * HOUR, host("a", "1", DAY)), host("a", "2", HOUR), 0),
        (looked(50 * DAY, host("a", "1", DAY)), host("a", "2", HOUR), 49 * DAY - HOUR),
        # Another host looked last; this one ran all the while, or was off.
        (looked(DAY, host("a", "1", DAY), host("b", "9", DAY)), host("b", "9", 3 * DAY), 0),
        (
            looked(9 * DAY, host("a", "1", DAY), host("b", "9", DAY)),
            host("b", "9", 2 * DAY),
            8 * DAY,
        ),
        (
            looked(9 * DAY, host("a", "1", DAY), host("b", "8", DAY)),
            host("b", "9", HOUR),
            8 * DAY - HOUR,
        ),
        # It has never looked: its clock may be anything.
        (looked(50 * DAY, host("a", "1", DAY)), host("b", "9", 60 * DAY), 50 * DAY),
        # It has another name, as a job in a container has each night: its kernel is the same.
        (looked(3 * DAY, host("a", "1", DAY)), host("pod-2", "1", 4 * DAY), 0),
        (looked(9 * DAY, host("a", "1", DAY)), host("pod-2", "1", 4 * DAY), 6 * DAY),
        (looked(DAY, host("p", "1", 3 * DAY), host("q", "1", DAY)), host("r", "1", 4 * DAY), 0),
        (looked(9 * DAY, host("a", "1", DAY)), host("pod-2", "2", HOUR), 9 * DAY),
        # Under two names in turn: what it ran since the later of its looks counts, once.
        (
            looked(9 * DAY, host("q", "1", 3 * DAY), host("p", "1", DAY)),
            host("p", "1", 4 * DAY),
            8 * DAY,
        ),
        # A clock that was ahead at the last look.
        (looked(-50 * DAY, host("a", "1", DAY)), host("a", "2", HOUR), 0),
        (Ledger(looked_ns=NOW - DAY), host("a", "1", 9 * DAY), DAY),
        # No look was noted: nothing of the trial counts.
        (
            Ledger({"archive-v0/a": Trial("archive-v0/a", "run", NOW - 9 * DAY, NOW + DAY)}),
            host("a", "1", 20 * DAY),
            9 * DAY,
        ),
        (Ledger(), host("a", "1", HOUR), 0),
    ],
)
def test_what_does_not_count(ledger: Ledger, here: HostTime, lost: int) -> None:
    assert uncounted_ns(ledger, NOW, here) == lost


class Site:
    """One trial, and hosts that look at it, each by its own clock."""

    def __init__(self, lasts: int) -> None:
        self.trial = Trial("archive-v0/a", "run", NOW, NOW + lasts)
        first = host("a", "1", DAY)
        self.ledger = Ledger(
            {self.trial.entry: self.trial}, looked_ns=NOW, looks={"a": HostLook(NOW, first)}
        )

    def look(self, clock: int, here: HostTime) -> bool:
        """Look from a host; return whether the trial is over there."""
        now_ns = moment_of(self.ledger, clock, here)
        lost_ns = uncounted_ns(self.ledger, now_ns, here)
        back = paused(self.ledger, [self.trial.entry], lost_ns, now_ns)
        self.ledger = Ledger(
            {**self.ledger.trials, **{one.entry: one for one in back}},
            looked_ns=now_ns,
            looks={**self.ledger.looks, here.host: HostLook(now_ns, here)},
        )
        return over(self.ledger, [self.trial.entry], now_ns) != ()


@pytest.mark.parametrize("wrong", [-400 * DAY, -20 * HOUR, 20 * HOUR, 400 * DAY])
def test_a_clock_that_is_wrong_for_a_while_neither_ends_a_trial_nor_holds_it_up(wrong: int) -> None:
    site = Site(lasts=12 * HOUR)
    assert not site.look(NOW + HOUR + wrong, host("a", "1", DAY + HOUR))
    assert not site.look(NOW + 11 * HOUR, host("a", "1", DAY + 11 * HOUR))
    assert site.look(NOW + 13 * HOUR, host("a", "1", DAY + 13 * HOUR))


@pytest.mark.parametrize("wrong", [-400 * DAY, -20 * HOUR, 20 * HOUR, 400 * DAY])
def test_a_clock_of_one_of_several_hosts_that_is_wrong_ends_no_trial(wrong: int) -> None:
    site = Site(lasts=30 * DAY)
    for hour in range(1, 24 * 29, 12):
        passed = hour * HOUR
        assert not site.look(NOW + passed + wrong, host("b", "9", 300 * DAY + passed))
        assert not site.look(NOW + passed, host("a", "1", DAY + passed))
        # It has booted just now, with its clock wrong.
        assert not site.look(NOW + passed + wrong, host("c", f"c{hour}", HOUR))


def test_hosts_that_agree_end_a_trial_when_it_is_over() -> None:
    site = Site(lasts=30 * DAY)
    hosts = [("a", "1"), ("b", "9")]
    over_after = [
        hour
        for hour in range(12, 24 * 32, 12)
        if site.look(NOW + hour * HOUR, host(*hosts[hour % 24 // 12], DAY + hour * HOUR))
    ]
    # The first look of the other host counts nothing: half a day.
    assert over_after[0] == 24 * 30 + 12


def test_a_host_that_boots_each_night_ends_a_trial_when_it_is_over() -> None:
    """No clock is set: what the kernel counted in an earlier boot says nothing of this one."""
    site = Site(lasts=30 * DAY)
    over_after = [
        day for day in range(1, 33) if site.look(NOW + day * DAY, host("a", f"night {day}", HOUR))
    ]
    assert over_after[0] == 30


def test_a_clock_that_is_ahead_makes_no_moment_later_within_one_boot() -> None:
    ledger = looked(HOUR, HOST_A)
    here = host("a", "1", DAY + HOUR)
    assert moment_of(ledger, NOW + 400 * DAY, here) == NOW
    # As NTP moves it.
    assert moment_of(ledger, NOW + HOUR // 10, here) == NOW + HOUR // 10


def test_a_look_by_a_clock_that_is_behind_begins_the_whole_trial_again() -> None:
    """Lookups were hidden, or something walked through the folder for an unknown time."""
    trial = Trial("archive-v0/a", "run", NOW - 9 * DAY, NOW + 21 * DAY)
    ledger = Ledger({trial.entry: trial}, looked_ns=NOW)
    (after,) = prolonged(ledger, [trial.entry], NOW - 2 * DAY, 30 * DAY)
    assert after.until_ns == trial.until_ns + 30 * DAY


def test_pressure_ends_the_longest_trials_and_no_more_than_it_takes() -> None:
    trials = [
        Trial(f"archive-v0/{name}", "run", NOW - days * DAY, NOW + 20 * DAY, bytes=10)
        for name, days in (("b", 5), ("a", 9), ("c", 3))
    ]
    chosen = ended_early(trials, NOW, DAY, lambda ending: sum(one.bytes for one in ending) < 15)
    assert [one.entry for one in chosen] == ["archive-v0/a", "archive-v0/b"]
    assert ended_early(trials, NOW, 9 * DAY, lambda _: True) == (trials[1],)


@pytest.mark.parametrize("away", ["off", "walked"])
def test_pressure_ends_no_trial_by_time_that_does_not_count(away: str) -> None:
    """It is five days old; a use could be seen on one of them."""
    trial = Trial("archive-v0/a", "run", NOW - 5 * DAY, NOW + 25 * DAY)
    ledger = Ledger({trial.entry: trial}, looked_ns=NOW - 4 * DAY)
    if away == "off":
        (trial,) = paused(ledger, [trial.entry], 4 * DAY, NOW)
    else:
        (trial,) = prolonged(ledger, [trial.entry], NOW, 30 * DAY)
    assert ended_early([trial], NOW, 2 * DAY, lambda _: True) == ()
    assert ended_early([trial], NOW + DAY, 2 * DAY, lambda _: True) == (trial,)
