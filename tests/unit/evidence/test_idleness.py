"""How long an archive was unused is told by time that certainly passed, never by a clock."""

from __future__ import annotations

from cacheadmin.evidence.idleness import HostTime, UseRecord, dumps, loads, observed
from cacheadmin.evidence.steady_time import steady_moment

HOUR = 3600 * 10**9
YEAR = 365 * 24 * HOUR


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
    record = unused(None, at(1), at(9), at(1, host="ben"), at(4, host="ben"))
    assert record.idle_ns == 8 * HOUR
    assert observed(record, at(5, host="ben"), used=True).idle_ns == 0


def test_two_hosts_do_not_count_the_same_hours_twice() -> None:
    record = unused(None, at(1), at(1, host="ben"), at(5), at(5, host="ben"))
    assert record.idle_ns == 4 * HOUR


def test_a_record_survives_writing_and_never_grows_by_it() -> None:
    record = unused(None, at(1), HostTime("ana", "first", 3 * HOUR + 999))
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
    )
    for text in (*bad, '{"a": ["b", true, 0]}', '{"a": ["b", 1, 999999999999999]}'):
        assert loads(text) is None


def test_a_clock_set_forward_is_not_believed_within_a_boot() -> None:
    anchor = (at(10), 1_000 * HOUR)
    assert steady_moment(1_002 * HOUR, anchor, at(12)) == 1_002 * HOUR
    assert steady_moment(1_002 * HOUR + YEAR, anchor, at(12)) == 1_002 * HOUR
    # Set back: everything looks younger, which only keeps more.
    assert steady_moment(1_002 * HOUR - YEAR, anchor, at(12)) == 1_002 * HOUR - YEAR
    assert steady_moment(1_500 * HOUR, anchor, at(1, "second")) == 1_500 * HOUR
    assert steady_moment(1_500 * HOUR, None, at(1)) == 1_500 * HOUR
