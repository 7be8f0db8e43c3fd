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
    EntryKind,
    GitSource,
    Inventory,
    OnTrial,
    SourceRevision,
    Stray,
    lies_in,
)
from cacheadmin.planner.budget import Choice
from cacheadmin.planner.consistency import leads, without_dangling
from cacheadmin.planner.plan import Plan
from cacheadmin.planner.planner import make_plan
from cacheadmin.policy.model import Policy
from cacheadmin.prune.on_trial import divide_removals
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
OLD, NEW = "environments-v1", "environments-v2"
BUCKETS = ["wheels-v3", "wheels-v5", "wheels-v7", "wheels-v99", "sdists-v9", "git-v0", OLD, NEW]
REVISION_FILES = ("revision.http", "revision.rev")
COMMITS = ["abcdef0", "1234567"]
SOURCES = [
    *(f"sdists-v9/pypi/p/1/{number}" for number in range(3)),
    *(f"git-v0/checkouts/d/{commit}" for commit in COMMITS),
    "git-v0/db/d",
]
FOLDERS = ["script-0123456789abcdef", "project-cp311-0123456789abcdef", "é" * 200]
BUDGETED = [*SOURCES, *(f"sdists-v9/pypi/p/1/{number}/src" for number in range(3))]
AGES = [0, DAY // 2, 2 * DAY, 20 * DAY, 100 * DAY]

ids = st.sampled_from(IDS)
some_commits = st.frozensets(st.sampled_from(COMMITS))
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
            files=("1.0-py3-none-any", "1.0-py3-none-any.http"),
        )
        pointers[found.path] = found
    revisions = [
        SourceRevision(
            f"sdists-v9/pypi/p/1/{number}",
            "sdists-v9",
            "p",
            "1",
            draw(st.sampled_from([True, False, None])),
            (built := draw(some_ids)),
            1000,
            NOW,
            {f"p-1-{name}-none-any": name for name in built if draw(st.booleans())},
            files=draw(
                st.sampled_from([(), ("revision.http",), ("revision.http", "revision.rev")])
            ),
            wheels=tuple(f"p-1-{name}-none-any.whl" for name in sorted(built)),
            unpacked=draw(st.sampled_from([(), ("src",)])),
        )
        for number in range(draw(st.integers(0, 3)) if "sdists-v9" in buckets else 0)
    ]
    git_sources = [
        GitSource(
            f"git-v0/checkouts/d/{commit}",
            "git-v0",
            commit,
            draw(st.sampled_from([None, "git-v0/db/d"])),
            (f"git-v0/checkouts/d/{commit}.ok",) if draw(st.booleans()) else (),
            1000,
            NOW,
        )
        for commit in draw(st.sets(st.sampled_from(COMMITS)))
        if "git-v0" in buckets
    ]
    if "git-v0" in buckets and draw(st.booleans()):
        git_sources.append(GitSource("git-v0/db/d", "git-v0", None, None, (), 1000, NOW))
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
    folders = [
        CachedEnvironment(f"{bucket}/{name}", bucket, None, 1000, NOW - draw(st.sampled_from(AGES)))
        for bucket in sorted(buckets & {OLD, NEW})
        for name in draw(st.sets(st.sampled_from(FOLDERS), max_size=3))
    ]
    tripwires = [
        f"{bucket}/tried-0123456789abcdef"
        for bucket in sorted(buckets & {OLD, NEW})
        if draw(st.booleans())
    ]
    return inventory(
        buckets=["archive-v0", *sorted(buckets)],
        archives=stored,
        wheel_pointers=tuple(pointers.values()),
        revisions=tuple(revisions),
        git_sources=tuple(git_sources),
        environments=(*environments, *folders),
        on_trial={path: OnTrial(path, None, None, 1000, NOW) for path in tripwires},
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
        environment(
            f"/home/{number}/.venv",
            *draw(some_ids),
            commits=frozenset(f"{one}{'0' * 33}" for one in draw(some_commits)),
        )
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
    versions = draw(st.sets(st.sampled_from(["0.5.10", "0.8.5", "0.13.9", "99.0.0"])))
    return evidence(
        filesystem=draw(st.sampled_from([LOCAL, NFS])),
        environments=(*outside, *inside),
        processes=tuple(processes),
        releases=tuple(trace(v, age=draw(st.sampled_from(AGES))) for v in sorted(versions)),
        idle={
            name: draw(st.sampled_from(AGES))
            for name in draw(st.sets(st.sampled_from([*IDS, *SOURCES])))
        },
    )


@st.composite
def rules(draw: st.DrawFn) -> tuple[Policy, Choice | None]:
    """A policy with or without retention, and what its budget gives up."""
    after = draw(st.sampled_from(["off", "1d", "30d"]))
    choice = None
    if draw(st.booleans()):
        choice = Choice(draw(some_ids), "", draw(st.frozensets(st.sampled_from(BUDGETED))))
    prune: dict[str, object] = {"unused": {"after": after}}
    if draw(st.booleans()):
        prune["trial"] = "never"
    prune["environments"] = {"idle": "1d", "keep_latest": draw(st.booleans())}
    return policy(prune=prune, venvs={"complete": draw(st.booleans())}), choice


Ruled = tuple[Policy, Choice | None]


def planned(ruled: Ruled, stored: Inventory, seen: Evidence) -> Plan:
    return make_plan(ruled[0], stored, seen, NOW, ruled[1])


def paths(inventory: Inventory) -> list[str]:
    return [
        *(bucket.name for bucket in inventory.buckets),
        *(archive.path for archive in inventory.archives.values()),
        *(f"{pointer.path}.http" for pointer in inventory.wheel_pointers),
        *(revision.path for revision in inventory.revisions),
        *(source.path for source in inventory.git_sources),
        *(environment.path for environment in inventory.environments),
        *(build.path for build in inventory.builds),
        *(stray.path for stray in inventory.strays),
    ]


@given(inventories(), evidences(), rules())
def test_every_entry_is_decided_once_or_lies_in_a_bucket_that_goes(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    decided = [decision.path for decision in (*plan.removals, *plan.kept)]
    assert len(decided) == len(set(decided))
    gone = {decision.path for decision in plan.removals}
    for path in paths(stored):
        kept_whole = path.removesuffix(".http")
        assert {path, kept_whole} & set(decided) or path.partition("/")[0] in gone


@given(inventories(), evidences(), rules())
def test_a_prune_leaves_nothing_out_that_the_plan_lists(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    divided = divide_removals(ruled[0], stored, planned(ruled, stored, seen).removals)
    assert divided.staying == ()


@given(inventories(), evidences(), rules())
def test_an_environment_that_somebody_may_run_never_goes_without_a_trial(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    if ruled[0].venvs.complete or ruled[0].prune.trial == "never":
        return
    divided = divide_removals(ruled[0], stored, plan.removals)
    for one in stored.environments:
        if one.archive is None and lies_in(one.path, [d.path for d in plan.removals]):
            assert one.path in divided.on_trial


@given(inventories(), evidences(), rules())
def test_nothing_that_is_linked_or_run_is_removed(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    gone = {decision.path for decision in plan.removals}
    for found in seen.environments:
        if found.kind is not EnvironmentKind.CACHED:
            assert not {f"archive-v0/{one}" for one in found.archives} & gone
    for process in seen.processes:
        assert not {use.entry for use in process.uses} & gone


@given(inventories(), evidences(), rules())
def test_nothing_that_stays_points_at_what_goes(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    assert without_dangling(plan.removals, stored, seen) == plan.removals


@settings(max_examples=200)
@given(
    inventories(),
    evidences(),
    rules(),
    ids,
    st.sampled_from(["link", "process", "release", "unseen", "unseen program"]),
)
def test_more_use_never_removes_more(
    stored: Inventory, seen: Evidence, ruled: Ruled, name: str, kind: str
) -> None:
    before = {decision.path for decision in planned(ruled, stored, seen).removals}
    if kind == "link":
        more = replace(seen, environments=(*seen.environments, environment("/home/new", name)))
    elif kind == "process":
        use = Process(99, 1000, NOW, "run", (UseOfEntry(f"archive-v0/{name}", "map"),))
        more = replace(seen, processes=(*seen.processes, use))
    elif kind == "release":
        more = replace(seen, releases=(*seen.releases, trace("0.5.10")))
    else:
        suffices = kind == "unseen program"
        hidden = Unseen("process", "/proc", "closed", True, trial_suffices=suffices)
        more = replace(seen, unseen=(hidden,))
    after = {decision.path for decision in planned(ruled, stored, more).removals}
    assert after <= before


@given(inventories(), evidences(), rules(), st.randoms(use_true_random=False))
def test_a_shortened_plan_is_made_consistent(
    stored: Inventory, seen: Evidence, ruled: Ruled, random
) -> None:
    removals = planned(ruled, stored, seen).removals
    fewer = [decision for decision in removals if random.random() < 0.6]
    result = without_dangling(fewer, stored, seen)
    gone = {decision.path for decision in result}
    assert gone <= {decision.path for decision in fewer}
    for source, target in leads(stored, seen):
        parents = {source.rsplit("/", depth)[0] for depth in range(source.count("/") + 1)}
        assert target not in gone or parents & gone or source == target


@given(inventories(), evidences(), rules())
def test_only_what_nobody_uses_in_any_way_is_given_up(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    given_up = {
        d.path for d in plan.removals if d.rule in ("archive.unused", "archive.over_budget")
    }
    assert not given_up or (not seen.filesystem.network and not seen.unseen)
    for found in seen.environments:
        if found.kind is not EnvironmentKind.CACHED:
            assert not {f"archive-v0/{one}" for one in found.archives} & given_up
    for decision in plan.removals:
        name = ArchiveId(decision.path.removeprefix("archive-v0/"))
        if decision.rule == "archive.unused":
            assert name in seen.idle, "never on first sight"


@given(inventories(), evidences(), rules())
def test_no_removal_lies_in_another(stored: Inventory, seen: Evidence, ruled: Ruled) -> None:
    gone = {decision.path for decision in planned(ruled, stored, seen).removals}
    for path in gone:
        assert not lies_in(path.rpartition("/")[0], gone)


@given(inventories(), evidences(), rules())
def test_what_an_environment_was_built_from_stays(
    stored: Inventory, seen: Evidence, ruled: Ruled
) -> None:
    plan = planned(ruled, stored, seen)
    gone = {d.path for d in plan.removals if d.kind is not EntryKind.BUCKET}
    linked = {one for found in seen.environments for one in found.archives}
    commits = {one for found in seen.environments for one in found.commits}
    for revision in stored.revisions:
        if revision.current and revision.archives & linked & stored.archives.keys():
            assert not {revision.path, *revision.file_paths} & gone
    for source in stored.git_sources:
        if source.commit and any(commit.startswith(source.commit) for commit in commits):
            assert not {source.path, *source.files, source.database} & gone
    if seen.filesystem.network or seen.unseen:
        assert not [d for d in plan.removals if d.rule.startswith(("git.", "source."))]
