"""Whose silence counts while a place is away, and what is given back when it returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.evidence.observations import ObservedGap
from cacheadmin.trial.absences import Absence, absences_of, with_absences
from cacheadmin.trial.ledger import Ledger, Trial
from tests.support.fleets import observation

DAY = 86_400 * 10**9
LASTS = 30 * DAY
BEGUN = Ledger(trials={"archive-v0/a": Trial("archive-v0/a", "run", 0, LASTS)})
HOST = Absence("hosts.stale node2", "node2 is silent", 2 * DAY, returns=True)


def home(at: int, name: str = "ana") -> Absence:
    return Absence(f"homes.away /home/{name}", f"/home/{name} is away", at, returns=False)


def until(ledger: Ledger) -> int:
    return ledger.trials["archive-v0/a"].until_ns


def test_a_host_is_waited_for_however_long_it_is_silent_and_its_time_is_given_back() -> None:
    ledger, why = with_absences(BEGUN, [HOST], 5 * DAY, LASTS)
    assert why == "node2 is silent"
    ledger, why = with_absences(ledger, [HOST], 400 * DAY, LASTS)
    assert why
    assert until(ledger) == LASTS
    ledger, why = with_absences(ledger, [], 402 * DAY, LASTS)
    assert why == ""
    # From the day it last told, two days after the trial began.
    assert until(ledger) == LASTS + 400 * DAY
    assert with_absences(ledger, [], 500 * DAY, LASTS) == (ledger, "")


def test_a_home_is_waited_for_as_long_as_a_trial_lasts_and_counts_anew_when_it_was_back() -> None:
    ledger, why = with_absences(BEGUN, [home(DAY)], DAY, LASTS)
    assert why == "/home/ana is away"
    ledger, why = with_absences(ledger, [home(31 * DAY)], 31 * DAY, LASTS)
    assert why == ""
    assert until(ledger) == LASTS + 30 * DAY
    ledger, why = with_absences(ledger, [home(59 * DAY)], 59 * DAY, LASTS)
    assert (until(ledger), why) == (LASTS + 30 * DAY, "")
    ledger, _ = with_absences(ledger, [], 59 * DAY, LASTS)
    assert with_absences(ledger, [home(59 * DAY)], 59 * DAY, LASTS)[1] == "/home/ana is away"


def test_absences_that_overlap_are_one() -> None:
    ledger, _ = with_absences(BEGUN, [home(DAY)], DAY, LASTS)
    ledger, _ = with_absences(ledger, [home(9 * DAY), home(9 * DAY, "bea")], 9 * DAY, LASTS)
    ledger, why = with_absences(ledger, [home(11 * DAY, "bea")], 11 * DAY, LASTS)
    assert why == "/home/bea is away"
    ledger, _ = with_absences(ledger, [], 21 * DAY, LASTS)
    assert until(ledger) == LASTS + 20 * DAY


def test_a_trial_that_began_meanwhile_has_lost_its_own_time_alone() -> None:
    ledger, _ = with_absences(BEGUN, [home(DAY)], DAY, LASTS)
    late = Trial("archive-v0/b", "run", 6 * DAY, 36 * DAY)
    ledger, _ = with_absences(ledger.with_trials([late]), [], 11 * DAY, LASTS)
    assert until(ledger) == LASTS + 10 * DAY
    assert ledger.trials["archive-v0/b"].until_ns == 41 * DAY


def test_what_one_policy_waits_for_another_does_not_end() -> None:
    ledger, _ = with_absences(BEGUN, [home(DAY), HOST], 5 * DAY, LASTS, "policy a of x")
    for day in range(6, 20):
        ledger, why = with_absences(ledger, [], day * DAY, LASTS, "policy b of y")
        assert why.endswith("was away when policy a of x looked last")
    # It is back for who knew of it; that counts for all.
    ledger, why = with_absences(ledger, [], 20 * DAY, LASTS, "policy a of x")
    assert (until(ledger), why) == (LASTS + 19 * DAY, "")
    assert with_absences(ledger, [], 21 * DAY, LASTS, "policy b of y") == (ledger, "")


def test_a_policy_that_looks_no_more_holds_no_trial_up_for_good() -> None:
    ledger, _ = with_absences(BEGUN, [home(DAY), HOST], 5 * DAY, LASTS, "policy a of x")
    assert with_absences(ledger, [], 34 * DAY, LASTS, "policy b of y")[1]
    ledger, why = with_absences(ledger, [], 36 * DAY, LASTS, "policy b of y")
    assert (ledger.absent, why) == ({}, "")


def test_a_place_that_stays_away_is_taken_for_gone_whoever_looks_in_between() -> None:
    ledger = BEGUN
    for day in range(1, 40):
        ledger, why = with_absences(ledger, [home(day * DAY)], day * DAY, LASTS, "policy a of x")
        _, other = with_absences(ledger, [], day * DAY, LASTS, "policy b of y")
        assert bool(why) == bool(other) == (day < 31)
        ledger, _ = with_absences(ledger, [], day * DAY, LASTS, "policy b of y")


@pytest.mark.parametrize(
    ("gap", "returns"), [("environments.unknown", True), ("homes.away", False)]
)
def test_what_another_host_tells_of_is_waited_for_as_if_it_were_here(
    gap: str, returns: bool
) -> None:
    told = observation(1, [], 0)
    away = replace(told, gaps=(ObservedGap(gap, "/home/ana", "/home/ana is away", 1000),))
    (found,) = absences_of((), [away], told.at_ns + DAY)
    assert (found.returns, found.since_ns) == (returns, told.at_ns)
    assert told.host in found.words
    # What it told before does not count.
    now = replace(told, at_ns=told.at_ns + 1)
    assert absences_of((), [away, now], told.at_ns + DAY) == ()


def test_time_is_given_back_from_the_first_absence_whichever_was_found_first() -> None:
    ledger, _ = with_absences(BEGUN, [home(5 * DAY)], 5 * DAY, LASTS)
    # It told last before the home went away.
    ledger, _ = with_absences(ledger, [home(6 * DAY), HOST], 6 * DAY, LASTS)
    ledger, _ = with_absences(ledger, [], 10 * DAY, LASTS)
    assert until(ledger) == LASTS + 8 * DAY


def test_a_host_whose_clock_is_ahead_takes_no_time_from_a_trial() -> None:
    ahead = Absence("hosts.clock node2", "node2 is ahead", 99 * DAY, returns=True)
    ledger, _ = with_absences(BEGUN, [ahead], 5 * DAY, LASTS)
    ledger, _ = with_absences(ledger, [], 10 * DAY, LASTS)
    assert until(ledger) == LASTS + 5 * DAY


def test_a_host_that_never_told_was_away_since_the_trial_began() -> None:
    """It is expected by now; when the trial began, no policy knew of it."""
    gap = Gap("hosts.missing", GapKind.HOSTS, "node2", "node2 is expected", "wait", host="node2")
    ledger, why = with_absences(BEGUN, absences_of([gap], [], 31 * DAY), 31 * DAY, LASTS)
    assert why
    ledger, _ = with_absences(ledger, [], 32 * DAY, LASTS)
    assert until(ledger) == LASTS + 32 * DAY


def test_a_thousand_homes_of_one_account_hide_no_host_that_is_silent() -> None:
    homes = [home(5 * DAY, f"ana/{number}") for number in range(2000)]
    ledger, _ = with_absences(BEGUN, [*homes, HOST], 5 * DAY, LASTS)
    # By now each of the homes is taken for gone.
    homes = [home(40 * DAY, f"ana/{number}") for number in range(2000)]
    assert with_absences(ledger, [*homes, HOST], 40 * DAY, LASTS)[1] == "node2 is silent"


def test_a_look_by_a_clock_that_was_ahead_takes_no_time_from_a_trial_either() -> None:
    ahead = Absence("hosts.clock node2", "node2 is ahead", 99 * DAY, returns=True)
    ledger, _ = with_absences(BEGUN, [ahead], 50 * DAY, LASTS)
    # The true time.
    ledger, _ = with_absences(ledger, [ahead], 10 * DAY, LASTS)
    ledger, _ = with_absences(ledger, [], 12 * DAY, LASTS)
    assert until(ledger) == LASTS + 2 * DAY
