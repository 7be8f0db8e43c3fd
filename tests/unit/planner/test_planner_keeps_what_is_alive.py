"""The planner: what stays and why, rule by rule. Pure, no disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cacheadmin.evidence.facts import (
    EnvironmentKind,
    EnvironmentStatus,
    Gap,
    GapKind,
    Pin,
    Process,
    RememberedEnvironment,
    Unseen,
    UseOfEntry,
    UvProcess,
)
from cacheadmin.evidence.sources.other_hosts import lock_gaps
from cacheadmin.inventory.entries import (
    ArchiveContent,
    ArchiveId,
    Build,
    CachedEnvironment,
    OnTrial,
    SourceRevision,
    Stray,
    UnreadEntry,
)
from cacheadmin.planner.plan import Plan, Verdict
from cacheadmin.planner.planner import make_plan
from cacheadmin.policy.model import Policy
from tests.support.facts import (
    DAY,
    HOUR,
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
from tests.support.fleets import observation
from tests.support.uv_releases import NEWEST, newest_bucket


def removed(plan: Plan) -> dict[str, str]:
    return {decision.path: decision.rule for decision in plan.removals}


def kept(plan: Plan) -> dict[str, str]:
    return {decision.path: decision.rule for decision in plan.kept}


def uses(entry: str, **facts: object) -> Process:
    return Process(7, 1000, NOW, "tool", (UseOfEntry(entry, "mapped file"),), **facts)  # type: ignore[arg-type]


ACTIVE = (trace("0.8.5"),)


def test_an_archive_nothing_leads_to_and_nobody_uses_goes() -> None:
    plan = make_plan(policy(), inventory(archives=[archive("a")]), evidence(releases=ACTIVE), NOW)
    assert removed(plan) == {"archive-v0/a": "archive.unreferenced"}
    assert plan.verdict is Verdict.SAFE


def test_an_unreferenced_archive_that_an_environment_links_stays_and_names_it() -> None:
    facts = evidence(releases=ACTIVE, environments=(environment("/home/ana/.venv", "a"),))
    plan = make_plan(policy(), inventory(archives=[archive("a")]), facts, NOW)
    (decision,) = [d for d in plan.kept if d.path == "archive-v0/a"]
    assert decision.rule == "archive.linked"
    assert decision.used_by == ("/home/ana/.venv (uid 1000)",)
    assert plan.verdict is Verdict.LIMITED


def test_links_refuse_when_the_policy_says_so() -> None:
    facts = evidence(environments=(environment("/home/ana/.venv", "a"),))
    plan = make_plan(policy(links={"symlink": "refuse"}), inventory(), facts, NOW)
    assert plan.verdict is Verdict.REFUSED


def test_a_pointer_in_a_needed_bucket_keeps_its_archive_without_a_symlink() -> None:
    stored = inventory(archives=[archive("a")], wheel_pointers=(pointer("wheels-v5", "a"),))
    plan = make_plan(policy(), stored, evidence(releases=ACTIVE), NOW)
    assert kept(plan)["archive-v0/a"] == "archive.referenced"


@pytest.mark.parametrize(
    ("traces", "stays"),
    [
        ((trace("0.5.10"), trace("0.8.5")), True),
        ((trace("0.5.10", age=40 * DAY), trace("0.8.5")), False),
        ((trace(bucket="wheels-v3"), trace("0.8.5")), True),
    ],
)
def test_a_bucket_stays_while_anybody_needs_it(traces: tuple, stays: bool) -> None:
    stored = inventory(
        buckets=["archive-v0", "wheels-v3", "wheels-v5"],
        archives=[archive("a"), archive("b")],
        wheel_pointers=(pointer("wheels-v3", "a"), pointer("wheels-v5", "b")),
    )
    plan = make_plan(policy(), stored, evidence(releases=traces), NOW)
    if stays:
        assert not removed(plan)
    else:
        expected = {"wheels-v3": "bucket.unneeded", "archive-v0/a": "archive.pointers_gone"}
        assert removed(plan) == expected
        assert [d.path for d in plan.removals] == ["wheels-v3", "archive-v0/a"]


def test_what_an_account_has_on_one_host_says_nothing_of_that_number_on_another() -> None:
    """Without a directory service the first account of each host is uid 1000."""
    stored = inventory(buckets=["archive-v0", "wheels-v3", newest_bucket("wheels")])
    here = replace(trace(NEWEST), is_program=True, seen_ns=NOW - DAY)
    there = replace(trace("0.5.10", age=5 * DAY), host="b")
    plan = make_plan(policy(), stored, evidence(releases=(here, there)), NOW)
    assert removed(plan) == {}
    upgraded = replace(here, host="b")
    plan = make_plan(policy(), stored, evidence(releases=(here, upgraded, there)), NOW)
    assert removed(plan) == {"wheels-v3": "bucket.unneeded"}


def test_who_writes_to_one_bucket_needs_those_that_no_release_has_it_without() -> None:
    """simple-v16 is of 0.7.5 to 0.8.14: each of these has sdists-v9, and none has sdists-v8."""
    newest = [newest_bucket("wheels"), newest_bucket("sdists")]
    stored = inventory(buckets=["archive-v0", "wheels-v5", "sdists-v8", "sdists-v9", *newest])
    facts = evidence(releases=(trace(bucket="simple-v16"), trace(NEWEST)))
    plan = make_plan(policy(), stored, facts, NOW)
    assert set(removed(plan)) == {"sdists-v8"}
    (row,) = [one for one in plan.kept if one.path == "sdists-v9"]
    assert "simple-v16" in row.reason
    silent = evidence(releases=(trace(bucket="simple-v16", age=40 * DAY), trace(NEWEST)))
    plan = make_plan(policy(), stored, silent, NOW)
    assert set(removed(plan)) == {"wheels-v5", "sdists-v8", "sdists-v9"}


def test_uv_keep_holds_a_bucket_that_nobody_uses() -> None:
    stored = inventory(buckets=["archive-v0", "wheels-v3", "wheels-v5"])
    plan = make_plan(policy(uv={"keep": ("0.5.10",)}), stored, evidence(releases=ACTIVE), NOW)
    assert not removed(plan)


def test_the_newest_bucket_of_a_kind_survives_a_quiet_year() -> None:
    stored = inventory(
        buckets=["archive-v0", "wheels-v3", "wheels-v5", "built-wheels-v3", "sdists-v9"]
    )
    plan = make_plan(policy(), stored, evidence(releases=(trace("0.8.5", age=400 * DAY),)), NOW)
    assert set(removed(plan)) == {"wheels-v3", "built-wheels-v3"}


def test_buckets_of_an_unknown_newer_release_stay_with_all_above_the_table() -> None:
    stored = inventory(buckets=["archive-v0", "wheels-v3", newest_bucket("wheels"), "wheels-v99"])
    plan = make_plan(policy(), stored, evidence(releases=(trace("99.0.0"),)), NOW)
    assert set(removed(plan)) == {"wheels-v3"}
    assert kept(plan)["wheels-v99"] == "bucket.unknown"
    assert plan.verdict is Verdict.LIMITED


def test_a_bucket_of_unknown_kind_could_name_any_archive() -> None:
    stored = inventory(buckets=["archive-v0", "gadgets-v0"], archives=[archive("a")])
    plan = make_plan(policy(), stored, evidence(releases=ACTIVE), NOW)
    assert kept(plan)["archive-v0/a"] == "archive.unknown_bucket"


def test_a_pointer_of_unknown_shape_keeps_the_archives_of_its_package_only() -> None:
    stored = inventory(
        archives=[archive("six"), archive("idna")],
        wheel_pointers=(pointer("wheels-v5", name="six", understood=False),),
    )
    plan = make_plan(policy(), stored, evidence(releases=ACTIVE), NOW)
    assert set(removed(plan)) == {"archive-v0/idna"}
    assert kept(plan)["archive-v0/six"] == "archive.unknown_pointer"


def test_an_unreadable_environment_keeps_every_archive() -> None:
    hidden = Unseen("environment", "/home/ben/.venv", "Permission denied", True, 1001)
    facts = evidence(releases=ACTIVE, unseen=(hidden,))
    plan = make_plan(policy(), inventory(archives=[archive("a")]), facts, NOW)
    assert not removed(plan)
    assert plan.verdict is Verdict.LIMITED
    strict = policy(venvs={"unreadable": "refuse"})
    refused = make_plan(strict, inventory(archives=[archive("a")]), facts, NOW)
    assert refused.verdict is Verdict.REFUSED


def test_an_unreadable_part_of_a_wheel_bucket_keeps_every_archive() -> None:
    stored = inventory(
        archives=[archive("a")],
        unreadable=(UnreadEntry("wheels-v5/pypi/six", "Permission denied"),),
    )
    assert not removed(make_plan(policy(), stored, evidence(releases=ACTIVE), NOW))


@pytest.mark.parametrize(("locks", "goes"), [(False, False), (None, False), (True, True)])
def test_a_running_uv_that_takes_no_lock_keeps_every_archive(
    locks: bool | None, goes: bool
) -> None:
    version = {True: "0.9.0", False: "0.8.5", None: None}[locks]
    uv = Process(7, 1000, NOW, "uv sync", uv=UvProcess(version, locks))
    facts = evidence(releases=ACTIVE, processes=(uv,))
    plan = make_plan(policy(), inventory(archives=[archive("a")]), facts, NOW)
    assert bool(removed(plan)) is goes


def test_a_missing_environment_is_remembered_as_long_as_the_policy_says() -> None:
    memory = RememberedEnvironment(
        "/home/ana/.venv",
        EnvironmentKind.VENV,
        1000,
        "0.8.5",
        frozenset({ArchiveId("a")}),
        frozenset(),
        "",
        NOW - 3 * DAY,
    )
    missing = environment("/home/ana/.venv", status=EnvironmentStatus.MISSING)
    facts = evidence(releases=ACTIVE, environments=(missing,), remembered=(memory,))
    stored = inventory(archives=[archive("a")])
    # A local filesystem: what is gone is gone.
    assert removed(make_plan(policy(), stored, facts, NOW)) == {
        "archive-v0/a": "archive.unreferenced"
    }
    # It may lie on another host's disk.
    assert not removed(make_plan(policy(), stored, replace(facts, filesystem=NFS), NOW))
    for days, goes in ((2, True), (4, False)):
        said = policy(venvs={"keep_missing": f"{days}d"})
        assert bool(removed(make_plan(said, stored, facts, NOW))) is goes


def cached(age: int = 30 * DAY, name: str = "e") -> CachedEnvironment:
    path = f"environments-v2/0123456789abcdef/{name}"
    return CachedEnvironment(path, "environments-v2", ArchiveId(name), 1000, NOW - age)


WITH_ENVIRONMENTS = ("archive-v0", "wheels-v5", "environments-v2")


def scanned(name: str, *archives: str, tools: tuple[str, ...] = ("tool",)):
    return environment(
        f"/cache/archive-v0/{name}", *archives, kind=EnvironmentKind.CACHED, tools=tools
    )


def test_an_idle_cached_environment_goes_with_what_it_alone_links() -> None:
    stored = inventory(
        buckets=WITH_ENVIRONMENTS,
        archives=[archive("e", content=ArchiveContent.ENVIRONMENT), archive("a")],
        environments=(cached(),),
    )
    facts = evidence(releases=ACTIVE, environments=(scanned("e", "a"),))
    rule = policy(prune={"environments": {"idle": "7d", "keep_latest": False}})
    plan = make_plan(rule, stored, facts, NOW)
    assert set(removed(plan)) == {cached().path, "archive-v0/e", "archive-v0/a"}
    assert plan.removals[0].path == cached().path


def test_the_newest_environment_of_each_tool_stays_with_what_it_links() -> None:
    stored = inventory(
        buckets=WITH_ENVIRONMENTS,
        archives=[
            *(archive(n, content=ArchiveContent.ENVIRONMENT) for n in ("old", "new")),
            archive("a"),
            archive("b"),
        ],
        environments=(cached(60 * DAY, "old"), cached(30 * DAY, "new")),
    )
    facts = evidence(releases=ACTIVE, environments=(scanned("old", "a"), scanned("new", "b")))
    plan = make_plan(policy(), stored, facts, NOW)
    assert set(removed(plan)) == {cached(name="old").path, "archive-v0/old", "archive-v0/a"}
    assert kept(plan)["archive-v0/b"] == "archive.cached_environment"


SCRIPT = "environments-v1/script-0123456789abcdef"


def forgotten(*folders: str, links: int = 0, **facts: object):
    """Return a cache with a bucket of environments that no release in use has."""
    return inventory(
        buckets=("archive-v0", "wheels-v5", "environments-v1", "environments-v2"),
        archives=[archive(f"e{n}", content=ArchiveContent.ENVIRONMENT) for n in range(links)],
        environments=(
            *(CachedEnvironment(p, "environments-v1", None, 1000, NOW - 30 * DAY) for p in folders),
            *(
                CachedEnvironment(
                    f"environments-v1/0123456789abcdef/{n}",
                    "environments-v1",
                    ArchiveId(f"e{n}"),
                    1000,
                    NOW - 30 * DAY,
                )
                for n in range(links)
            ),
        ),
        **facts,
    )


def test_environments_of_a_forgotten_bucket_go_one_by_one_where_nobody_may_be_seen() -> None:
    stored = forgotten(SCRIPT, links=1)
    plan = make_plan(policy(), stored, evidence(releases=ACTIVE), NOW)
    # Not the newest of its tool for a next call, either: no release would find it.
    assert set(removed(plan)) == {SCRIPT, "environments-v1/0123456789abcdef/0", "archive-v0/e0"}
    assert {decision.rests_on for decision in plan.removals} == {"absence"}
    assert kept(plan)["environments-v1"] == "bucket.environments"


def test_a_forgotten_bucket_goes_whole_where_absence_is_proof_or_nothing_is_tried() -> None:
    for word in ({"venvs": {"complete": True}}, {"prune": {"trial": "never"}}):
        plan = make_plan(policy(**word), forgotten(SCRIPT), evidence(releases=ACTIVE), NOW)
        assert set(removed(plan)) == {"environments-v1"}


def test_a_forgotten_bucket_stays_while_its_tripwires_stand_and_goes_then() -> None:
    tried = forgotten(on_trial={SCRIPT: OnTrial(SCRIPT, None, None, 1000, NOW)})
    for word in ({}, {"venvs": {"complete": True}}):
        plan = make_plan(policy(**word), tried, evidence(releases=ACTIVE), NOW)
        assert removed(plan) == {}
        assert kept(plan)["environments-v1"] == "bucket.on_trial"
    plan = make_plan(policy(), forgotten(), evidence(releases=ACTIVE), NOW)
    assert set(removed(plan)) == {"environments-v1"}


def test_what_is_used_in_a_forgotten_bucket_stays_alone() -> None:
    other = f"{SCRIPT[:-1]}0"
    facts = evidence(releases=ACTIVE, processes=(uses(SCRIPT),))
    plan = make_plan(
        policy(prune={"environments": {"keep_latest": False}}), forgotten(SCRIPT, other), facts, NOW
    )
    assert set(removed(plan)) == {other}
    assert kept(plan)[SCRIPT] == "process.running"


def test_an_environment_whose_name_is_too_long_for_a_trial_stays_until_absence_is_proof() -> None:
    long = "environments-v1/" + "é" * 100
    facts = evidence(releases=ACTIVE)
    plan = make_plan(policy(), forgotten(long), facts, NOW)
    assert kept(plan)[long] == "environment.no_trial"
    plan = make_plan(policy(venvs={"complete": True}), forgotten(long), facts, NOW)
    assert set(removed(plan)) == {"environments-v1"}


def test_a_running_tool_keeps_its_environment_its_pointer_and_what_it_links() -> None:
    stored = inventory(
        buckets=WITH_ENVIRONMENTS,
        archives=[archive("e", content=ArchiveContent.ENVIRONMENT), archive("a")],
        environments=(cached(),),
    )
    facts = evidence(
        releases=ACTIVE, environments=(scanned("e", "a"),), processes=(uses("archive-v0/e/bin"),)
    )
    rule = policy(prune={"environments": {"idle": "7d", "keep_latest": False}})
    plan = make_plan(rule, stored, facts, NOW)
    assert not removed(plan)
    assert kept(plan)[cached().path] == "process.running"


@pytest.mark.parametrize(
    ("policies", "goes"),
    [
        ({}, True),
        ({"venvs": {"gaps": "keep"}}, False),
        ({"prune": {"trial": "never"}}, False),
    ],
)
def test_what_an_unseen_program_may_use_goes_on_trial_or_stays(
    policies: dict[str, object], goes: bool
) -> None:
    running = Unseen("process", "/proc", "3 of root's", True, 0, trial_suffices=True)
    seen = evidence(releases=ACTIVE, unseen=(running,))
    plan = make_plan(policy(**policies), inventory(archives=[archive("a")]), seen, NOW)
    assert set(removed(plan)) == ({"archive-v0/a"} if goes else set())
    assert {decision.rests_on for decision in plan.removals} <= {"absence"}
    assert "unseen.process" in {gap.id for gap in plan.gaps}


def test_what_may_be_a_uv_at_work_keeps_every_archive() -> None:
    perhaps_uv = Unseen("process", "/proc", "9 large programs were not read", True, 0)
    seen = evidence(releases=ACTIVE, unseen=(perhaps_uv,))
    assert not removed(make_plan(policy(), inventory(archives=[archive("a")]), seen, NOW))


@pytest.mark.parametrize("stranger", [True, False])
def test_a_uv_of_a_stranger_keeps_nothing(stranger: bool) -> None:
    uv = Process(7, 1002, NOW, "uv sync", uv=UvProcess(), is_stranger=stranger)
    seen = evidence(releases=ACTIVE, processes=(uv,))
    plan = make_plan(policy(), inventory(archives=[archive("a")]), seen, NOW)
    assert bool(removed(plan)) == stranger


def test_a_name_made_from_content_stays_while_a_program_is_not_seen() -> None:
    running = Unseen("process", "/proc", "3 of root's", True, 0, trial_suffices=True)
    made = archive("abcdefghijklmnopqrstuvwx")
    seen = evidence(releases=ACTIVE, unseen=(running,))
    plan = make_plan(policy(venvs={"complete": True}), inventory(archives=[made]), seen, NOW)
    assert not removed(plan)


def test_unseen_processes_keep_cached_environments() -> None:
    stored = inventory(
        buckets=WITH_ENVIRONMENTS,
        archives=[archive("e", content=ArchiveContent.ENVIRONMENT)],
        environments=(cached(),),
    )
    hidden = Unseen("process", "/proc", "not root", hides_archives=True)
    rule = policy(prune={"environments": {"idle": "7d", "keep_latest": False}})
    plan = make_plan(rule, stored, evidence(releases=ACTIVE, unseen=(hidden,)), NOW)
    assert not removed(plan)


def revision(current: bool | None, name: str = "r") -> SourceRevision:
    path = f"sdists-v9/pypi/six/1.0/{name}"
    return SourceRevision(
        path, "sdists-v9", "six", "1.0", current, frozenset({ArchiveId(name)}), 1000, NOW
    )


def test_a_superseded_revision_goes_with_its_archive_and_the_current_one_stays() -> None:
    stored = inventory(
        archives=[archive("old"), archive("new"), archive("git")],
        revisions=(revision(False, "old"), revision(True, "new"), revision(None, "git")),
    )
    plan = make_plan(policy(), stored, evidence(releases=ACTIVE), NOW)
    assert [d.path for d in plan.removals] == [revision(False, "old").path, "archive-v0/old"]
    assert not removed(
        make_plan(policy(prune={"revisions": False}), stored, evidence(releases=ACTIVE), NOW)
    )


@pytest.mark.parametrize("who", ["a process", "a pin"])
def test_a_superseded_revision_that_somebody_uses_stays_with_its_archive(who: str) -> None:
    old = revision(False, "old")
    stored = inventory(
        archives=[archive("old"), archive("new")], revisions=(old, revision(True, "new"))
    )
    used = {
        "a process": {"processes": (uses(old.path),)},
        "a pin": {"pins": (Pin("/p", 1000, path=old.path),)},
    }
    facts = evidence(releases=ACTIVE, **used[who])
    assert not removed(make_plan(policy(), stored, facts, NOW))


def test_a_young_archive_stays_where_an_installer_of_another_host_may_be_about_to_point() -> None:
    stored = inventory(
        archives=[archive("young", mtime_ns=NOW - HOUR // 2), archive("old", mtime_ns=NOW - DAY)]
    )
    alone = policy(hosts={"only": "this"}, venvs={"complete": True})
    there = evidence(releases=ACTIVE, filesystem=NFS)
    assert removed(make_plan(alone, stored, there, NOW)).keys() == {"archive-v0/old"}
    assert kept(make_plan(alone, stored, there, NOW))["archive-v0/young"] == "archive.young"
    here = evidence(releases=ACTIVE)
    assert len(removed(make_plan(alone, stored, here, NOW))) == 2


def test_builds_and_rubbish_go_when_old_and_unknown_names_stay() -> None:
    stored = inventory(
        buckets=["archive-v0", "builds-v0"],
        builds=(
            Build("builds-v0/.tmpold", 1000, NOW - 2 * DAY),
            Build("builds-v0/.tmprunning", 1000, NOW - 2 * DAY),
            Build(".tmpyoung", 1000, NOW - HOUR),
        ),
        strays=(
            Stray("archive-v0/.tmpx", "a temporary folder", True, 1000, NOW - 2 * DAY),
            Stray("notes", "a file of a name unknown to uv", False, 1000, NOW - 400 * DAY),
        ),
    )
    facts = evidence(releases=ACTIVE, processes=(uses("builds-v0/.tmprunning"),))
    assert set(removed(make_plan(policy(), stored, facts, NOW))) == {
        "builds-v0/.tmpold",
        "archive-v0/.tmpx",
    }


_OLD_BUILD = Build("builds-v0/.tmpold", 1000, NOW - 2 * DAY)
_RUBBISH = tuple(
    Stray(f"archive-v0/.tmp{name}", "a temporary folder", True, 1000, NOW - age)
    for name, age in (("young", HOUR), ("old", 2 * DAY))
)


def _left_by_builds(told: Policy, **facts: Any) -> set[str]:
    stored = inventory(buckets=["archive-v0", "builds-v0"], builds=(_OLD_BUILD,), strays=_RUBBISH)
    return set(removed(make_plan(told, stored, evidence(releases=ACTIVE, **facts), NOW)))


@pytest.mark.parametrize("gap", ["hosts.network", "hosts.exported", "hosts.silent"])
def test_what_a_program_of_another_host_may_run_from_stays(gap: str) -> None:
    """Its uv takes no lock, or was killed: nothing shows that program here."""
    gaps = (Gap(gap, GapKind.HOSTS, "/cache", "other hosts may use it", "name them"),)
    assert _left_by_builds(policy(), gaps=gaps) == {"archive-v0/.tmpold"}
    alone = policy(hosts={"only": "this"})
    assert len(_left_by_builds(alone, gaps=gaps)) == 3


@pytest.mark.parametrize(("told_ago", "goes"), [(HOUR, True), (3 * DAY, False)])
def test_a_build_goes_when_every_host_has_told_since_that_it_does_not_use_it(
    told_ago: int, goes: bool
) -> None:
    one = replace(observation(1, [], 0), at_ns=NOW - told_ago)
    gone = _left_by_builds(policy(hosts={"expect": (one.host,)}), filesystem=NFS, hosts=(one,))
    assert (_OLD_BUILD.path in gone) is goes


def test_prune_keep_names_packages_by_pattern() -> None:
    stored = inventory(archives=[archive("torch"), archive("six")])
    plan = make_plan(policy(prune={"keep": ("Tor*",)}), stored, evidence(releases=ACTIVE), NOW)
    assert set(removed(plan)) == {"archive-v0/six"}


@pytest.mark.parametrize(
    ("pattern", "version", "kept"),
    [
        ("six", "1.17.0", True),
        ("SIX", None, True),
        ("six>=1", "1.17.0", True),
        ("six~=1.0", "1.17.0", True),
        ("six==1.17", "1.17.0", True),
        ("six[extra]", "1.17.0", True),
        ("six>=1; python_version < '3'", "1.17.0", True),
        ("six @ https://example.org/six-1.17.0-py3-none-any.whl", "1.17.0", True),
        ("six==1.*", "1.17.0", True),
        ("six==1.1?.0", "1.17.0", True),
        ("s*>=1.17", "1.17.0", True),
        ("six>=1.17", "no version at all", True),
        ("six>=1.17", None, True),
        ("six==1.17.0", "1.17.0+local", True),
        ("six>=1.17", "1.18.0rc1", True),
        ("six>=1.18", "1.17.0", False),
        ("six==1.1?.1", "1.17.0", False),
        ("s?x<1", "1.17.0", False),
        ("sixx", "1.17.0", False),
    ],
)
def test_prune_keep_takes_requirements_and_globs(
    pattern: str, version: str | None, kept: bool
) -> None:
    stored = inventory(archives=[archive("Six", package="six", version=version)])
    plan = make_plan(policy(prune={"keep": (pattern,)}), stored, evidence(releases=ACTIVE), NOW)
    assert (set(removed(plan)) == set()) is kept


def test_a_cache_whose_locks_end_at_this_host_is_never_safe() -> None:
    lockless = replace(NFS, locks_reach_other_hosts=False, lock_note="mount option nolock")
    plan = make_plan(policy(), inventory(), evidence(filesystem=lockless), NOW)
    assert plan.verdict is Verdict.LIMITED
    assert any("nolock" in limit.detail for limit in plan.limits)


@pytest.mark.parametrize("reach", [False, None])
def test_nothing_is_proven_where_locks_may_end_at_this_host(reach: bool | None) -> None:
    """A uv of another host may be about to link, whatever the hosts have told."""
    lockless = replace(NFS, locks_reach_other_hosts=reach)
    stored = inventory(archives=[archive("Six", package="six")])
    facts = evidence(releases=ACTIVE, filesystem=lockless, gaps=tuple(lock_gaps(lockless)))
    told = policy(venvs={"complete": True}, hosts={"expect": ("node1",)})
    plan = make_plan(told, stored, facts, NOW)
    assert [(one.path, one.rests_on) for one in plan.removals] == [("archive-v0/Six", "absence")]
    word = policy(venvs={"complete": True}, hosts={"only": "this"})
    plan = make_plan(word, stored, facts, NOW)
    assert [one.rests_on for one in plan.removals] == ["proof"]
    assert not list(lock_gaps(NFS))


def test_an_unknown_release_and_its_buckets_are_one_line() -> None:
    stored = inventory(buckets=["archive-v0", "wheels-v98", "simple-v90"])
    plan = make_plan(policy(), stored, evidence(releases=(trace("99.0.0"),)), NOW)
    (limit,) = [one for one in plan.limits if one.id.endswith(".unknown")]
    for word in ("uv 99.0.0", "wheels-v98", "simple-v90"):
        assert word in limit.detail
    assert "cacheadmin uv learn" in limit.fix
