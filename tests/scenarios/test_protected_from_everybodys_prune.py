"""Protection: `uv cache prune` of any release leaves what is in use, on a cache of three.

Without it the same prunes break environments; that is asserted too. Releases
are those whose prune behaves differently (docs/uv-prune-by-release.md).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.mixed_cache import deleted_tops
from tests.support.packages import Index
from tests.support.running_uv import install
from tests.support.shared_cache import (
    SharedCache,
    age,
    copy_in_place_of,
    dangling_links,
    names_in,
    tree_snapshot,
)
from tests.support.users import me, open_temporary_folder
from tests.support.uv_releases import NEWEST

USED = ("0.5.10", "0.8.5", NEWEST)

RELEASES = (
    "0.2.37",
    "0.4.10",
    "0.4.30",
    "0.5.10",
    "0.6.2",
    "0.6.4",
    "0.7.22",
    "0.8.5",
    "0.8.24",
    "0.9.0",
    "0.10.12",
    "0.11.19",
    "0.11.33",
    "0.12.24",
    NEWEST,
)

# One of each way in which prune counts references; `make test-long` runs all, and with --ci.
QUICK = frozenset({"0.2.37", "0.5.10", "0.6.4", "0.8.5", "0.11.33", "0.12.24", NEWEST})
QUICK_CI = frozenset({"0.5.10", "0.11.33", NEWEST})

# Each change of what prune does, first and last release of it where not above.
MORE_RELEASES = (
    "0.1.24",
    "0.1.32",
    "0.2.22",
    "0.2.27",
    "0.2.28",
    "0.2.29",
    "0.4.7",
    "0.4.11",
    "0.4.13",
    "0.4.14",
    "0.5.31",
    "0.6.0",
    "0.6.3",
    "0.6.12",
    "0.6.13",
    "0.7.2",
    "0.7.3",
    "0.7.4",
    "0.7.8",
    "0.7.9",
    "0.8.4",
    "0.8.18",
    "0.8.19",
    "0.9.30",
    "0.11.20",
    "0.11.21",
    "0.12.23",
)

# `--ci` came with 0.2.29.
WITHOUT_CI = frozenset({"0.1.24", "0.1.32", "0.2.22", "0.2.27", "0.2.28"})


@dataclass
class Protected:
    """A cache that several releases use, and who protects it."""

    shared: SharedCache
    cacheadmin: Cacheadmin
    policy: Path
    in_use: int = 0

    def dangling(self) -> int:
        return sum(len(dangling_links(path)) for path in self.shared.environments)

    def archives(self) -> set[str]:
        return set(os.listdir(self.shared.path / "archive-v0"))

    def protect(self, *options: str, code: int = 0) -> dict:
        return self.cacheadmin("protect", self.policy, *options, "--format", "json", code=code).json


def build(folder: Path, index: Index, releases: tuple[str, ...] = USED) -> Protected:
    shared = SharedCache.create(folder, index)
    for release in releases:
        shared.environment(f"project-{release}", release, "six==1.16.0", "cowsay==6.0")
    (folder / "cacheadmin").mkdir()
    cacheadmin = Cacheadmin(folder / "cacheadmin")
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    return Protected(shared, cacheadmin, policy)


@pytest.fixture(scope="module")
def built(index: Index) -> Iterator[Protected]:
    """Protected once; tests that change it work on a copy in its place."""
    folder = open_temporary_folder("cacheadmin-protected-")
    protected = build(folder, index)
    protected.in_use = protected.protect()["archives"]
    yield protected
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own(open_folder: Path, index: Index) -> Protected:
    """Not protected yet, and the test's own."""
    return build(open_folder, index, (USED[0], USED[-1]))


def prunes(releases: tuple[str, ...]) -> list:
    return [
        pytest.param(
            release,
            ci,
            id=f"{release}{'-ci' * bool(ci)}",
            marks=[] if release in (QUICK_CI if ci else QUICK) else [pytest.mark.long],
        )
        for release in releases
        for ci in ((), ("--ci",))
        if not (ci and release in WITHOUT_CI)
    ]


def holds_against(protected: Protected, release: str, ci: tuple[str, ...]) -> None:
    shared = protected.shared
    with copy_in_place_of(shared.path):
        shared.uv(release, "cache", "prune", *ci, user=me())
        assert protected.dangling() == 0
        assert len(protected.archives()) == protected.in_use == 2 * len(USED)
        # It took the roots of other releases; they come back.
        assert protected.protect()["planted"] > 0


@pytest.mark.parametrize(("release", "ci"), prunes(RELEASES))
def test_nothing_in_use_is_lost(built: Protected, release: str, ci: tuple[str, ...]) -> None:
    holds_against(built, release, ci)


