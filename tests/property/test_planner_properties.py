"""What must hold for every cache: the planner under generated facts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.evidence.facts import EnvironmentKind, Evidence, Process, Unseen, UseOfEntry
from cacheadmin.inventory.entries import (
    ArchiveContent,
    ArchiveId,
    Build,
    CachedEnvironment,
    Inventory,
    SourceRevision,
    Stray,
)
from cacheadmin.planner.consistency import without_dangling
from cacheadmin.planner.planning import make_plan
from tests.support.facts import (
    DAY,
    LOCAL,
    NFS,
    NOW,
    archive,
    environment,
    evidence,
    inventory,
    pointer,
    policy,
    trace,
)

IDS = [f"id{number}" for number in range(6)]
BUCKETS = ["wheels-v3", "wheels-v5", "wheels-v7", "wheels-v99", "sdists-v9", "environments-v2"]
AGES = [0, DAY // 2, 2 * DAY, 20 * DAY, 100 * DAY]

ids = st.sampled_from(IDS)
some_ids = st.frozensets(ids, max_size=3).map(lambda found: frozenset(map(ArchiveId, found)))


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    buckets = draw(st.sets(st.sampled_from(BUCKETS)))
    stored = []
    for name in draw(st.sets(ids)):
        content = draw(st.sampled_from(list(ArchiveContent)))
        stored.append(archive(name, content=content, mtime_ns=NOW - draw(st.sampled_from(AGES))))
    wheels = sorted(b for b in buckets if b.startswith("wheels"))
    pointers = {}
    for number in range(draw(st.integers(0, 4)) if wheels else 0):
        found = pointer(
            draw(st.sampled_from(wheels)),
            *draw(some_ids),
            name=f"package{number}",
            understood=draw(st.booleans()),
        )
        pointers[found.path] = found
    revisions = [
        SourceRevision(
            f"sdists-v9/pypi/p/1/{number}",
            "sdists-v9",
            "p",
            "1",
            draw(st.sampled_from([True, False, None])),
            draw(some_ids),
            1000,
            NOW,
        )
        for number in range(draw(st.integers(0, 3)) if "sdists-v9" in buckets else 0)
    ]
    environments = [
        CachedEnvironment(
            f"environments-v2/{'0' * 16}/{number:016x}",
            "environments-v2",
            ArchiveId(draw(ids)),
            1000,
            NOW - draw(st.sampled_from(AGES)),
        )
        for number in range(draw(st.integers(0, 3)) if "environments-v2" in buckets else 0)
    ]
    return inventory(
        buckets=["archive-v0", *sorted(buckets)],
        archives=stored,
        wheel_pointers=tuple(pointers.values()),
        revisions=tuple(revisions),
        environments=tuple(environments),
        builds=tuple(
            Build(f".tmp{n}", 1000, NOW - draw(st.sampled_from(AGES)))
            for n in range(draw(st.integers(0, 2)))
        ),
        strays=tuple(
            Stray(f"archive-v0/stray{n}", "rubbish", draw(st.booleans()), 1000, NOW - 9 * DAY)
            for n in range(draw(st.integers(0, 2)))
        ),
    )


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    outside = [
        environment(f"/home/{number}/.venv", *draw(some_ids))
        for number in range(draw(st.integers(0, 2)))
    ]
    inside = [
        environment(
            f"/cache/archive-v0/{name}", *draw(some_ids), kind=EnvironmentKind.CACHED, tools=("t",)
        )
        for name in draw(st.sets(ids, max_size=2))
    ]
    processes = [
        Process(number, 1000, NOW, "run", (UseOfEntry(f"archive-v0/{draw(ids)}", "map"),))
        for number in range(draw(st.integers(0, 1)))
    ]
    versions = draw(st.sets(st.sampled_from(["0.5.10", "0.8.5", "0.13.8", "99.0.0"])))
    return evidence(
        filesystem=draw(st.sampled_from([LOCAL, NFS])),
        environments=(*outside, *inside),
        processes=tuple(processes),
        releases=tuple(trace(v, age=draw(st.sampled_from(AGES))) for v in sorted(versions)),
    )


def paths(inventory: Inventory) -> list[str]:
    return [
        *(bucket.name for bucket in inventory.buckets),
        *(archive.path for archive in inventory.archives.values()),
        *(pointer.path for pointer in inventory.wheel_pointers),
        *(revision.path for revision in inventory.revisions),
        *(environment.path for environment in inventory.environments),
        *(build.path for build in inventory.builds),
        *(stray.path for stray in inventory.strays),
    ]


@given(inventories(), evidences())
def test_every_entry_is_decided_once_or_lies_in_a_bucket_that_goes(
    stored: Inventory, seen: Evidence
) -> None:
    plan = make_plan(policy(), stored, seen, NOW)
    decided = [decision.path for decision in (*plan.removals, *plan.kept)]
    assert len(decided) == len(set(decided))
    gone = {decision.path for decision in plan.removals}
    for path in paths(stored):
        assert path in decided or path.partition("/")[0] in gone


@given(inventories(), evidences())
def test_nothing_that_is_linked_or_run_is_removed(stored: Inventory, seen: Evidence) -> None:
    plan = make_plan(policy(), stored, seen, NOW)
    gone = {decision.path for decision in plan.removals}
    for found in seen.environments:
        if found.kind is not EnvironmentKind.CACHED:
            assert not {f"archive-v0/{one}" for one in found.archives} & gone
    for process in seen.processes:
        assert not {use.entry for use in process.uses} & gone


@given(inventories(), evidences())
def test_nothing_that_stays_points_at_what_goes(stored: Inventory, seen: Evidence) -> None:
    plan = make_plan(policy(), stored, seen, NOW)
    assert without_dangling(plan.removals, stored, seen) == plan.removals


@settings(max_examples=200)
@given(inventories(), evidences(), ids, st.sampled_from(["link", "process", "release", "unseen"]))
def test_more_use_never_removes_more(
    stored: Inventory, seen: Evidence, name: str, kind: str
) -> None:
    before = {decision.path for decision in make_plan(policy(), stored, seen, NOW).removals}
    if kind == "link":
        more = replace(seen, environments=(*seen.environments, environment("/home/new", name)))
    elif kind == "process":
        use = Process(99, 1000, NOW, "run", (UseOfEntry(f"archive-v0/{name}", "map"),))
        more = replace(seen, processes=(*seen.processes, use))
    elif kind == "release":
        more = replace(seen, releases=(*seen.releases, trace("0.5.10")))
    else:
        hidden = Unseen("environment", "/home/x", "closed", hides_archives=True)
        more = replace(seen, unseen=(hidden,))
    after = {decision.path for decision in make_plan(policy(), stored, more, NOW).removals}
    assert after <= before


@given(inventories(), evidences(), st.randoms(use_true_random=False))
def test_a_shortened_plan_is_made_consistent(stored: Inventory, seen: Evidence, random) -> None:
    removals = make_plan(policy(), stored, seen, NOW).removals
    fewer = [decision for decision in removals if random.random() < 0.6]
    result = without_dangling(fewer, stored, seen)
    gone = {decision.path for decision in result}
    assert gone <= {decision.path for decision in fewer}
    for found in stored.wheel_pointers:
        if found.path not in gone and found.bucket not in gone:
            assert not {f"archive-v0/{one}" for one in found.archives} & gone
