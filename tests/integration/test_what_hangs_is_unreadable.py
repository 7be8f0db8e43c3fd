"""What hangs is unreadable, soon and by name, and keeps all that it could hide."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.auditing import link_environment, make_cache
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
