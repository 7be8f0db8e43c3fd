"""What may go beside a uv at work, and from when on. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cacheadmin.evidence.facts import EnvironmentKind, Evidence
from cacheadmin.inventory.entries import (
    ArchiveContent,
    ArchiveId,
    Build,
    CachedEnvironment,
    EntryKind,
    Inventory,
    SourceRevision,
)
from cacheadmin.planner.grace import Mark, Period, UvAtWork, divide, marks, remaining
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.reasons import ARCHIVE_UNREFERENCED
from tests.support.facts import DAY, NOW, archive, environment, evidence, inventory, pointer

SIX, TOOL, BUILD = "archive-v0/six", "archive-v0/tool", "builds-v0/.tmpa"
PUBLISHED, FOLDER = "environments-v2/a/b", "environments-v2/script-a"
REVISION = "sdists-v9/pypi/built/1.0/r"
OLD = NOW - 30 * DAY

BUSY = UvAtWork("boot", "pid:[1]", frozenset({(7, 70)}))
IDLE = replace(BUSY, working=frozenset())


def going(path: str) -> Decision:
    bucket = path.partition("/")[0]
    kind = {"archive-v0": EntryKind.ARCHIVE, "builds-v0": EntryKind.BUILD}.get(bucket)
    if kind is None:
        kind = EntryKind.REVISION if bucket == "sdists-v9" else EntryKind.ENVIRONMENT
    if bucket == "wheels-v5":
        kind = EntryKind.BUCKET if path == bucket else EntryKind.WHEEL
    package = {SIX: "six", REVISION: "built"}.get(path)
    return Decision(kind, path, package, None, ARCHIVE_UNREFERENCED, rests_on="proof")


def stored(**facts: object) -> Inventory:
    """A cache with an archive of each kind, to which nothing leads."""
    tool = archive("tool", content=ArchiveContent.ENVIRONMENT)
    everything = {
        "archives": [archive("six"), tool],
        "environments": (CachedEnvironment(FOLDER, "environments-v2", None, 0, OLD),),
        "builds": (Build(BUILD, 0, OLD),),
        "revisions": (
            SourceRevision(REVISION, "sdists-v9", "built", "1.0", False, frozenset(), 0, OLD),
        ),
        "watched": {
            "wheels-v5/pypi/six": OLD,
            "wheels-v5/pypi/other": OLD,
            "sdists-v9/pypi/built/1.0": OLD,
            "sdists-v9/path/0123456789abcdef": OLD,
            "environments-v2": OLD,
        },
    }
    return inventory(**(everything | facts))


def now_of(
    found: Inventory,
    *paths: str,
    periods: tuple[Period, ...] = (),
    at: UvAtWork = BUSY,
    seen: Evidence | None = None,
    **how: bool,
) -> set[str]:
    """Return what of these goes now."""
    removals = [going(path) for path in paths]
    division = divide(removals, found, seen or evidence(), periods, at, **how)
    assert {one.path for one in (*division.now, *division.later)} == set(paths)
    return {one.path for one in division.now}


def period(found: Inventory, *paths: str, begun: UvAtWork = BUSY) -> tuple[Period, ...]:
    begun_marks = marks([going(path) for path in paths], found, found.watched, now_ns=None)
    return (Period(begun, begun_marks),)


def moved(found: Inventory, folder: str) -> Inventory:
    """Return it with a later time of one folder of pointers."""
    assert folder in found.watched
    return replace(found, watched={**found.watched, folder: OLD + 1})


FOUND = (SIX, TOOL, BUILD, REVISION)


def test_what_was_findable_waits_until_each_uv_that_may_know_it_has_ended() -> None:
    found = stored()
    waiting = period(found, *FOUND)
    assert now_of(found, *FOUND) == set()
    assert now_of(found, *FOUND, periods=waiting) == set()
    assert now_of(found, *FOUND, periods=waiting, at=IDLE) == set(FOUND)
    other = replace(BUSY, working=frozenset({(8, 80)}))
    assert now_of(found, *FOUND, periods=waiting, at=other) == set(FOUND)
    # An id that was given again is another process.
    again = replace(BUSY, working=frozenset({(7, 71)}))
    assert now_of(found, *FOUND, periods=waiting, at=again) == set(FOUND)


def test_a_period_is_over_after_a_restart_and_tells_nothing_in_another_namespace() -> None:
    found = stored()
    waiting = period(found, *FOUND)
    restarted = replace(BUSY, boot="another")
    assert now_of(found, *FOUND, periods=waiting, at=restarted) == set(FOUND)
    elsewhere = replace(IDLE, namespace="pid:[2]")
    assert now_of(found, *FOUND, periods=waiting, at=elsewhere) == set()
    assert remaining(waiting, elsewhere, waiting[0].marks) == ((), frozenset())
    assert remaining(waiting, restarted, waiting[0].marks) == (waiting, frozenset(FOUND))


def test_where_not_every_process_is_seen_only_names_go() -> None:
    published = CachedEnvironment(PUBLISHED, "environments-v2", ArchiveId("tool"), 0, OLD)
    found = stored(
        environments=(published, CachedEnvironment(FOLDER, "environments-v2", None, 0, OLD))
    )
    waiting = period(found, *FOUND)
    every = (PUBLISHED, FOLDER, *FOUND)
    assert now_of(found, *every, periods=waiting, at=IDLE, reclaim=False) == {PUBLISHED}


def test_what_uv_looks_for_by_its_name_waits_for_every_uv_at_work() -> None:
    found = stored()
    waiting = period(found, FOLDER)
    later = replace(BUSY, working=frozenset({(8, 80)}))
    assert now_of(found, FOLDER, periods=waiting, at=later) == set()
    assert now_of(found, FOLDER, at=IDLE) == {FOLDER}


def test_what_a_name_leads_to_waits_until_that_has_gone() -> None:
    """Whoever reads the pointer in the meantime knows the archive."""
    found = stored(wheel_pointers=(pointer("wheels-v5", "six"),))
    waiting = period(found, SIX)
    for name in ("wheels-v5", found.wheel_pointers[0].path):
        assert now_of(found, name, SIX, periods=waiting, at=IDLE) == {name}


def test_what_a_tool_links_that_waits_waits_with_it() -> None:
    """Neither is found by a pointer any more: a process may run from the tool."""
    found = stored()
    tool = environment("/cache/archive-v0/tool", "six", kind=EnvironmentKind.CACHED)
    seen = evidence(environments=(tool,))
    ripe = period(found, SIX)
    assert now_of(found, SIX, TOOL, periods=ripe, at=IDLE, seen=seen) == set()
    both = period(found, SIX, TOOL)
    assert now_of(found, SIX, TOOL, periods=both, at=IDLE, seen=seen) == {SIX, TOOL}


@pytest.mark.parametrize(
    ("folder", "begins_again"),
    [
        ("wheels-v5/pypi/six", {SIX}),
        ("wheels-v5/pypi/other", set()),
        ("sdists-v9/pypi/built/1.0", {REVISION}),
        # A digest tells no package.
        ("sdists-v9/path/0123456789abcdef", {SIX, REVISION}),
        ("environments-v2", {TOOL}),
    ],
)
def test_a_period_begins_again_where_a_pointer_to_it_may_have_been_written(
    folder: str, begins_again: set[str]
) -> None:
    found = stored()
    waiting = period(found, *FOUND)
    changed = moved(found, folder)
    left = set(FOUND) - begins_again
    assert now_of(changed, *FOUND, periods=waiting, at=IDLE) == left
    now = marks([going(path) for path in FOUND], changed, changed.watched, now_ns=None)
    assert remaining(waiting, IDLE, now)[1] == left


def test_of_an_archive_whose_package_is_unknown_any_pointer_may_tell() -> None:
    found = stored()
    unknown = [replace(going(SIX), package=None)]
    for folder in found.watched:
        changed = moved(found, folder)
        same = marks(unknown, found, found.watched, now_ns=None) == marks(
            unknown, changed, changed.watched, now_ns=None
        )
        assert same == (folder == "environments-v2")


@pytest.mark.parametrize("path", FOUND)
def test_another_of_the_same_name_has_a_period_of_its_own(path: str) -> None:
    found = stored()
    waiting = period(found, *FOUND)
    other = stored(
        archives=[
            archive("six", inode=2),
            archive("tool", content=ArchiveContent.ENVIRONMENT, mtime_ns=NOW),
        ],
        builds=(Build(BUILD, 0, NOW),),
        revisions=tuple(replace(one, mtime_ns=NOW) for one in found.revisions),
    )
    assert now_of(other, path, periods=waiting, at=IDLE) == set()


def test_what_can_not_be_told_equals_nothing() -> None:
    unsure = Period(BUSY, {SIX: Mark("1:1", "")})
    found = stored(watched={})
    assert now_of(found, SIX, periods=(unsure,), at=IDLE) == set()
    assert remaining((unsure,), IDLE, unsure.marks) == ((), frozenset())
    watched = {"wheels-v5/pypi/six": NOW}
    young = marks([going(SIX)], found, watched, now_ns=NOW + 10, grain_ns=20)
    assert young[SIX].state == ""
    ripe = marks([going(SIX)], found, watched, now_ns=NOW + 20, grain_ns=20)
    assert ripe[SIX].state != ""


def test_the_first_period_of_an_entry_counts() -> None:
    found = stored()
    (first,), (second,) = period(found, SIX), period(found, SIX, BUILD)
    kept, waiting = remaining((first, second), BUSY, second.marks)
    assert kept == (first, Period(BUSY, {BUILD: second.marks[BUILD]}))
    assert waiting == {SIX, BUILD}
