"""What is removed because nobody was seen goes on working, and comes back when used.

An environment lies where no policy looks. Its archives have lost their
pointers, as after another release's prune.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.shared_cache import SharedCache, dangling_links, links_of, tree_snapshot
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

SHORT = "prune: {trial: {for: 0d, at_least: 0d}}\n"


def looking_elsewhere(shared: SharedCache) -> str:
    """Return a policy's words that search a tree where nobody's environments are."""
    elsewhere = shared.path.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    return f"venvs: {{discover: [{{root: {elsewhere}}}]}}\n"


@pytest.fixture
def hidden(shared: SharedCache) -> Path:
    """An environment that nobody will find, whose archives no pointer names."""
    return moved_out_of_sight(shared, "six==1.16.0", "cowsay==6.0")


def moved_out_of_sight(shared: SharedCache, *requirements: str) -> Path:
    """Return an environment of which no pointer, no record and no other test knows.

    Another test's look may have met the programs that made it, and may still be reading what
    it links when that goes on trial: so it is made under another name.
    """
    hidden = shared.home() / "hidden"
    shared.environment("made", NEWEST, *requirements).rename(hidden)
    shared.environments[-1] = hidden
    unpoint(shared)
    return hidden


def unpoint(shared: SharedCache) -> None:
    """Remove all pointers to archives, as the prune of another release does."""
    for name in os.listdir(shared.path):
        if name.startswith(("wheels-", "interpreter-")):
            shutil.rmtree(shared.path / name)


def archives_of(environment: Path) -> set[str]:
    texts = links_of(environment).values()
    names = {text.partition("/archive-v0/")[2].partition("/")[0] for text in texts}
    return {f"archive-v0/{name}" for name in names if name}


def run_python(environment: Path, code: str) -> None:
    subprocess.run([environment / "bin" / "python", "-c", code], check=True)


def prune(cacheadmin: Cacheadmin, policy: Path) -> dict:
    return cacheadmin("prune", policy, "--format", "json", code=0).json


def is_whole(cache: Path, entry: str) -> bool:
    # Asked without following: a look through a tripwire is a use.
    try:
        return stat.S_ISDIR((cache / entry).lstat().st_mode)
    except FileNotFoundError:
        return False


def test_a_hidden_environment_goes_on_and_its_archives_come_back(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)
    first = prune(cacheadmin, policy)
    assert set(first["trial"]["planted"]) == used
    assert {row["rests_on"] for row in first["removals"] if row["kind"] == "archive"} == {"absence"}
    assert not any(is_whole(shared.path, entry) for entry in used)

    # Nobody came: nothing comes back, and nothing is deleted.
    silent = prune(cacheadmin, policy)
    assert silent["trial"]["put_back"] == silent["trial"]["ended"] == []

    run_python(hidden, "import six")
    second = prune(cacheadmin, policy)
    assert {row["why"] for row in second["trial"]["sprung"]} == {"sprung", "kin"}
    assert set(second["trial"]["put_back"]) == used
    assert all(is_whole(shared.path, entry) for entry in used)
    assert dangling_links(hidden) == {}

    # It is known now that somebody uses them, whoever it is.
    third = prune(cacheadmin, policy)
    rules = {row["path"]: row["rule"] for row in third["kept"]}
    assert {rules[entry] for entry in used} == {"trial.sprung"}

    shown = cacheadmin("runs", "show", policy, first["run_id"], "--format", "json", code=0).json
    states = {row["trial"]["state"] for row in shown["entries"] if "trial" in row}
    assert states == {"came_back"}


def test_what_nobody_uses_is_gone_after_its_trial(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    text = looking_elsewhere(shared) + SHORT
    policy = cacheadmin.policy(shared.path, text, complete=False)
    gone = archives_of(hidden)
    shutil.rmtree(hidden)
    prune(cacheadmin, policy)
    listed = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    assert [run["trial"]["on_trial"] for run in listed] == [len(gone)]
    second = prune(cacheadmin, policy)
    assert set(second["trial"]["ended"]) == gone
    assert second["trial"]["ended_bytes"] > 0
    left = os.listdir(shared.path / "archive-v0")
    assert left == []
    # Nothing of it is left in anybody's way, roots neither.
    assert not any(name.startswith("sdists-v3") for name in os.listdir(shared.path))


def test_restoring_puts_everything_back_as_it_was(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    before = tree_snapshot(shared.path / "archive-v0")
    run = prune(cacheadmin, policy)
    cacheadmin("runs", "restore", policy, run["run_id"], code=0)
    after = tree_snapshot(shared.path / "archive-v0")
    ours = {name for name in after if name.split("/")[0] == "cacheadmin.trial"}
    for name in before:
        if name != ".":
            assert after[name] == before[name]
    assert set(after) - ours == set(before)
    assert dangling_links(hidden) == {}


def test_purging_now_ends_a_trial_and_says_so(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    run = prune(cacheadmin, policy)
    cacheadmin("runs", "purge", policy, run["run_id"], code=0)
    assert dangling_links(hidden) == {}
    told = cacheadmin("runs", "purge", policy, run["run_id"], "--now", code=0)
    assert "2 trials ended" in told.stderr
    assert dangling_links(hidden) != {}
    assert set(os.listdir(shared.path / "archive-v0")) <= {"cacheadmin.trial"}


@pytest.mark.parametrize("known", ["environment", "pin"])
def test_purging_now_leaves_on_trial_what_is_known_to_be_used_by_now(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path, known: str
) -> None:
    text = looking_elsewhere(shared)
    policy = cacheadmin.policy(shared.path, text, complete=False)
    run = prune(cacheadmin, policy)
    entries = set(run["trial"]["planted"])
    if known == "environment":
        # Its disk is back.
        cacheadmin("venv", "add", policy, hidden, code=0)
    else:
        for entry in entries:
            cacheadmin("pin", "add", policy, entry, "--reason", "node7 has it", code=0)
    told = cacheadmin("runs", "purge", policy, "--all", "--now", code=0)
    assert "0 trials ended" in told.stderr
    for entry in entries:
        assert f"{entry} stays on trial: it is used by " in told.stderr
    assert dangling_links(hidden) == {}
    prune(cacheadmin, policy)
    assert entries <= entries_back(shared)


def entries_back(shared: SharedCache) -> set[str]:
    """Return the archives that lie in their places."""
    found = (shared.path / "archive-v0").iterdir()
    return {f"archive-v0/{path.name}" for path in found if path.is_dir() and not path.is_symlink()}


def test_a_link_that_no_probe_sees_keeps_what_it_leads_to(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "cowsay==6.0")
    alone = shared.environment("other", NEWEST, "idna==3.7")
    used = archives_of(environment)
    unused = archives_of(alone)
    shared.remove_environment(alone)
    # METADATA of every distribution is a copy, as after `sed -i`.
    for link in environment.rglob("*.dist-info/*"):
        if link.is_symlink():
            content = link.read_bytes()
            link.unlink()
            link.write_bytes(content)
    unpoint(shared)
    for complete in (True, False):
        text = f"venvs: {{include: ['{shared.homes}/*/*']}}\n"
        policy = cacheadmin.policy(shared.path, text, complete=complete)
        done = prune(cacheadmin, policy)
        assert done["outcome"] in ("committed", "nothing_to_do")
        assert dangling_links(environment) == {}
        assert all(is_whole(shared.path, entry) for entry in used)
        # One odd environment keeps nothing but its own.
        assert not any(is_whole(shared.path, entry) for entry in unused)


def test_the_guard_brings_back_what_is_used_and_says_so(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)
    prune(cacheadmin, policy)
    with guarding(cacheadmin, policy) as guard:
        assert not any(is_whole(shared.path, entry) for entry in used)
        run_python(hidden, "import six")
        # It looks each minute, and when it is told to.
        guard.hang_up()
        until(lambda: all(is_whole(shared.path, entry) for entry in used), seconds=60)
        until(lambda: "came back from trial: sprung" in guard.log(), seconds=60)
    assert dangling_links(hidden) == {}


def test_a_walk_right_after_the_first_run_is_told_from_a_use(
    cacheadmin: Cacheadmin, shared: SharedCache, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    used = archives_of(hidden)
    prune(cacheadmin, policy)
    # As a backup that follows links does: every entry of the bucket is looked at.
    for entry in (shared.path / "archive-v0").iterdir():
        entry.stat()
    again = prune(cacheadmin, policy)
    assert again["trial"]["put_back"] == []
    assert set(used) <= set(again["trial"]["doubtful"])
    run_python(hidden, "import six")
    assert prune(cacheadmin, policy)["trial"]["put_back"]


def test_our_own_looks_bring_nothing_back(cacheadmin: Cacheadmin, shared: SharedCache) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "moo")
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "moo")
    text = looking_elsewhere(shared) + "prune: {environments: {idle: 0d, keep_latest: false}}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    prune(cacheadmin, policy)
    listed = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    assert sum(run["trial"]["on_trial"] for run in listed) > 0
    for command in ("scan", "plan", "preflight", "usage", "doctor", "verify", "audit"):
        cacheadmin(command, policy, "--format", "json")
    cacheadmin("simulate", policy, "--uv", "0.8.5", "--format", "json")
    again = prune(cacheadmin, policy)
    assert again["trial"]["put_back"] == []
    assert again["trial"]["doubtful"] == []
