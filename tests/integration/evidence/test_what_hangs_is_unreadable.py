"""What hangs is unreadable, soon and by name, and keeps all that it could hide."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence import search
from cacheadmin.snapshot.snapshot import look_at
from tests.support.auditing import link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.hanging import hanging_folder
from tests.support.users import User, other_users

pytestmark = pytest.mark.root

ARCHIVE = "Hw3nR7kq0ZbT5mXc"
DEADLINE_SECONDS = 2
LIMITS = f"scan: {{limits: {{deadline: {DEADLINE_SECONDS}s}}}}\n"


@pytest.fixture
def users() -> tuple[User, User]:
    ana, eve = other_users(2)
    return ana, eve


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """A cache with one archive that no pointer leads to, and a registry."""
    make_cache(open_folder / "cache")
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    return open_folder / "cache"


@pytest.fixture
def hanging(open_folder: Path) -> Iterator[Path]:
    folder = open_folder / "eve"
    folder.mkdir()
    with hanging_folder(folder) as place:
        yield place


def register(registry: Path, name: str, target: Path, user: User) -> None:
    (registry / name).symlink_to(target)
    os.lchown(registry / name, user.uid, user.gid)


def archives_of(plan: dict[str, list[dict[str, str]]], verdict: str) -> set[str]:
    return {row["path"] for row in plan[verdict] if row["kind"] == "archive"}


def test_an_environment_that_hangs_costs_one_answer(
    cache: Path, hanging: Path, users: tuple[User, User], cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    ana, eve = users
    registry = open_folder / "registry"
    home = open_folder / "ana"
    home.mkdir()
    environment = link_environment(home / "proj", cache / "archive-v0" / ARCHIVE, user=ana)
    register(registry, "a", environment, ana)
    for number in range(20):
        register(registry, f"e{number}", hanging / f"proj{number}", eve)
    policy = cacheadmin.policy(cache, f"venvs: {{registry: {registry}}}\n{LIMITS}")

    begun = time.monotonic()
    venvs = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    # A machine that does other things takes its time, but it does not take twenty deadlines.
    assert time.monotonic() - begun < 10 * DEADLINE_SECONDS
    mine = next(row for row in venvs if row["path"] == str(environment))
    others = [row for row in venvs if row["path"].startswith(str(hanging))]
    assert (mine["status"], len(others)) == ("ok", 20)
    assert {(row["status"], row["uid"]) for row in others} == {("unreadable", eve.uid)}
    assert all("it gave no answer within 2 s" in row["reason"] for row in others)

    plan = cacheadmin("plan", policy, "--format", "json", code=4).json
    assert archives_of(plan, "removals") == set()
    assert f"uid {eve.uid}" in str(plan["kept"]) or str(hanging) in str(plan["kept"])


# Trees


def test_who_fills_a_tree_ends_the_search_for_nobody_else(
    cache: Path,
    users: tuple[User, User],
    open_folder: Path,
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ana, eve = users
    tree = open_folder / "tree"
    crowd = tree / "aaa" / "crowd"
    for number in range(60):
        (crowd / str(number)).mkdir(parents=True)
    own(tree / "aaa", eve)
    (tree / "ana" / "work").mkdir(parents=True)
    environment = link_environment(
        tree / "ana" / "work" / "proj", cache / "archive-v0" / ARCHIVE, user=ana
    )
    own(tree / "ana", ana)
    monkeypatch.setattr(search.Bounds.__init__, "__defaults__", (30, _later()))
    policy = cacheadmin.policy(cache, f"venvs: {{discover: [{{root: {tree}}}]}}\n")
    with look_at(str(policy)) as snapshot:
        gaps = [gap for gap in snapshot.evidence.gaps if gap.id == "search.limit"]
        found = {one.path for one in snapshot.evidence.environments}
    assert [(gap.uid, f"uid {eve.uid}" in gap.detail) for gap in gaps] == [(eve.uid, True)]
    assert str(environment) in found


def _later() -> object:
    return search.Bounds.__init__.__defaults__[1]


def test_a_tree_that_hangs_below_one_account_hides_no_other(
    cache: Path, users: tuple[User, User], open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    ana, eve = users
    tree = open_folder / "tree"
    (tree / "eve" / "inner").mkdir(parents=True)
    (tree / "ana").mkdir()
    environment = link_environment(tree / "ana" / "proj", cache / "archive-v0" / ARCHIVE, user=ana)
    own(tree / "ana", ana)
    own(tree / "eve", eve)
    policy = cacheadmin.policy(cache, f"venvs: {{discover: [{{root: {tree}}}]}}\n{LIMITS}")
    with hanging_folder(tree / "eve" / "inner"):
        answer = cacheadmin("scan", policy, "--format", "json", code=0).json
    assert str(environment) in {row["path"] for row in answer["venvs"]}
    (gap,) = [gap for gap in answer["gaps"] if gap["id"] == "search.limit"]
    assert gap["owner"] == f"uid {eve.uid}"
    assert "it gave no answer within 2 s" in gap["detail"]


# Processes


@contextmanager
def process_of(user: User, **environment: str) -> Iterator[int]:
    """Run a program that does nothing, with an environment of its user's choice."""
    process = subprocess.Popen(
        ["/bin/sleep", "600"],
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd="/",
        **user.process_arguments(),
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


# Whoever plans on this machine meets that process, and waits for it.
@pytest.mark.alone
def test_a_process_that_hangs_whoever_looks_at_it_may_use_anything(
    cache: Path, hanging: Path, users: tuple[User, User], cacheadmin: Cacheadmin
) -> None:
    _, eve = users
    policy = cacheadmin.policy(cache, LIMITS)
    plan = cacheadmin("plan", policy, "--format", "json").json
    assert archives_of(plan, "removals") == {f"archive-v0/{ARCHIVE}"}
    with process_of(eve, VIRTUAL_ENV=f"{hanging}/proj") as pid:
        begun = time.monotonic()
        plan = cacheadmin("plan", policy, "--format", "json", code=4).json
        assert time.monotonic() - begun < 10 * DEADLINE_SECONDS
        assert archives_of(plan, "removals") == set()
        told = cacheadmin("preflight", policy, code=4).stdout
        assert f"process {pid} of uid {eve.uid} could not be looked at" in " ".join(told.split())
        cacheadmin("prune", policy, code=0)
    assert (cache / "archive-v0" / ARCHIVE).is_dir()
