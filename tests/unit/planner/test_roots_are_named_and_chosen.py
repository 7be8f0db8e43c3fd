"""Which roots are planted: their names, their buckets, and the archives that get one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheadmin.evidence.facts import EnvironmentKind, Process, Unseen, UseOfEntry
from cacheadmin.inventory.entries import ArchiveContent, ArchiveId, CachedEnvironment
from cacheadmin.planner.in_use import archives_in_use
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.protect.roots import (
    WantedRoots,
    archive_of,
    releases_of,
    root_buckets,
    root_name,
    root_target,
)
from cacheadmin.uv.layout import wheel_stem
from tests.support.facts import (
    NOW,
    archive,
    environment,
    evidence,
    inventory,
    pointer,
    policy,
)
from tests.support.uv_releases import newest_bucket

IDS = st.text("abcdefgXYZ0123456789_-", min_size=1, max_size=64)


@given(IDS)
def test_a_root_is_parsed_back_to_its_archive(name: str) -> None:
    root = root_name(ArchiveId(name))
    assert archive_of(root) == name
    assert wheel_stem(root) == (root.partition("-")[0], "0")
    assert len(root) < 255
    assert root_target(ArchiveId(name)).split("/") == ["..", "..", "archive-v0", name]


@pytest.mark.parametrize(
    "name",
    [
        "root-0-py3-none-any",
        "rootzz-0-py3-none-any",
        "root2f-0-py3-none-any",
        "root2E2E-0-py3-none-any",
        "root61-0-py3-none-any.http",
        "root41-1-py3-none-any",
        "six-1.16.0-py2.py3-none-any",
        "rootff-0-py3-none-any",
        "",
    ],
)
def test_nothing_else_is_taken_for_a_root(name: str) -> None:
    assert archive_of(name) is None


def test_roots_lie_in_the_source_bucket_of_every_release_and_ahead_of_it() -> None:
    assert root_buckets(2) == (
        "git-v0",
        *(f"built-wheels-v{version}" for version in range(4)),
        *(f"sdists-v{version}" for version in range(4, 14)),
    )
    assert root_buckets(0)[-1] == newest_bucket("sdists")
    assert root_buckets(1, ["sdists-v13", "wheels-v9"])[-2:] == ("sdists-v13", "sdists-v14")
    assert releases_of("sdists-v9") == "uv 0.6.8 to before 0.13.0"


def test_a_seal_tells_one_set_of_roots_from_another_and_is_no_whole_second() -> None:
    seals = {
        WantedRoots((), frozenset(ArchiveId(str(one)) for one in range(number))).seal_ns
        for number in range(200)
    }
    assert len(seals) == 200
    assert all(0 < seal < 10**9 for seal in seals)


def case_of(**facts) -> PlanInput:
    archives = [archive(name) for name in ("linked", "pointed", "kept", "inner")]
    archives.append(archive("tool", content=ArchiveContent.ENVIRONMENT))
    found = inventory(
        archives=archives,
        wheel_pointers=(pointer("wheels-v5", "pointed"), pointer("wheels-v5", "linked")),
        environments=(
            CachedEnvironment("environments-v2/1/2", "environments-v2", ArchiveId("tool"), 0, NOW),
        ),
    )
    seen = {"environments": (environment("/home/ana/.venv", "linked", "gone"), *cached())}
    return PlanInput(policy(prune={"keep": ("kept",)}), found, evidence(**(seen | facts)), NOW)


def cached():
    yield environment("/cache/archive-v0/tool", "inner", kind=EnvironmentKind.CACHED)


def test_an_archive_that_only_pointers_lead_to_is_not_protected() -> None:
    assert archives_in_use(case_of()).archives == {"linked", "kept"}


def test_a_running_process_protects_its_cached_environment_and_what_that_links() -> None:
    running = Process(7, 0, 0, "cowsay", (UseOfEntry("archive-v0/tool", "variable PATH"),))
    found = archives_in_use(case_of(processes=(running,)))
    assert found.archives == {"linked", "kept", "tool", "inner"}
    assert found.note == ""


def test_an_unreadable_place_protects_every_archive_and_says_so() -> None:
    unseen = Unseen("environment", "/home/eve", "Permission denied", hides_archives=True)
    found = archives_in_use(case_of(unseen=(unseen,)))
    assert found.archives == {"linked", "pointed", "kept", "inner", "tool"}
    assert "/home/eve" in found.note


def test_unseen_processes_protect_the_cached_environments() -> None:
    unseen = Unseen("process", "/proc", "3 of eve's may only be looked at", hides_archives=True)
    found = archives_in_use(case_of(unseen=(unseen,)))
    assert found.archives == {"linked", "kept", "tool", "inner"}
    assert "eve's" in found.note
