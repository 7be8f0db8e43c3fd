"""Wrong policies, hostile names and odd files: one clear line, and nothing is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.shared_cache import SharedCache, tree_snapshot
from tests.support.uv_releases import NEWEST, newest_bucket

HEAD = "version: 1\nname: test\n"


def is_one_clear_error(result: Result, code: int) -> bool:
    """One message on stderr, no traceback, no data; its further lines are indented."""
    lines = result.stderr.splitlines()
    clear = [line for line in lines if not line.startswith("  ")]
    return (
        result.code == code
        and result.stdout == ""
        and len(clear) == 1
        and clear[0].startswith("cacheadmin: ")
        and "Traceback" not in result.stderr
        and "unexpected" not in result.stderr
        and "\x1b" not in result.stderr
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nname: [test\n", "wrong.yaml:2:7"),
        ("version: 1\nname: \x1b[31m\n", ""),
        (HEAD + "a: &a [x, x, x, x, x, x, x, x, x]\n", "a"),
        (HEAD + "cache: &loop [*loop]\n", ""),
        (HEAD + "cache: /c\nlinks:\n  symlink: perhaps\n", "links.symlink"),
        (HEAD + "cache: /c\nlock: soon\n", "lock"),
        (HEAD + "cache: /c\nlinks:\n  symlimk: limit\n", "symlink"),
        (HEAD + "cache: some/where\n", "absolute"),
        (HEAD + "cache: /c\nquarantine:\n  path: /c/archive-v0/q\n", "quarantine"),
        (HEAD + "cache: /c\nhosts:\n  expect: [no host]\n", "no host name"),
        ("name: test\ncache: /c\n", "version"),
        (HEAD + "cache: /c\nlock:\n  timeout: 5 parsecs\n", "timeout"),
        ("- a\n- list\n", ""),
        ("", ""),
    ],
)
def test_a_wrong_policy(cacheadmin: Cacheadmin, text: str, said: str) -> None:
    folder = cacheadmin.folder / "policies"
    folder.mkdir(mode=0o755)
    policy = folder / "wrong.yaml"
    policy.write_text(text, encoding="utf-8")
    result = cacheadmin("plan", policy)
    assert is_one_clear_error(result, 78), result
    assert said in result.stderr
    assert "wrong.yaml" in result.stderr


def test_the_longest_durations_are_taken(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    """A thousand years are allowed, and more than the kernel can wait."""
    shared.environment("proj", NEWEST, "six==1.16.0")
    ever = "360000d"
    policy = cacheadmin.policy(
        shared.path,
        f"uv: {{active_within: {ever}}}\nhosts: {{max_age: {ever}}}\n"
        f"venvs: {{keep_missing: {ever}}}\nquarantine: {{keep: {ever}}}\n"
        f"prune: {{unused: {{after: {ever}}}, builds: {{after: {ever}}}, trial: {{for: {ever}}}}}\n"
        f"lock: {{timeout: {ever}, held_at_most: {ever}}}\n"
        f"scan: {{full_every: {ever}, limits: {{deadline: {ever}, cpu: {ever}}}}}\n",
    )
    for command in ("prune", "doctor", "observe", "status", "audit"):
        result = cacheadmin(command, policy)
        assert result.code in (0, 4, 8), result


def test_a_yaml_bomb_is_refused_at_once(cacheadmin: Cacheadmin) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    folder = cacheadmin.folder / "policies"
    folder.mkdir(mode=0o755)
    (folder / "bomb.yaml").write_text("\n".join(lines))
    assert is_one_clear_error(cacheadmin("plan", "bomb", timeout=20), 78)


def test_a_policy_that_others_can_write(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    policy = cacheadmin.policy(shared.path)
    policy.chmod(0o666)
    result = cacheadmin("plan", policy)
    assert is_one_clear_error(result, 78), result
    assert str(policy) in result.stderr


def test_a_policy_that_does_not_exist(cacheadmin: Cacheadmin) -> None:
    assert is_one_clear_error(cacheadmin("plan", "nobody-wrote-this"), 66)
    assert is_one_clear_error(cacheadmin("plan", "/nonexistent/policy.yaml"), 66)


def test_folders_that_are_no_cache(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    shared.environment("project", NEWEST, "six==1.16.0")
    before = tree_snapshot(shared.path)
    plain = open_folder / "plain"
    plain.mkdir()
    (plain / "precious.txt").write_text("mine")
    link = open_folder / "link"
    link.symlink_to(shared.path)
    for cache in ("/", "/etc", "/home", str(cacheadmin.home), str(plain), "/nonexistent", link):
        for command in ("preflight", "plan", "prune"):
            result = cacheadmin(command, cacheadmin.policy(cache))
            assert is_one_clear_error(result, 66), (cache, result)
    assert (plain / "precious.txt").read_text() == "mine"
    assert tree_snapshot(shared.path) == before


@pytest.mark.parametrize("odd", ["folder", "fifo", "huge", "not UTF-8", "link to a fifo"])
def test_an_odd_pyvenv_cfg_is_read_past_and_its_environment_is_not_harmed(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, odd: str
) -> None:
    environment = shared.environment("project", NEWEST, "six==1.16.0")
    config = environment / "pyvenv.cfg"
    config.unlink()
    if odd == "folder":
        config.mkdir()
    elif odd == "fifo":
        os.mkfifo(config)
    elif odd == "huge":
        with config.open("wb") as file:
            file.truncate(2**30)
    elif odd == "link to a fifo":
        os.mkfifo(open_folder / "fifo")
        config.symlink_to(open_folder / "fifo")
    else:
        config.write_bytes(b"uv = \xff\xfe\x00\n")
    for pointer in (shared.path / newest_bucket("wheels")).glob("*/*/six/*"):
        pointer.unlink()
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{environment}']\n")
    result = cacheadmin("prune", policy, timeout=60)
    assert result.code == 0, result
    assert "Traceback" not in result.stderr
    assert os.path.exists(next(environment.glob("lib/*/site-packages/six.py")))


def test_hostile_names_reach_no_terminal_unescaped(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    hostile = shared.home() / "evil\n\x1b[31mred\x07\udcff"
    shared.environment("project", NEWEST, "six==1.16.0").rename(hostile)
    (shared.path / "archive-v0" / "left\n\x1b[2J").mkdir()
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    for arguments in (["scan"], ["preflight"], ["plan"], ["--verbose", "plan"], ["prune"]):
        result = cacheadmin(*arguments, policy)
        assert result.code in (0, 4), result
        for text in (result.stdout, result.stderr):
            assert "\x1b" not in text
            assert "\x07" not in text
            assert "\nred" not in text
    listed = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert str(hostile) in {row["path"] for row in listed}


@pytest.mark.parametrize("arguments", [("--version",), ("policy", "show", "--format", "json")])
def test_output_that_no_disk_takes(cacheadmin: Cacheadmin, arguments: tuple[str, ...]) -> None:
    words = cacheadmin.command(*arguments)
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            words,
            env=cacheadmin.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "cacheadmin: standard output can't be written: No space left on device\n"
    )
    assert len(ended.stderr.splitlines()) == 2


def test_the_version_is_told_beside_other_options(cacheadmin: Cacheadmin) -> None:
    assert cacheadmin("-q", "--version", code=0).stdout == cacheadmin("--version").stdout