@pytest.mark.long
@pytest.mark.parametrize(("release", "ci"), prunes(MORE_RELEASES))
def test_nor_by_any_release_where_prune_changed(
    built: Protected, release: str, ci: tuple[str, ...]
) -> None:
    holds_against(built, release, ci)


@pytest.mark.parametrize("release", [RELEASES[0], "0.6.4", NEWEST])
def test_without_protection_the_same_prune_breaks_environments(
    built: Protected, release: str
) -> None:
    with copy_in_place_of(built.shared.path):
        built.protect("--remove")
        built.shared.uv(release, "cache", "prune", user=me())
        assert built.dangling() > 0


def test_cleaning_one_package_leaves_its_archives_too(built: Protected) -> None:
    with copy_in_place_of(built.shared.path):
        before = built.archives()
        built.shared.uv(NEWEST, "cache", "clean", "six", user=me())
        assert built.dangling() == 0
        assert built.archives() == before


def test_an_environment_that_is_deleted_is_freed_by_users_own_prune(own: Protected) -> None:
    shared = own.shared
    alone = shared.environment("alone", NEWEST, "idna==3.7", "docopt==0.6.2")
    first = own.protect()
    shared.uv(NEWEST, "cache", "prune", "--ci", user=me())
    kept = own.archives()
    assert len(kept) == first["archives"]

    shared.remove_environment(alone)
    again = own.protect()
    assert again["archives"] == first["archives"] - 2
    assert again["removed"] > 0
    shared.uv(NEWEST, "cache", "prune", "--ci", user=me())
    assert len(kept - own.archives()) == 2
    assert own.dangling() == 0


def test_check_changes_nothing_and_tells_by_its_code(own: Protected) -> None:
    before = tree_snapshot(own.shared.path)
    said = own.protect("--check", code=4)
    assert said["missing"] == said["archives"] * len(said["buckets"]) > 0
    assert tree_snapshot(own.shared.path) == before
    own.protect()
    planted = tree_snapshot(own.shared.path)
    assert own.protect("--check")["complete"]
    assert own.protect()["planted"] == 0
    assert tree_snapshot(own.shared.path) == planted
    assert own.cacheadmin("-q", "protect", own.policy, code=0).stdout == ""


def test_removing_it_leaves_no_trace(own: Protected) -> None:
    before = names_in(own.shared.path)
    own.protect()
    own.protect("--remove")
    assert names_in(own.shared.path) == before


