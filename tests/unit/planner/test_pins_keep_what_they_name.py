"""Pins: what they name stays, of whatever kind, until they have really expired."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from cacheadmin.evidence.facts import Evidence, Pin, Unseen
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.evidence.pin_ages import age_records, with_known_ages
from cacheadmin.evidence.pins import MAX_REASON, NotAPin, parse_pin, pin_document
from cacheadmin.inventory.entries import (
    ArchiveContent,
    ArchiveId,
    Build,
    CachedEnvironment,
    CacheIdentity,
    Inventory,
    SourceRevision,
    Stray,
)
from cacheadmin.planner.in_use import archives_in_use
from cacheadmin.planner.pins import is_expired
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.targets import near_names, resolve_target
from tests.support.facts import (
    DAY,
    NOW,
    archive,
    environment,
    evidence,
    inventory,
    pointer,
    policy,
    trace,
)

CACHE = CacheIdentity("/srv/cache", 7, 8)


def pin(path: str | None = None, package: str | None = None, **facts) -> Pin:
    return Pin("/srv/cache.pins/1.pin", 1000, path, package, **({"created_ns": NOW - DAY} | facts))


def rubbish() -> Inventory:
    """A cache of which everything may go but the buckets of uv 0.13.8."""
    return inventory(
        buckets=["archive-v0", "wheels-v3", "wheels-v7", "sdists-v10", "environments-v2"],
        archives=[archive("six", version="1.16.0"), archive("numpy"), archive("old"), archive("b")],
        wheel_pointers=(pointer("wheels-v3", "old"), pointer("wheels-v3", "six")),
        revisions=(
            SourceRevision("sdists-v10/p/1/r", "sdists-v10", "p", "1", False, frozenset(), 0, NOW),
        ),
        environments=(
            CachedEnvironment("environments-v2/idle", "environments-v2", None, 0, NOW - 90 * DAY),
        ),
        builds=(Build(".tmpOld", 0, NOW - 90 * DAY),),
        strays=(Stray("archive-v0/rubbish", "a file", True, 0, NOW - 90 * DAY),),
    )


RELEASES = (trace("0.13.8"),)
RULE = policy(prune={"environments": {"idle": "7d", "keep_latest": False}})


def plan_of(seen: Evidence):
    return make_plan(RULE, rubbish(), seen, NOW)


def gone(*pins: Pin, **facts) -> set[str]:
    seen = evidence(releases=RELEASES, pins=pins, **facts)
    return {decision.path for decision in plan_of(seen).removals}


EVERYTHING = {
    "wheels-v3",
    "archive-v0/six",
    "archive-v0/numpy",
    "archive-v0/old",
    "archive-v0/b",
    "sdists-v10/p/1/r",
    "environments-v2/idle",
    ".tmpOld",
    "archive-v0/rubbish",
}


def test_without_pins_all_of_it_would_go() -> None:
    assert gone() == EVERYTHING


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("archive-v0/numpy", {"archive-v0/numpy"}),
        ("archive-v0/numpy/numpy/core.so", {"archive-v0/numpy"}),
        ("sdists-v10/p/1/r", {"sdists-v10/p/1/r"}),
        ("sdists-v10/p", {"sdists-v10/p/1/r"}),
        ("environments-v2/idle", {"environments-v2/idle"}),
        (".tmpOld", {".tmpOld"}),
        ("archive-v0/rubbish", {"archive-v0/rubbish"}),
        ("wheels-v3", {"wheels-v3", "archive-v0/old", "archive-v0/six"}),
        (
            "wheels-v3/pypi/old/1.0-py3-none-any.http",
            {"wheels-v3", "archive-v0/old", "archive-v0/six"},
        ),
        ("archive-v0", {path for path in EVERYTHING if path.startswith("archive-v0/")}),
        ("nothing/there", set()),
    ],
)
def test_a_pinned_path_stays_with_its_bucket_and_what_it_leads_to(
    path: str, kept: set[str]
) -> None:
    assert EVERYTHING - gone(pin(path)) == kept


def test_a_pin_that_cannot_be_read_may_name_anything_so_everything_stays() -> None:
    unread = Unseen("pin", "/srv/cache.pins/1.pin", "it is not JSON", hides_archives=True)
    assert gone(unseen=(unread,)) == set()
    plan = plan_of(evidence(releases=RELEASES, unseen=(unread,)))
    (limit,) = (one for one in plan.limits if one.id == "unseen.pin")
    assert "everything is kept" in limit.detail
    # A user's own file that is no pin keeps nothing, and stops no other user's.
    wrong = Unseen("pin", "/srv/registry/x.pin", "it is not JSON", hides_archives=False, uid=1000)
    assert gone(unseen=(wrong,)) == EVERYTHING


def test_pins_of_thousands_of_folders_cost_no_memory_for_each_of_them() -> None:
    deep = [pin(f"archive-v0/x{number}/" + "/".join("a" * 2000)) for number in range(200)]
    pins = [*deep, pin("archive-v0/numpy/" + "/".join("a" * 2000))]
    tracemalloc.start()
    try:
        left = gone(*pins)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert EVERYTHING - left == {"archive-v0/numpy"}
    assert peak < 20 * 1024 * 1024


def test_a_pinned_package_keeps_its_archives_but_no_bucket_that_nobody_needs() -> None:
    assert EVERYTHING - gone(pin(package="six")) == {"archive-v0/six"}
    assert EVERYTHING - gone(pin(package="six", version="1.16.0")) == {"archive-v0/six"}
    assert gone(pin(package="six", version="1.17.0")) == EVERYTHING


def test_a_pin_is_the_rule_and_says_who_why_and_until_when() -> None:
    seen = evidence(
        releases=RELEASES,
        pins=(pin("archive-v0/numpy", reason="the paper", expires_ns=NOW + DAY),),
        user_names={1000: "ana"},
    )
    kept = next(d for d in plan_of(seen).kept if d.path == "archive-v0/numpy")
    assert kept.rule == "archive.pinned"
    assert kept.reason.startswith("pinned by ana until 2026-11-19T")
    assert kept.reason.endswith(": the paper")
    assert kept.used_by == ("pin of ana",)


@pytest.mark.parametrize(
    ("facts", "expired"),
    [
        ({"expires_ns": NOW - 1, "created_ns": NOW - DAY, "known_age_ns": DAY}, True),
        ({"expires_ns": NOW + 1, "created_ns": NOW - DAY, "known_age_ns": DAY}, False),
        ({"expires_ns": None, "known_age_ns": 900 * DAY}, False),
        # The clock was set forward: by the kernel's count it is an hour old.
        ({"expires_ns": NOW - 300 * DAY, "created_ns": NOW - 330 * DAY, "known_age_ns": 0}, False),
        # Made while the clock ran ahead.
        ({"expires_ns": NOW + 400 * DAY, "created_ns": NOW + 370 * DAY, "known_age_ns": 0}, False),
        # Never recorded: the state was lost.
        ({"expires_ns": NOW - DAY, "created_ns": NOW - 2 * DAY}, False),
    ],
)
def test_a_pin_ends_only_when_calendar_and_kernel_agree(facts, expired: bool) -> None:
    one = pin("archive-v0/numpy", **facts)
    assert is_expired(one, NOW) is expired
    assert ("archive-v0/numpy" in gone(one)) is expired


def test_pinned_archives_are_protected_from_uv_too() -> None:
    seen = evidence(releases=RELEASES, pins=(pin(package="six"), pin("archive-v0/b")))
    assert archives_in_use(PlanInput(RULE, rubbish(), seen, NOW)).archives == {"six", "b"}


def test_a_pinned_tool_environment_keeps_what_it_links() -> None:
    found = replace(
        rubbish(),
        archives={
            a.id: a for a in (archive("tool", content=ArchiveContent.ENVIRONMENT), archive("inner"))
        },
        environments=(
            CachedEnvironment(
                "environments-v2/t", "environments-v2", ArchiveId("tool"), 0, NOW - 90 * DAY
            ),
        ),
    )
    from cacheadmin.evidence.facts import EnvironmentKind

    inside = environment("/cache/archive-v0/tool", "inner", kind=EnvironmentKind.CACHED)
    seen = evidence(releases=RELEASES, environments=(inside,), pins=(pin("environments-v2/t"),))
    removed = {d.path for d in make_plan(RULE, found, seen, NOW).removals}
    assert not removed & {"archive-v0/tool", "archive-v0/inner", "environments-v2/t"}


def test_unused_archives_that_are_pinned_stay_with_their_pointers() -> None:
    found = inventory(
        buckets=["archive-v0", "wheels-v7"],
        archives=[archive("a"), archive("b")],
        wheel_pointers=tuple(
            pointer("wheels-v7", name, files=(f"{name}.http",)) for name in ("a", "b")
        ),
    )
    rule = policy(prune={"unused": {"after": "30d"}})
    idle = {ArchiveId(name): 60 * DAY for name in ("a", "b")}
    for one in (pin(package="a"), pin("archive-v0/a"), pin("wheels-v7/pypi/a/1.0-py3-none-any")):
        seen = evidence(releases=RELEASES, idle=idle, pins=(one,))
        removed = [d.path for d in make_plan(rule, found, seen, NOW).removals]
        assert "archive-v0/b" in removed
        assert not any("/a" in path for path in removed), one


def test_a_thousand_pins_of_one_target_cost_no_more_than_a_few() -> None:
    seen = evidence(
        releases=RELEASES,
        pins=tuple(pin("archive-v0/six", reason=str(number)) for number in range(1000)),
    )
    kept = next(d for d in plan_of(seen).kept if d.path == "archive-v0/six")
    assert kept.rule == "archive.pinned"


def test_age_is_what_the_kernel_counted_and_a_lost_record_begins_anew() -> None:
    one = pin("archive-v0/six", expires_ns=NOW)
    second = 10**9
    records = age_records([one], {}, HostTime("h", "boot1", 1000 * second))
    (seen,) = with_known_ages([one], records, HostTime("h", "boot1", 1500 * second))
    assert seen.known_age_ns == 500 * second
    # After a reboot at least the time since that boot has passed.
    (seen,) = with_known_ages([one], records, HostTime("h", "boot2", 70 * second))
    assert seen.known_age_ns == 70 * second
    # Another host, whose count says nothing about this pin.
    (seen,) = with_known_ages([one], records, HostTime("other", "boot9", 10**9 * second))
    assert seen.known_age_ns == 0
    (seen,) = with_known_ages([one], {}, HostTime("h", "boot1", 1500 * second))
    assert seen.known_age_ns == 0


def test_a_pin_reads_back_as_it_was_written() -> None:
    for one in (
        pin("archive-v0/\udcff\n", reason="why — ü", expires_ns=NOW),
        pin(package="six", version="1.16.0"),
    ):
        found, _ = parse_pin(pin_document(one, CACHE), one.file, one.uid)
        assert found == one


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../etc"},
        {"path": "/etc"},
        {"path": "a/../../b"},
        {"path": "a//b"},
        {"path": ""},
        {"path": 7},
        {"path": None},
        {"package": "six"},
        {"format": 2},
        {"cache": None},
        {"reason": "x" * (MAX_REASON + 1)},
        {"expires_ns": -1},
        {"expires_ns": 10**30},
        {"created_ns": "1"},
        {"created_ns": True},
        {"reason": "half of a character: \ud800"},
        {"cache": "/srv/\udfff"},
        {"path": "archive-v0/\ud83d"},
    ],
)
def test_what_is_no_pin_is_refused(change) -> None:
    document = json.loads(pin_document(pin("archive-v0/six"), CACHE)) | change
    with pytest.raises(NotAPin):
        parse_pin(json.dumps(document).encode(), "/f", 1000)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 30000, b'"x"', b"NaN"])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(NotAPin):
        parse_pin(content, "/f", 1000)


def test_the_claims_of_a_file_never_make_its_author() -> None:
    document = json.loads(pin_document(pin("archive-v0/six"), CACHE)) | {"uid": 0, "author": "root"}
    found, _ = parse_pin(json.dumps(document).encode(), "/f", 4711)
    assert found.uid == 4711


def test_a_target_is_an_id_a_path_or_a_package() -> None:
    stored = rubbish()
    assert resolve_target("numpy", stored).path == "archive-v0/numpy"
    assert resolve_target("Num.Py", stored).package == "num-py"
    assert resolve_target("/cache/wheels-v3/", stored).path == "wheels-v3"
    assert resolve_target("/alias/wheels-v3", stored, ["/alias"]).path == "wheels-v3"
    assert resolve_target("wheels-v3", stored).path == "wheels-v3"
    assert [e.path for e in resolve_target("six==1.16.0", stored).entries] == ["archive-v0/six"]
    assert resolve_target("six==2", stored).entries == ()
    assert [e.path for e in resolve_target("archive-v0/six/x/y.py", stored).entries] == [
        "archive-v0/six"
    ]


def test_near_names_are_what_somebody_may_have_meant() -> None:
    stored = rubbish()
    assert near_names("nunpy", stored) == ("numpy",)
    assert "six==1.16.0" in near_names("six==2", stored)
    assert near_names("zzzz", stored) == ()
