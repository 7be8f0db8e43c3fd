"""The command that `cacheadmin doctor` prints repairs: every kind, by its owner, with real uv."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broken_environments import KINDS, Installed, Room, make_all, policy_text
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import dangling_links
from tests.support.users import (
    User,
    me,
    open_temporary_folder,
    other_users,
    python_for_everyone,
)
from tests.support.uv_releases import NEWEST

MATRIX = ("0.5.10", "0.6.4", "0.8.5", "0.9.0", NEWEST)


def somebody() -> User:
    """Return a user who is not the one that runs doctor, where that is possible."""
    if os.geteuid() == 0 and python_for_everyone() is not None:
        return other_users(1)[0]
    return me()


@dataclass
class Ward:
    """Environments of every kind, broken, and what doctor said of each by path."""

    room: Room
    made: dict[str, Installed]
    before: dict[str, set[str]]
    findings: dict[str, list[dict[str, Any]]]
    doctor: Cacheadmin
    policy: Path

    def broken(self, kind: str) -> dict[str, Any]:
        """Return the finding about lost links of an environment."""
        rows = self.findings[str(self.made[kind].path)]
        return next(row for row in rows if row["rule"] == "environment-broken")

    def findings_now(self, kind: str) -> list[dict[str, Any]]:
        """Ask doctor again."""
        rows = self.doctor("doctor", self.policy, "--format", "json").json["findings"]
        return [row for row in rows if row["subject"] == str(self.made[kind].path)]


def admit(folder: Path, index: Index, release: str, kinds: tuple[str, ...] = tuple(KINDS)) -> Ward:
    """Make environments with a release, lose all wheels, and call the doctor."""
    room = Room.create(folder / "room", index, somebody())
    made = make_all(room, release, kinds)
    before = {kind: one.distributions() for kind, one in made.items()}
    (folder / "cacheadmin").mkdir()
    doctor = Cacheadmin(folder / "cacheadmin")
    room.lose_everything()
    policy = doctor.policy(room.cache, policy_text(made))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in doctor("doctor", policy, "--format", "json", code=8).json["findings"]:
        found.setdefault(row["subject"], []).append(row)
    return Ward(room, made, before, found, doctor, policy)


@pytest.fixture(scope="module")
def ward(index: Index) -> Iterator[Ward]:
    """Environments by the newest release but one generation."""
    folder = open_temporary_folder("cacheadmin-doctor-")
    yield admit(folder, index, "0.8.5")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_doctor_prints_repairs_and_changes_nothing_else(ward: Ward, kind: str) -> None:
    installed = ward.made[kind]
    finding = ward.broken(kind)
    assert installed.works() != ""
    assert finding["uid"] == ward.room.user.uid
    assert finding["severity"] == "error"
    ward.room.repair(finding, NEWEST)
    assert installed.works() == ""
    assert dangling_links(installed.path) == {}
    assert installed.distributions() == ward.before[kind]
    if kind in ("project", "without-interpreter", "uvx"):
        assert ward.findings_now(kind) == []


def test_a_project_is_repaired_by_its_lock_and_keeps_its_extras(ward: Ward) -> None:
    sync, by_hand = ward.broken("project")["commands"]
    assert sync[:4] == ["uv", "sync", "--inexact", "--frozen"]
    assert {"--extra", "zone", "--group", "docs", "--no-dev"} <= set(sync)
    assert "talk" not in sync
    assert by_hand[-1] == "tzdata==2025.2"


def test_a_python_that_is_gone_is_a_finding_of_its_own(ward: Ward) -> None:
    rows = ward.findings[str(ward.made["without-interpreter"].path)]
    assert {row["rule"] for row in rows} == {"environment-broken", "interpreter-missing"}
    assert rows[0]["commands"][0][:3] == ["uv", "venv", "--allow-existing"]


@pytest.mark.parametrize(("maker", "repairer"), [("0.5.10", NEWEST), (NEWEST, "0.5.10")])
def test_old_and_new_releases_repair_what_the_other_made(
    open_folder: Path, index: Index, maker: str, repairer: str
) -> None:
    ward = admit(open_folder, index, maker, ("venv", "tool"))
    for kind, installed in ward.made.items():
        ward.room.repair(ward.broken(kind), repairer)
        assert installed.works() == "", kind
        assert installed.distributions() == ward.before[kind]


@pytest.mark.parametrize("release", ["0.5.10", NEWEST])
def test_pointers_to_lost_archives_do_not_mislead_a_repair(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, release: str
) -> None:
    room = Room.create(open_folder / "room", index, somebody())
    made = make_all(room, release, ("local-wheels",))
    room.lose_archives()
    policy = cacheadmin.policy(room.cache, policy_text(made))
    (finding,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert "--no-cache" in finding["command"]
    room.repair(finding, release)
    assert made["local-wheels"].works() == ""
    assert cacheadmin("-q", "doctor", policy, code=0).stdout == ""


def test_an_archive_that_lost_half_its_files_is_not_installed_again(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    room = Room.create(open_folder / "room", index, somebody())
    made = make_all(room, "0.8.5", ("venv",))
    (module,) = room.cache.glob("archive-v0/*/pytz/tzinfo.py")
    module.unlink()
    policy = cacheadmin.policy(room.cache, policy_text(made))
    seen = cacheadmin("scan", policy, "--format", "json").json["venvs"]
    assert {one["path"]: one["status"] for one in seen}[str(made["venv"].path)] == "ok"
    (finding,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert [package["name"] for package in finding["packages"]] == ["pytz"]
    assert finding["packages"][0]["lost"] == 1
    room.repair(finding, "0.8.5")
    assert made["venv"].works() == ""


@pytest.mark.parametrize("mode", ["hardlink", pytest.param("copy", marks=pytest.mark.long)])
def test_other_link_modes_lose_nothing_with_the_cache_but_may_be_half_there(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, mode: str
) -> None:
    room = Room.create(open_folder / "room", index, somebody(), mode)
    made = make_all(room, "0.8.5", ("venv",))
    room.lose_everything()
    policy = cacheadmin.policy(room.cache, policy_text(made))
    assert made["venv"].works() == ""
    assert cacheadmin("-q", "doctor", policy, code=0).stdout == ""
    (module,) = made["venv"].path.glob("lib/*/site-packages/pytz/tzinfo.py")
    module.unlink()
    (finding,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert finding["rule"] == "environment-half-installed"
    room.repair(finding, NEWEST)
    assert made["venv"].works() == ""
    assert not module.is_symlink()


def test_a_project_whose_central_environment_was_pruned_gets_it_again(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    room = Room.create(open_folder / "room", index, somebody())
    room.write("project/pyproject.toml", '[project]\nname = "p"\nversion = "1"\n'
               'requires-python = ">=3.8"\ndependencies = ["pytz==2024.1"]\n')  # fmt: skip
    project = room.home / "project"
    room.uv(NEWEST, "--preview-features", "centralized-project-envs", "sync", cwd=project)
    environment = project / ".venv"
    assert environment.is_symlink()
    made = {
        "central": Installed(environment, ("pytz.tzinfo",), environment / "bin/python", room.user)
    }
    policy = cacheadmin.policy(room.cache, policy_text(made))
    cacheadmin("doctor", policy, code=0)
    room.uv(NEWEST, "cache", "prune")
    (finding,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert finding["rule"] == "environment-broken"
    room.repair(finding, "0.8.5")
    assert made["central"].works() == ""


@pytest.mark.long
@pytest.mark.parametrize("repairer", MATRIX)
@pytest.mark.parametrize("maker", MATRIX)
def test_every_release_repairs_every_kind_by_every_release(
    open_folder: Path, index: Index, maker: str, repairer: str
) -> None:
    ward = admit(open_folder, index, maker)
    problems = {}
    for kind, installed in ward.made.items():
        try:
            ward.room.repair(ward.broken(kind), repairer)
            problems[kind] = installed.works()
            assert installed.distributions() == ward.before[kind], kind
        except AssertionError as error:
            problems[kind] = str(error)[-600:]
    assert {kind: words for kind, words in problems.items() if words} == {}
