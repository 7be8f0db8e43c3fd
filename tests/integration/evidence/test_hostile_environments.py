"""Environments belong to users: nothing in them may hang, crash or mislead a scan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import EnvironmentStatus
from tests.support.looking import looking_at
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST


@pytest.fixture
def environment(shared: SharedCache) -> Path:
    return shared.environment("proj", NEWEST, "six==1.16.0")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_gigabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def a_secret(path: Path) -> None:
    path.symlink_to("/etc/shadow")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_folder, "not a regular file but a folder"),
        (os.mkfifo, "not a regular file but a FIFO"),
        (a_gigabyte, "larger than"),
        (a_secret, "it is a link"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_strange_pyvenv_cfg_is_said_and_the_links_still_count(
    shared: SharedCache, environment: Path, make, reason: str, deep: bool
) -> None:
    config = environment / "pyvenv.cfg"
    config.unlink()
    make(config)
    with looking_at(shared.path) as look:
        seen = look.scan(environment, deep=deep)
        assert look.packages(seen) == {"six"}
    assert reason in seen.reason
    assert not seen.complete


def test_a_pyvenv_cfg_that_is_not_utf8_is_read(shared: SharedCache, environment: Path) -> None:
    config = environment / "pyvenv.cfg"
    config.write_bytes(b"home = /\xff\xfe\nuv = 0.9.0\n\x00\x01")
    with looking_at(shared.path) as look:
        assert look.scan(environment).uv_version == "0.9.0"


def test_loops_and_odd_names_neither_hang_nor_hide_links(
    shared: SharedCache, environment: Path
) -> None:
    (environment / "loop").symlink_to("loop")
    (environment / "up").symlink_to("..")
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "evil\x1b[2J\n.dist-info").mkdir()
    (site / "evil\x1b[2J\n.dist-info" / "METADATA").symlink_to("x" * 200)
    (site / os.fsdecode(b"bytes\xff.dist-info")).mkdir()
    with looking_at(shared.path) as look:
        for deep in (False, True):
            seen = look.scan(environment, deep=deep)
            assert look.packages(seen) == {"six"}
            assert seen.status is EnvironmentStatus.OK


def test_names_with_control_characters_are_escaped_on_the_terminal(
    shared: SharedCache, cacheadmin
) -> None:
    evil = "pr\x1b[31moj\nsafe: all is well"
    environment = shared.environment(evil, NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    for command in ("scan", "preflight", "plan"):
        result = cacheadmin(command, policy)
        assert "\x1b" not in result.stdout + result.stderr
        assert "\nsafe: all is well" not in result.stdout
        assert "pr\\x1b[31moj\\nsafe" in result.stdout
    rows = cacheadmin("scan", policy, "--format", "json").json["venvs"]
    assert str(environment) in {row["path"] for row in rows}


def test_an_environment_that_became_a_file_or_went_away_is_told_apart(
    shared: SharedCache, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with looking_at_any(shared) as look:
        assert look.scan(file).status is EnvironmentStatus.BROKEN
        assert look.scan(tmp_path / "none").status is EnvironmentStatus.MISSING


def looking_at_any(shared: SharedCache):
    shared.environment("any", NEWEST, "six==1.16.0")
    return looking_at(shared.path)
