"""What must hold for every cache with pins: nothing pinned goes, and pins only ever keep more."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.evidence.facts import Evidence, Pin
from cacheadmin.evidence.pins import NotAPin, parse_pin
from cacheadmin.inventory.entries import ArchiveId, Inventory
from cacheadmin.planner.consistency import without_dangling
from cacheadmin.planner.pins import is_expired
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.targets import all_entries, covers
from tests.property.planner.test_planner_properties import AGES, IDS, evidences, inventories
from tests.support.facts import DAY, NOW, policy

moments = st.sampled_from([NOW + sign * age for age in (*AGES, 400 * DAY) for sign in (1, -1)])


@st.composite
def pinned(draw: st.DrawFn) -> tuple[Inventory, Evidence]:
    """Draw a cache, its use, how long archives were idle, and pins of anything in it."""
    stored, seen = draw(inventories()), draw(evidences())
    stored = replace(
        stored,
        wheel_pointers=tuple(
            replace(one, files=(f"{one.path.rpartition('/')[2]}.http",))
            for one in stored.wheel_pointers
        ),
    )
    paths = [entry.path for entry in all_entries(stored)]
    pins = []
    for number in range(draw(st.integers(0, 3))):
        whole = draw(st.booleans())
        path = draw(st.sampled_from(paths)) if paths and whole else None
        pins.append(
            Pin(
                file=f"/pins/{number}",
                uid=1000,
                path=path,
                package=None if path is not None else draw(st.sampled_from(IDS)),
                version=None if path is not None else draw(st.sampled_from([None, "1.0", "2.0"])),
                created_ns=draw(moments),
                expires_ns=draw(st.none() | moments),
                known_age_ns=draw(st.sampled_from(AGES)),
            )
        )
    idle = {
        ArchiveId(name): draw(st.sampled_from(AGES)) for name in draw(st.sets(st.sampled_from(IDS)))
    }
    return stored, replace(seen, pins=tuple(pins), idle=idle)


RULES = (
    policy(),
    policy(prune={"unused": {"after": "1d"}, "environments": {"idle": "1d", "keep_latest": False}}),
)
rules = st.sampled_from(RULES)


def removed(rule, stored: Inventory, seen: Evidence, now_ns: int = NOW) -> set[str]:
    return {decision.path for decision in make_plan(rule, stored, seen, now_ns).removals}


def goes(path: str, gone: set[str]) -> bool:
    """Whether a path, something above it, or a file of the pointer it is, was removed."""
    return any(path == one or path.startswith((one + "/", one + ".")) for one in gone) or any(
        one.startswith(path + ".") for one in gone
    )


@settings(max_examples=300)
@given(pinned(), rules)
def test_nothing_pinned_is_ever_removed(drawn: tuple[Inventory, Evidence], rule) -> None:
    stored, seen = drawn
    gone = removed(rule, stored, seen)
    for pin in seen.pins:
        if is_expired(pin, NOW):
            continue
        for entry in all_entries(stored):
            if pin.path is not None and covers(pin.path, entry):
                assert not goes(entry.path, gone), (pin, entry)
                archives = {f"archive-v0/{archive}" for archive in entry.archives}
                assert not archives & gone, (pin, entry)
        for archive in stored.archives.values():
            named = pin.package is not None and pin.package == archive.package
            if named and pin.version in (None, archive.version):
                assert archive.path not in gone


@settings(max_examples=200)
@given(pinned(), rules)
def test_pins_only_keep_more(drawn: tuple[Inventory, Evidence], rule) -> None:
    stored, seen = drawn
    for fewer in (seen.pins[1:], ()):
        assert removed(rule, stored, seen) <= removed(rule, stored, replace(seen, pins=fewer))


@given(pinned(), rules)
def test_nothing_that_stays_points_at_what_goes(drawn: tuple[Inventory, Evidence], rule) -> None:
    stored, seen = drawn
    plan = make_plan(rule, stored, seen, NOW)
    assert without_dangling(plan.removals, stored, seen) == plan.removals


@given(pinned(), rules, st.sampled_from([-400 * DAY, 400 * DAY]))
def test_a_clock_that_jumps_ends_no_pin(drawn: tuple[Inventory, Evidence], rule, jump: int) -> None:
    _, seen = drawn
    for pin in seen.pins:
        steady = replace(pin, known_age_ns=0)
        if pin.expires_ns is not None and pin.expires_ns > pin.created_ns:
            assert not is_expired(steady, NOW + jump)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_no_content_of_a_pin_file_raises_anything_else(content: bytes) -> None:
    try:
        parse_pin(content, "/f", 1000)
    except NotAPin:
        pass
