"""How long an archive was unused is told by time that certainly passed, never by a clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cacheadmin.evidence import steady_time
from cacheadmin.evidence.idleness import HostTime, UseRecord, dumps, loads, observed
from cacheadmin.evidence.steady_time import host_time, is_to_be_noted, steady_moment

HOUR = 3600 * 10**9
# A moment in 2027.
THEN = 500_000 * HOUR


def at(hours: int, boot: str = "first", host: str = "ana") -> HostTime:
    return HostTime(host, boot, hours * HOUR)


def unused(record: UseRecord | None, *moments: HostTime) -> UseRecord:
    for moment in moments:
        record = observed(record, moment, used=False)
    assert record is not None
    return record


def test_the_first_sight_counts_nothing() -> None:
    assert unused(None, at(500)).idle_ns == 0


def test_time_within_a_boot_counts_in_full() -> None:
    assert unused(None, at(1), at(3), at(30)).idle_ns == 29 * HOUR


def test_after_a_reboot_only_the_time_since_counts() -> None:
    assert unused(None, at(1), at(3), at(5, "second")).idle_ns == (2 + 5) * HOUR


def test_a_use_that_any_host_sees_ends_all_counters() -> None:
    ben = "of ben"
    record = unused(None, at(1), at(9), at(1, ben, "ben"), at(4, ben, "ben"))
    assert record.idle_ns == 8 * HOUR
    assert observed(record, at(5, ben, "ben"), used=True).idle_ns == 0


def test_a_job_with_another_name_each_night_counts_on_and_leaves_one_counter() -> None:
    record = unused(None, *(at(24 * night, host=f"job-{night}") for night in range(30)))
    assert record.idle_ns == 29 * 24 * HOUR
    assert len(record.counters) == 1
    # On another node, or after a reboot, it begins again there.
    assert unused(record, at(900, "second", "job-31")).idle_ns == record.idle_ns


def test_two_hosts_do_not_count_the_same_hours_twice() -> None:
    record = unused(None, at(1), at(1, "of ben", "ben"), at(5), at(5, "of ben", "ben"))
    assert record.idle_ns == 4 * HOUR


def test_nodes_that_boot_from_one_image_are_two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have one machine id. Each other's boots would look like their own after a reboot."""
    names = []
    for name in ("node1", "node2"):
        told = SimpleNamespace(nodename=name)
        monkeypatch.setattr(steady_time.os, "uname", lambda told=told: told)
        names.append(host_time().host)
    one, two = names
    assert one != two
    record = unused(None, at(900, host=one), at(900, "other", host=two), at(901, host=one))
    assert record.idle_ns == HOUR


def test_hosts_of_one_name_are_two_by_their_machine_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for number in ("1" * 32, "2" * 32):
        monkeypatch.setattr(steady_time, "machine_id", lambda number=number: number)
        keys.append(host_time().host)
    assert len(set(keys)) == 2


@pytest.mark.parametrize("first", [HOUR, HOUR + 999])
def test_a_record_survives_writing_and_never_grows_by_it(first: int) -> None:
    record = unused(None, HostTime("ana", "first", first), HostTime("ana", "first", 3 * HOUR + 999))
    again = loads(dumps(record))
    assert again is not None
    assert 0 <= record.idle_ns - again.idle_ns < 10**9
    later = HostTime("ana", "first", 4 * HOUR)
    assert unused(again, later).idle_ns <= unused(record, later).idle_ns


def test_what_is_no_record_is_none() -> None:
    bad = (
        "",
        "[]",
        "{",
        '{"a": 1}',
        '{"a": ["b", -1, 0]}',
        '{"a": ["b", 1, 1e99]}',
        '{"a":' * 9999,
        "{" + " " * 300_000 + "}",
    )
    for text in (*bad, '{"a": ["b", true, 0]}', '{"a": ["b", 1, 999999999999999]}'):
        assert loads(text) is None


def told(hours: int, anchor: tuple[HostTime, int] | None, now: HostTime) -> int:
    """Return the steady moment, in hours since `THEN`, for a wall clock that says ``hours``."""
    return (steady_moment(THEN + hours * HOUR, anchor, now) - THEN) // HOUR


def test_a_clock_that_passes_with_the_kernel_is_believed() -> None:
    anchor = (at(10), THEN)
    assert told(2, anchor, at(12)) == 2
    assert told(60, anchor, at(1, "second")) == 60
    assert told(500, None, at(1)) == 500
    # Set back: everything looks younger, which only keeps more.
    assert told(-8760, anchor, at(12)) == told(-8760, anchor, at(12, "second")) == -8760


def test_a_clock_set_forward_passes_at_double_speed() -> None:
    anchor = (at(10), THEN)
    assert told(2 + 8760, anchor, at(12)) == 4
    # It is ahead by a day: that is all that there is to catch up with.
    assert told(30 * 24 + 24, anchor, at(10 + 30 * 24)) == 31 * 24
    # Until it is caught up with.
    moment, hours, days = THEN, 10, 0
    while moment < (wall := THEN + (hours - 10 + 30 * 24) * HOUR):
        hours, days = hours + 24, days + 1
        before = (at(hours - 24), moment)
        moment = steady_moment(wall + 24 * HOUR, before, at(hours))
    assert days == 30


def test_weeks_in_which_a_host_was_off_make_nothing_older() -> None:
    anchor = (at(10), THEN)
    week = 7 * 24
    assert told(5 * week + 3, anchor, at(3, "second")) == week + 3 + 3
    # A clock that came up wrong is no different.
    assert told(8760, anchor, at(1, "second")) == week + 1 + 1
    assert told(week + 3, anchor, at(3, "second")) == week + 3


def test_a_clock_that_was_never_set_is_no_anchor() -> None:
    assert told(0, (at(1), HOUR), at(2)) == 0
    anchor = (at(900), THEN)
    unset = 1000 * HOUR
    assert not is_to_be_noted(unset, anchor, HostTime("ana", "second", HOUR // 60))
    assert is_to_be_noted(THEN + 10 * HOUR, anchor, HostTime("ana", "second", HOUR // 60))
    # It stays so: that is the time there.
    assert is_to_be_noted(unset, anchor, at(2, "second"))
    assert is_to_be_noted(unset, None, HostTime("ana", "second", 0))
