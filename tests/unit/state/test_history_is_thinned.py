"""The history of sizes: dense where it is young, bounded however long it grows."""

from __future__ import annotations

import random

from cacheadmin.state.size_history import worth_keeping
from tests.support.facts import DAY, HOUR, NOW


def test_each_hour_of_two_days_each_day_of_a_year_and_each_week_before() -> None:
    hours = [NOW - number * HOUR for number in range(24 * 366 * 3)]
    kept = sorted(worth_keeping(hours, NOW))
    ages = [NOW - one for one in kept]
    assert [age for age in ages if age <= 2 * DAY] == [n * HOUR for n in reversed(range(49))]
    daily = [one // DAY for one in kept if 3 * DAY < NOW - one < 364 * DAY]
    assert daily == list(range(daily[0], daily[0] + len(daily)))
    assert len(daily) >= 360
    weekly = [one // (7 * DAY) for one in kept if NOW - one > 371 * DAY]
    assert weekly == list(range(weekly[0], weekly[0] + len(weekly)))
    assert 102 <= len(weekly) <= 106


def test_after_ten_years_nothing_is_left() -> None:
    assert worth_keeping([NOW - 3670 * DAY, NOW], NOW) == {NOW}


def test_thinning_in_many_steps_keeps_what_one_step_keeps() -> None:
    dice = random.Random(7)
    times = sorted({NOW - dice.randrange(900 * DAY) for _ in range(3000)})
    seen: list[int] = []
    for one in times:
        seen = sorted(worth_keeping([*seen, one], one))
        assert one in seen
    assert frozenset(seen) == worth_keeping(times, times[-1])
    assert len(seen) < 72 + 371 + 80


def test_what_a_wrong_clock_dated_ahead_stays_and_hides_nothing() -> None:
    assert worth_keeping([NOW + 400 * DAY, NOW], NOW) == {NOW + 400 * DAY, NOW}