def test_a_link_in_place_of_the_archives_is_told_by_what_would_protect_them(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """Uv follows it, so that every environment works; any member can put one there."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    rubbish = shared.path / "archive-v0" / ".tmpAbCdEf"
    rubbish.mkdir()
    archives = shared.path / "archive-v0"
    elsewhere = archives.rename(shared.path.with_name("elsewhere"))
    archives.symlink_to(elsewhere)
    (shared.path / "wheels-v3").mkdir()
    age(shared.path / "wheels-v3", 60)
    policy = cacheadmin.policy(shared.path, "protect: {enabled: true}\n")

    for words, code in ((("protect", policy, "--check"), 4), (("protect", policy), 7)):
        said = cacheadmin(*words, code=code).stdout
        assert "no archive can be protected: archive-v0: it is a link, not a folder" in said
    pruned = cacheadmin("prune", policy, code=0)
    assert "archive-v0 could not be protected: it is a link, not a folder" in pruned.stderr
    assert not (shared.path / "wheels-v3").exists()
    assert dangling_links(environment) == {}
    assert (elsewhere / rubbish.name).is_dir()


def plans(protected: Protected) -> set[tuple[object, ...]]:
    plan = protected.cacheadmin("plan", protected.policy, "--format", "json").json
    schemas = protected.cacheadmin("schemas", protected.policy, "--format", "json").json
    return {
        ("verdict", plan["verdict"]),
        *(
            (key, row["path"], row["rule"], tuple(row["used_by"]))
            for key in ("removals", "kept")
            for row in plan[key]
        ),
        *(("bucket", row["name"], row["status"]) for row in schemas["buckets"]),
        *(
            ("user", user["uid"], version["version"], version["evidence"])
            for user in schemas["users"]
            for version in user["versions"]
        ),
    }


def test_protection_is_no_evidence_for_our_own_planner(own: Protected) -> None:
    shutil.rmtree(own.shared.environments.pop())
    # A program of another test that starts or ends between two looks is evidence, too.
    for _ in range(3):
        before = plans(own)
        own.protect()
        other = plans(own) ^ before
        if not other:
            break
        print("in one of both alone:", other)
        own.protect("--remove")
    assert not other


def test_our_own_prune_protects_afterwards_what_it_left(own: Protected) -> None:
    shared = own.shared
    gone = shared.environment("gone", "0.4.30", "docopt==0.6.2")
    shared.remove_environment(gone)
    text = f"venvs:\n  include: ['{shared.homes}/*/*']\nuv:\n  active_within: 0s\n"
    own.policy = own.cacheadmin.policy(
        shared.path, f"{text}protect:\n  enabled: true\n  ahead: 1\n"
    )
    pruned = own.cacheadmin("prune", own.policy, "--format", "json", code=0).json
    assert "sdists-v5" in {row["path"] for row in pruned["removals"]}
    assert pruned["protection"]["complete"]
    assert own.protect("--check")["complete"]
    assert not (shared.path / "sdists-v13").exists()
    for release in ("0.4.30", "0.8.5"):
        shared.uv(release, "cache", "prune", user=me())
        assert own.dangling() == 0
        own.protect()
    # Undo puts the bucket back although roots stand in its place.
    restored = own.cacheadmin("runs", "restore", own.policy, pruned["run_id"], code=0)
    assert "stays" not in restored.stderr
    assert {"index", "cacheadmin"} <= set(os.listdir(shared.path / "sdists-v5"))
    assert own.protect("--check")["complete"]


def test_a_prune_that_takes_a_bucket_with_roots_plants_them_again_unasked(own: Protected) -> None:
    shared = own.shared
    gone = shared.environment("gone", "0.4.30", "pytz==2023.3")
    shared.remove_environment(gone)
    own.protect()
    text = f"venvs:\n  include: ['{shared.homes}/*/*']\nuv:\n  active_within: 0s\n"
    own.policy = own.cacheadmin.policy(shared.path, text)
    pruned = own.cacheadmin("prune", own.policy, "--format", "json", code=0).json
    assert "sdists-v5" in {row["path"] for row in pruned["removals"]}
    assert own.protect("--check")["complete"]
    restored = own.cacheadmin("runs", "restore", own.policy, pruned["run_id"], code=0)
    assert "stays" not in restored.stderr
    assert own.protect("--check")["complete"]
    own.protect("--remove")
    again = own.cacheadmin("prune", own.policy, "--format", "json", code=0).json
    assert again["protection"] is None
    assert own.protect("--check", code=4)["missing"]


def test_simulate_tells_what_protection_spares(built: Protected) -> None:
    said = built.cacheadmin(
        "simulate", built.policy, "--uv", "0.9.0", "--ci", "--format", "json", code=0
    ).json
    assert said["breaks"] == []
    bare = said["without_protection"]["breaks"]
    assert {row["venv"] for row in bare} == {str(path) for path in built.shared.environments}
    told = built.cacheadmin("simulate", built.policy, "--uv", "0.9.0", code=0).stdout
    assert "without protection" in told


@pytest.mark.parametrize(
    ("release", "ci"),
    [("0.2.37", ("--ci",)), ("0.5.10", ()), ("0.6.4", ()), ("0.8.5", ("--ci",)), (NEWEST, ())],
)
def test_simulate_counts_and_removes_roots_exactly_as_uv_does(
    built: Protected, release: str, ci: tuple[str, ...]
) -> None:
    with copy_in_place_of(built.shared.path):
        said = built.cacheadmin(
            "simulate", built.policy, "--uv", release, *ci, "--format", "json", code=0
        ).json
        before = names_in(built.shared.path)
        built.shared.uv(release, "cache", "prune", *ci, user=me())
        assert said["removals"] == deleted_tops(before, names_in(built.shared.path))


def test_an_installation_made_beside_the_roots_is_seen(own: Protected) -> None:
    own.protect()
    environment = own.shared.environment("later", "0.4.30", "pytz==2023.3")
    assert own.protect("--check", code=4)["missing"] > 0
    install(
        "0.4.30",
        environment,
        "idna==3.6",
        cache=own.shared.path,
        home=own.shared.home(),
        index=own.shared.index,
    )
    assert ("bucket", "sdists-v5", "needed") in plans(own)


def protection_check(protected: Protected) -> dict:
    checks = protected.cacheadmin("preflight", protected.policy, "--format", "json").json["checks"]
    (found,) = [check for check in checks if check["id"] == "protection"]
    return found


def test_preflight_tells_what_is_protected_from_whom_and_since_when(own: Protected) -> None:
    assert protection_check(own)["status"] == "skip"
    own.protect()
    found = protection_check(own)
    assert found["status"] == "pass"
    assert f"up to uv {NEWEST} and 2 bucket versions ahead" in found["detail"]
    assert "since 20" in found["detail"]
    own.shared.uv(NEWEST, "cache", "prune", user=me())
    found = protection_check(own)
    assert found["status"] == "warn"
    assert "uv 0.6.8 to before 0.13.0 (4 of 4)" in found["detail"]
    assert "0.13.0 and later" not in found["detail"]
    own.protect("--remove")
    text = f"venvs:\n  include: ['{own.shared.homes}/*/*']\nprotect: {{enabled: true}}\n"
    own.policy = own.cacheadmin.policy(own.shared.path, text)
    assert protection_check(own)["status"] == "warn"
