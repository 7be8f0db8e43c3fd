"""Revisions, parts of them and git sources: what is given up, in which order, and what stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cacheadmin.accounting import Common, Measured, Size
from cacheadmin.evidence.facts import Evidence, Process, Unseen, UseOfEntry
from cacheadmin.inventory.entries import ArchiveId, GitSource, Inventory, SourceRevision
from cacheadmin.planner.budget import Choice, Coming, Room, choose, units
from cacheadmin.planner.grace import Period, UvAtWork, divide, marks
from cacheadmin.planner.plan import Plan
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from cacheadmin.policy.model import Policy
from tests.support.facts import (
    DAY,
    NFS,
    NOW,
    archive,
    environment,
    evidence,
    inventory,
    policy,
    trace,
)

COMMIT = "0123456789abcdef"
REVISION = "sdists-v9/pypi/p/1/current"
COMMITTED = f"sdists-v9/git/d/{COMMIT}"
CHECKOUT = f"git-v0/checkouts/d/{COMMIT[:7]}"
DATABASE = "git-v0/db/d"
UNUSED = {"unused": {"after": "1d"}}


def revision(path: str = REVISION, built: str = "a", **facts: Any) -> SourceRevision:
    stem = "p-1-py3-none-any"
    values: dict[str, Any] = {
        "package": "p",
        "version": "1.0",
        "current": True,
        "archives": frozenset({ArchiveId(built)}),
        "uid": 1000,
        "mtime_ns": NOW - 9 * DAY,
        "links": {stem: ArchiveId(built)},
        "files": ("revision.http",),
        "wheels": (f"{stem}.whl",),
        "unpacked": ("src",),
    }
    return SourceRevision(path, "sdists-v9", **(values | facts))


def stored(*revisions: SourceRevision, **facts: Any) -> Inventory:
    built = {one for found in revisions for one in found.archives}
    return inventory(
        buckets=["archive-v0", "wheels-v5", "sdists-v9", "git-v0"],
        archives=[archive(one, package="p") for one in sorted(built)],
        revisions=revisions,
        **facts,
    )


def git_sources() -> tuple[GitSource, ...]:
    mark = f"{CHECKOUT}.ok"
    checkout = GitSource(CHECKOUT, "git-v0", COMMIT[:7], DATABASE, (mark,), 1000, NOW)
    return checkout, GitSource(DATABASE, "git-v0", None, None, (), 1000, NOW)


def committed() -> SourceRevision:
    return revision(COMMITTED, "b", current=None, files=(), unpacked=())


def facts(*paths: str, **more: Any) -> Evidence:
    idle = dict.fromkeys(("a", "b", REVISION, COMMITTED, CHECKOUT, DATABASE, *paths), 2 * DAY)
    return evidence(**({"releases": (trace("0.8.5"),), "idle": idle} | more))


def planned(
    found: Inventory, seen: Evidence, rules: Policy | None = None, choice: Choice | None = None
) -> Plan:
    return make_plan(rules or policy(prune=UNUSED), found, seen, NOW, choice)


def removed(plan: Plan) -> list[tuple[str, str]]:
    return [(decision.path, decision.rule) for decision in plan.removals]


def test_a_revision_goes_whole_and_what_names_it_goes_first() -> None:
    assert removed(planned(stored(revision()), facts())) == [
        ("sdists-v9/pypi/p/1/revision.http", "revision.unused"),
        (REVISION, "revision.unused"),
        ("archive-v0/a", "archive.unused"),
    ]


def test_git_sources_go_with_the_commit_that_was_built() -> None:
    found = stored(committed(), git_sources=git_sources())
    assert removed(planned(found, facts())) == [
        (COMMITTED, "revision.unused"),
        (f"{CHECKOUT}.ok", "git.unused"),
        (CHECKOUT, "git.unused"),
        (DATABASE, "git.unused"),
        ("archive-v0/b", "archive.unused"),
    ]
    kept = planned(found, facts(idle={})).kept
    assert {one.package for one in kept if one.path in (CHECKOUT, DATABASE)} == {"p"}


@pytest.mark.parametrize(
    "more",
    [
        {"environments": (environment("/home/a/.venv", "a", "b"),)},
        {"environments": (environment("/home/a/.venv", copied=frozenset({"p==1.0"})),)},
        {"unseen": (Unseen("environment", "/home/x", "closed", hides_archives=True),)},
        {"filesystem": NFS},
        {"idle": {}},
    ],
    ids=["links", "copies", "unreadable", "network", "never observed"],
)
def test_nothing_goes_that_is_used_or_may_be(more: dict[str, Any]) -> None:
    found = stored(revision(), committed(), git_sources=git_sources())
    assert removed(planned(found, facts(**more))) == []


def test_an_environment_of_a_commit_keeps_its_checkout_and_repository() -> None:
    having = environment("/home/a/.venv", commits=frozenset({f"{COMMIT}{'0' * 24}"}))
    found = stored(git_sources=git_sources())
    assert removed(planned(found, facts(environments=(having,)))) == []
    other = environment("/home/a/.venv", commits=frozenset({"f" * 40}))
    assert {path for path, _ in removed(planned(found, facts(environments=(other,))))} == {
        f"{CHECKOUT}.ok",
        CHECKOUT,
        DATABASE,
    }


def test_who_works_in_a_source_keeps_all_around_it() -> None:
    for inside in (f"{REVISION}/src/pkg", f"{CHECKOUT}/lib"):
        use = Process(7, 1000, NOW, "build", (UseOfEntry(inside, "working directory"),))
        found = stored(revision(), git_sources=git_sources())
        gone = {path for path, _ in removed(planned(found, facts(processes=(use,))))}
        assert inside.rpartition("/")[0].removesuffix("/src") not in gone
    superseded = stored(revision(current=False))
    use = Process(7, 1000, NOW, "build", (UseOfEntry(f"{REVISION}/src", "working directory"),))
    assert removed(planned(superseded, facts(processes=(use,)))) == []


@pytest.mark.parametrize(
    "change",
    [{"current": None}, {"archives": frozenset({ArchiveId("a"), ArchiveId("c")})}],
    ids=["not understood", "a wheel that no link names"],
)
def test_what_is_not_understood_stays(change: dict[str, Any]) -> None:
    gone = {path for path, _ in removed(planned(stored(revision(**change)), facts("c")))}
    assert REVISION not in gone
    assert "sdists-v9/pypi/p/1/revision.http" not in gone


def test_two_revisions_that_two_files_name_go_together_or_not_at_all() -> None:
    files = ("revision.http", "revision.rev")
    other = "sdists-v9/pypi/p/1/other"
    both = stored(revision(files=files), revision(other, "b", files=files))
    gone = [path for path, _ in removed(planned(both, facts(other)))]
    assert len(gone) == len(set(gone)) == 6
    one = {path for path, _ in removed(planned(both, facts()))}
    assert not one & {REVISION, *(f"sdists-v9/pypi/p/1/{name}" for name in files)}


def test_the_policy_can_keep_sources_and_packages() -> None:
    found = stored(revision(), git_sources=git_sources())
    for prune in ({**UNUSED, "revisions": False}, {**UNUSED, "keep": ("p",)}):
        gone = {path for path, _ in removed(planned(found, facts(), policy(prune=prune)))}
        assert REVISION not in gone
    kept = policy(prune={**UNUSED, "revisions": False})
    assert not {path for path, _ in removed(planned(found, facts(), kept)) if "git" in path}


def test_of_two_wheels_of_a_revision_the_unused_one_goes_with_its_file() -> None:
    links = {"p-1-cp311-none-any": ArchiveId("a"), "p-1-cp312-none-any": ArchiveId("b")}
    two = revision(
        archives=frozenset(links.values()),
        links=links,
        wheels=tuple(f"{name}.whl" for name in links),
    )
    using = environment("/home/a/.venv", "a")
    assert {path for path, _ in removed(planned(stored(two), facts(environments=(using,))))} == {
        f"{REVISION}/p-1-cp312-none-any",
        f"{REVISION}/p-1-cp312-none-any.whl",
        "archive-v0/b",
    }


# Budget


def measured(found: Inventory, **common: Common) -> Measured[str]:
    paths = [
        *(one.path for one in found.archives.values()),
        *(one.path for one in found.revisions),
        *(path for one in found.revisions for path in one.parts),
        *(one.path for one in found.git_sources),
    ]
    return Measured(dict.fromkeys(paths, Size(100, 100, 100, 1)))


def chosen(found: Inventory, seen: Evidence, over: int) -> Choice:
    rules = policy(prune={"budget": {"max_size": "1000B"}})
    case = PlanInput(rules, found, seen, NOW)
    live = make_plan(rules, found, seen, NOW).live
    candidates = tuple(units(case, live, frozenset()))
    room = Room(1000 + over, 50, 0, 10**6)
    return choose(rules.prune.budget, room, candidates, Coming(measured(found), ()))


def test_a_budget_gives_up_the_cheapest_first() -> None:
    used = revision("sdists-v9/pypi/q/1/used", "u", package="q")
    found = stored(used, revision(), git_sources=git_sources())
    found = replace(
        found, archives={**found.archives, ArchiveId("w"): archive("w", package="wheel")}
    )
    seen = facts(environments=(environment("/home/a/.venv", "u"),))
    order = [set(chosen(found, seen, over).sources) for over in (1, 101, 201)]
    assert order[0] == {f"{used.path}/p-1-py3-none-any.whl"}
    assert order[1] == order[0] | {f"{used.path}/src"}
    assert order[2] == order[1] | {CHECKOUT}
    assert chosen(found, seen, 301).archives == {ArchiveId("w")}
    last = chosen(found, seen, 10**6)
    assert last.sources == order[2] | {DATABASE, REVISION}
    assert last.archives == {ArchiveId("w"), ArchiveId("a")}
    assert "above max_size" in last.unmet


def test_a_budget_gives_up_no_revision_that_is_not_understood_or_goes_anyway() -> None:
    rules = policy(prune={"budget": {"max_size": "1000B"}})
    for found, gone in (
        (stored(revision(current=None)), frozenset()),
        (stored(revision()), frozenset({REVISION})),
    ):
        case = PlanInput(rules, found, facts(), NOW)
        live = make_plan(rules, found, facts(), NOW).live
        sources = {path for unit in units(case, live, gone) for path in unit.sources}
        assert not {path for path in sources if path.startswith(REVISION)}


def test_contents_come_free_with_the_last_archive_that_shares_them() -> None:
    size = Size(100, 100, 0, 1)
    sizes = {"archive-v0/a": size, "archive-v0/b": size, "files-v0": size}
    one = Common(100, 100, 1, 100, 100, 1)
    held = Common(100, 100, 1, 0, 0, 0)
    room = Room(1000, 10, 0, 10**6)
    shared = frozenset({"archive-v0/a", "archive-v0/b", "files-v0"})
    coming = Coming(Measured(sizes, {shared: one}), ["files-v0"])
    first = coming.take(["archive-v0/a"], room)
    assert (first.cache_bytes, first.free_bytes) == (1000, 0)
    second = coming.take(["archive-v0/b", "archive-v0/a"], first)
    assert (second.cache_bytes, second.free_bytes, second.cache_files) == (900, 100, 9)
    # What an environment shares as well stays in the bucket.
    coming = Coming(Measured(sizes, {shared: held}), ["files-v0"])
    assert coming.take(["archive-v0/a", "archive-v0/b"], room).cache_bytes == 1000


# Beside a uv at work


def test_beside_a_uv_at_work_what_is_found_by_name_waits_and_names_go_first() -> None:
    found = stored(revision(), committed(), git_sources=git_sources())
    seen = facts()
    removals = planned(found, seen).removals
    busy = UvAtWork("boot", "ns", frozenset({(1, 1)}))
    now = {d.path for d in divide(removals, found, seen, (), busy).now}
    assert now == {"sdists-v9/pypi/p/1/revision.http"}
    idle = UvAtWork("boot", "ns", frozenset())
    later = divide(removals, found, seen, (), idle)
    assert {CHECKOUT, DATABASE, COMMITTED} <= {d.path for d in later.now}
    # The next run finds a revision that nothing names, and reclaims it once its knowers ended.
    orphan = stored(revision(current=None, files=()), committed(), git_sources=git_sources())
    removals = planned(orphan, seen).removals
    period = Period(busy, marks(removals, orphan, {}, now_ns=None))
    ripe = divide(removals, orphan, seen, (period,), UvAtWork("boot", "ns", frozenset({(2, 2)})))
    assert REVISION in {d.path for d in ripe.now}
    assert not {CHECKOUT, COMMITTED} & {d.path for d in ripe.now}
