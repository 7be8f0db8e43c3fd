"""Explanations: who keeps what through what, both ways, and what would change it."""

from __future__ import annotations

from dataclasses import replace

from cacheadmin.evidence.facts import (
    EnvironmentKind,
    Evidence,
    Pin,
    Process,
    RememberedEnvironment,
    UseOfEntry,
)
from cacheadmin.inventory.entries import ArchiveContent, ArchiveId, CachedEnvironment
from cacheadmin.planner.chains import StepKind, chain_words
from cacheadmin.planner.explanation import EntryStory, Explanation, explain
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.planner import make_plan
from tests.support.facts import (
    DAY,
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

MARCH = NOW - 250 * DAY


def explained(
    target: str, seen: Evidence, *, rule=None, absolute: str = "/nowhere", **facts
) -> Explanation:
    rule = rule or policy(prune={"environments": {"idle": "7d", "keep_latest": False}})
    stored = inventory(
        buckets=["archive-v0", "wheels-v7", "wheels-v3", "environments-v2"],
        archives=[
            archive("Linked", package="numpy", version="2.1.0"),
            archive("Pointed", package="six", version="1.16.0"),
            archive("Alone", package="numpy", version="1.26.0"),
            archive("Tool", content=ArchiveContent.ENVIRONMENT, version=None),
            archive("Inner", package="cowsay", version="6.0"),
        ],
        wheel_pointers=(
            pointer("wheels-v7", "Pointed", name="six"),
            pointer("wheels-v3", "Alone", name="numpy"),
        ),
        environments=(
            CachedEnvironment(
                "environments-v2/tool", "environments-v2", ArchiveId("Tool"), 0, NOW - 90 * DAY
            ),
        ),
    )
    case = PlanInput(rule, stored, seen, NOW)
    return explain(
        case,
        make_plan(rule, stored, seen, NOW),
        target,
        absolute=absolute,
        host="node3",
        replan=lambda other: make_plan(rule, stored, other, NOW),
    )


def seen(**facts) -> Evidence:
    base = {
        "releases": (trace("0.13.8"),),
        "user_names": {1000: "ana"},
        "environments": (
            environment(
                "/home/ana/.venv", "Linked", links=312, changed_ns=MARCH, uv_version="0.8.5"
            ),
            environment("/cache/archive-v0/Tool", "Inner", kind=EnvironmentKind.CACHED),
        ),
    }
    return evidence(**(base | facts))


def one(target: str, found: Evidence | None = None, **facts) -> EntryStory:
    (story,) = explained(target, found or seen(), **facts).entries
    return story


def texts(story: EntryStory) -> list[str]:
    return [chain_words(chain) for chain in story.chains]


def test_an_archive_names_its_environment_links_time_and_host() -> None:
    story = one("Linked")
    assert not story.removed
    assert texts(story) == [
        "/home/ana/.venv (ana, uv 0.8.5) -> archive Linked (numpy 2.1.0), "
        "312 links, seen 11:06 UTC on node3"
    ]
    assert "one environment, /home/ana/.venv (ana), untouched since 2026-03-1" in story.near_miss
    assert story.near_miss.startswith("kept only because of")
    assert any("/home/ana/.venv" in sentence for sentence in story.to_change)


def test_two_environments_are_no_near_miss() -> None:
    found = seen()
    second = environment("/home/ben/.venv", "Linked", uid=1001)
    story = one("Linked", replace(found, environments=(*found.environments, second)))
    assert len(story.chains) == 2
    assert story.near_miss == ""


def test_a_pointer_is_followed_to_the_user_who_needs_its_bucket() -> None:
    story = one("Pointed")
    text = texts(story)[0]
    assert text.startswith("ana (uses uv 0.13.8 (")
    assert "-> wheels-v7 -> wheels-v7/pypi/six/1.0-py3-none-any (six 1.0)" in text
    assert text.endswith("-> archive Pointed (six 1.16.0)")
    assert story.near_miss.startswith("no user uses it: only pointers in wheels-v7 keep it")


def test_a_process_is_followed_through_its_cached_environment_to_the_archives() -> None:
    running = Process(7, 1000, 0, "cowsay", (UseOfEntry("archive-v0/Tool", "mapped file"),))
    story = one("Inner", seen(processes=(running,)))
    assert (
        "process 7 of ana: cowsay (a running process uses it (mapped file)) -> archive Tool "
        "-> archive Inner (cowsay 6.0)"
    ) in texts(story)
    assert {chain.begins.kind for chain in story.chains} == {StepKind.PROCESS}
    assert story.near_miss.startswith("kept only because of process 7 of ana: cowsay")


def test_what_goes_says_which_rule_and_how_to_keep_it() -> None:
    story = one("Alone")
    assert story.removed
    assert story.decision.rule == "archive.pointers_gone"
    assert story.chains == ()
    assert story.to_change[0].startswith("`cacheadmin pin add POLICY archive-v0/Alone`")
    pointer_story = one("wheels-v3/pypi/numpy/1.0-py3-none-any")
    assert pointer_story.removed
    assert pointer_story.decision.path == "wheels-v3"


def test_a_pin_and_what_nobody_can_see_are_named() -> None:
    pins = (Pin("/p", 1000, "archive-v0/Alone", reason="the paper"),)
    story = one("Alone", seen(pins=pins))
    assert texts(story) == ["pin of ana (pinned by ana: the paper) -> archive Alone (numpy 1.26.0)"]
    assert story.decision.rule == "archive.pinned"
    assert "cacheadmin pin remove" in story.to_change[0]
    assert story.near_miss.startswith("kept only because of pin of ana")


def test_an_environment_that_is_missing_here_is_named_with_when_it_was_seen() -> None:
    memory = RememberedEnvironment(
        "/scratch/env", EnvironmentKind.VENV, 1000, None, frozenset({ArchiveId("Alone")}),
        frozenset(), "", NOW - 3 * DAY,
    )  # fmt: skip
    story = one("Alone", seen(filesystem=NFS, remembered=(memory,)))
    assert any(
        text.startswith("/scratch/env (ana) -> archive Alone") and "last seen 2026-11-1" in text
        for text in texts(story)
    )


def test_a_package_explains_all_its_entries_and_a_version_only_its_own() -> None:
    paths = {story.entry.path for story in explained("NumPy", seen()).entries}
    assert paths == {
        "archive-v0/Linked",
        "archive-v0/Alone",
        "wheels-v3/pypi/numpy/1.0-py3-none-any",
    }
    found = explained("numpy==2.1.0", seen()).entries
    assert [story.entry.path for story in found] == ["archive-v0/Linked"]
    assert explained("nothing", seen()) == Explanation((), ())


def test_a_bucket_is_explained_alone_by_everybody_who_needs_it() -> None:
    story = one("wheels-v7")
    assert story.decision.rule == "bucket.needed"
    assert texts(story)[0].startswith("ana (uses uv 0.13.8")


def test_an_environment_says_what_it_keeps_and_what_would_come_free() -> None:
    for absolute in ("/home/ana/.venv", "/home/ana/.venv/bin/python", "/home/ana"):
        found = explained(absolute, seen(), absolute=absolute)
        (story,) = found.environments
        assert [kept.entry.path for kept in story.keeps] == ["archive-v0/Linked"]
        assert story.keeps[0].others == ()
        assert story.freed is not None
        assert [decision.path for decision in story.freed] == ["archive-v0/Linked"]


def test_what_others_use_too_does_not_come_free() -> None:
    both = (
        environment("/home/ana/.venv", "Linked", "Pointed"),
        environment("/home/ben/.venv", "Linked", uid=1001),
    )
    found = explained("/home/ana/.venv", seen(environments=both), absolute="/home/ana/.venv")
    (story,) = found.environments
    assert story.freed == ()
    others = {kept.entry.path: kept.others for kept in story.keeps}
    assert others["archive-v0/Linked"] == ("/home/ben/.venv (uid 1001)",)
    assert others["archive-v0/Pointed"] == ()


def test_a_path_that_begins_like_another_is_another_user() -> None:
    both = (
        environment("/home/ana/proj", "Linked"),
        environment("/home/ana/proj (ana)", "Linked"),
        environment("/home/ana/proj (copy)", "Linked"),
    )
    found = explained("/home/ana/proj", seen(environments=both), absolute="/home/ana/proj")
    (story,) = found.environments
    assert story.keeps[0].others == ("/home/ana/proj (ana) (ana)", "/home/ana/proj (copy) (ana)")
    assert story.freed == ()


def test_an_environment_in_the_cache_says_what_it_needs() -> None:
    found = explained("Tool", seen())
    assert [story.entry.path for story in found.entries] == ["archive-v0/Tool"]
    (story,) = found.environments
    assert story.freed is None
    assert [kept.entry.path for kept in story.keeps] == ["archive-v0/Inner"]
