"""What is printed to be done may be done at once, and as it stands, by a tired person.

It runs nothing that a user chose, names the policy, and loses nothing that is still needed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.test_nobody_seen_goes_on_trial import (
    archives_of,
    is_whole,
    looking_elsewhere,
    moved_out_of_sight,
    prune,
    unpoint,
)
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST


def commands_in(fix: str) -> list[list[str]]:
    """Return the commands of ours in an advice, as a shell reads them."""
    parts = fix.split("`cacheadmin ")[1:]
    return [shlex.split(part.rpartition("`")[0]) for part in parts]


def test_a_path_that_a_user_chose_is_one_word_of_the_command(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    hostile = f"/gone/x; touch {open_folder}/run #`touch {open_folder}/run`"
    (registry / "mine").symlink_to(hostile)
    policy = cacheadmin.policy(shared.path, f"venvs: {{registry: {registry}}}\n", complete=False)
    gaps = cacheadmin("scan", policy, "--format", "json", code=0).json["gaps"]
    (fix,) = [gap["fix"] for gap in gaps if gap["id"] == "environments.away"]
    (command,) = commands_in(fix)
    assert command == ["venv", "remove", os.fspath(policy), hostile]
    cacheadmin(*command, code=0)
    gaps = cacheadmin("scan", policy, "--format", "json", code=0).json["gaps"]
    assert "environments.away" not in {gap["id"] for gap in gaps}


def test_the_sites_word_is_advised_on_its_condition_alone(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, complete=False)
    said = cacheadmin("preflight", policy, "--format", "json", code=4).json
    fixes = {one["fix"] for one in (*said["gaps"], *said["checks"])}
    worded = [fix for fix in fixes if "venvs.complete" in fix or "only: this" in fix]
    assert worded
    assert all("only if you know that" in fix for fix in worded), worded


def test_commands_about_a_cache_name_its_policy(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, complete=False)
    checks = cacheadmin("preflight", policy, "--format", "json", code=4).json["checks"]
    commands = [words for one in checks for words in commands_in(one["fix"] or "")]
    assert commands
    assert "POLICY" not in str(checks)
    texts = [one["fix"] or "" for one in checks]
    assert not [text for text in texts if text.count("`cacheadmin ") > text.count(str(policy))]
    assert f"`cacheadmin scan {policy}` names them" in cacheadmin("audit", policy).stdout
    assert f"`cacheadmin scan {policy}`" not in cacheadmin("audit").stdout


def test_a_pin_of_what_is_on_trial_is_no_pin_of_nothing(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    hidden = moved_out_of_sight(shared, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)
    assert set(prune(cacheadmin, policy)["trial"]["planted"]) == used
    told = cacheadmin("explain", policy, "six==1.16.0", code=66).stderr
    assert "is on trial" in told
    (pinning,) = commands_in(told)
    cacheadmin(*pinning, code=0)

    # It was told to be removed again, before the next prune put anything back.
    found = cacheadmin("audit", policy, "--rule", "pins-broken", "--format", "json").json
    assert found["findings"] == []
    prune(cacheadmin, policy)
    assert all(is_whole(shared.path, entry) for entry in used)
    assert dangling_links(hidden) == {}


@pytest.mark.root
def test_a_pin_that_the_caller_cant_read_is_not_to_be_removed(
    cacheadmin: Cacheadmin, open_folder: Path, index: object, three_users: list[User]
) -> None:
    ana, *_ = three_users
    shared = SharedCache.create(open_folder, index, users=[ana])  # type: ignore[arg-type]
    shared.environment("proj", NEWEST, "six==1.16.0")
    os.chown(shared.path, ana.uid, ana.gid)
    folder = cacheadmin.folder / f"home-{ana.name}"
    text = f"state: sqlite:///{folder}/state.sqlite\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    cacheadmin("pin", "add", policy, "six", code=0)
    pins = Path(f"{shared.path}.pins")
    (pin,) = pins.iterdir()

    def fix_for(path: Path) -> str:
        said = cacheadmin(
            "audit", policy, "--rule", "pins-broken", "--format", "json", user=ana, code=0
        ).json
        (finding,) = said["findings"]
        assert finding["subject"] == str(path)
        return str(finding["fix"])

    pin.chmod(0o600)
    assert "do not remove it" in fix_for(pin)
    assert "rm " not in fix_for(pin)
    pins.chmod(0o700)
    assert "do not remove it" in fix_for(pins)
    assert "no pin could be read" in cacheadmin("pin", "list", policy, user=ana, code=0).stdout
    pins.chmod(0o755)

    # One that a newer release wrote says something, too.
    pin.write_text(pin.read_text().replace('"format": 1', '"format": 2'))
    pin.chmod(0o644)
    assert fix_for(pin).startswith("upgrade cacheadmin")
    # Of a torn one nothing is left to read; what it kept is pinned before it is removed.
    pin.write_text("{")
    assert fix_for(pin).startswith("pin again what it should keep: cacheadmin pin add ")


@pytest.mark.root
def test_an_interpreter_record_that_cant_be_read_is_not_to_be_removed(
    cacheadmin: Cacheadmin, open_folder: Path, index: object, three_users: list[User]
) -> None:
    ana, ben, *_ = three_users
    shared = SharedCache.create(open_folder, index, users=[ana, ben])  # type: ignore[arg-type]
    made = shared.environment("proj", NEWEST, "six==1.16.0", user=ben)
    only_named = open_folder / "elsewhere" / "proj"
    only_named.parent.mkdir()
    shutil.move(made, only_named)
    os.chown(shared.path, ana.uid, ana.gid)
    (bucket,) = shared.path.glob("interpreter-v*")
    for folder in bucket.iterdir():
        if folder.is_dir():
            folder.chmod(0o700)
    home = cacheadmin.folder / f"home-{ana.name}"
    text = f"state: sqlite:///{home}/state.sqlite\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    said = cacheadmin(
        "audit", policy, "--rule", "environment-unreadable", "--format", "json", user=ana
    ).json
    fixes = [one["fix"] for one in said["findings"] if "interpreter-v" in one["subject"]]
    assert fixes
    assert all("do not remove it" in fix for fix in fixes), fixes


def test_errors_name_the_policy_that_the_call_named(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    for named in ("test", os.fspath(policy)):
        told = cacheadmin("pin", "remove", named, "six", code=66).stderr
        assert f"`cacheadmin pin list {named}` shows what is" in told
        told = cacheadmin("venv", "remove", named, "/gone", code=66).stderr
        assert f"`cacheadmin venv list {named}` shows what is" in told
    # The path of an environment is no policy; the caller's own cache needs none.
    own = {"UV_CACHE_DIR": os.fspath(shared.path)}
    told = cacheadmin("venv", "remove", open_folder, code=66, environment=own).stderr
    assert "`cacheadmin venv list` shows what is" in told


@pytest.mark.root
def test_what_is_on_trial_stays_ours_when_roots_entries_are_given_to_a_member(
    cacheadmin: Cacheadmin, open_folder: Path, index: object, three_users: list[User]
) -> None:
    ana, *_ = three_users
    shared = SharedCache.create(open_folder, index, users=[ana])  # type: ignore[arg-type]
    shared.environment("proj", NEWEST, "idna==3.7", user=ana)
    root = User("root", 0, 0, (0,), 0o022)
    hidden = shared.home() / "hidden"
    shared.environment("made", NEWEST, "six==1.16.0", "cowsay==6.0", user=root).rename(hidden)
    unpoint(shared)
    text = f"{looking_elsewhere(shared)}scan: {{full_every: 0d}}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    assert prune(cacheadmin, policy)["trial"]["planted"]
    # Root installs something more with umask 022: audit says what to do about it.
    shared.environment("more", NEWEST, "idna==3.7", user=root)
    found = cacheadmin("audit", policy, "--format", "json", code=8).json["findings"]
    (fix,) = [one["fix"] for one in found if one["rule"] == "not-group-writable"]
    command = fix[fix.index("find ") :].replace("MEMBER", str(ana.uid))
    subprocess.run(["sh", "-c", command], check=True)
    place = shared.path / "archive-v0" / "cacheadmin.trial"
    tripwires = [one for one in place.parent.iterdir() if one.is_symlink()]
    assert {one.lstat().st_uid for one in (place, *tripwires)} == {0}
    assert (shared.path / "wheels-v8").stat().st_uid == ana.uid

    # Who takes all of root's all the same has it looked after no more, and shielded as before.
    os.chown(place, ana.uid, -1)
    told = cacheadmin("prune", policy, code=0).stderr
    assert "cacheadmin.trial in the cache is not our folder" in told
    assert "do not move it, but give it back its owner" in told
    shared.uv("0.9.30", "cache", "prune", user=root, check=False)
    assert dangling_links(hidden) == {}
    os.chown(place, 0, -1)
    assert "not our folder" not in cacheadmin("prune", policy, code=0).stderr
    assert dangling_links(hidden) == {}
