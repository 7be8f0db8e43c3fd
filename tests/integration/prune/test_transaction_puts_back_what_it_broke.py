"""Should a removal break a link after all, what it leads to comes back.

What can't be explained brings everything back, and code 6 says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, age, dangling_links, tree_snapshot
from tests.support.uv_releases import NEWEST, REPOSITORY
from tests.support.wheel_archives import empty_cache, write_archive, write_tool

# The fault: a planner that believes nobody uses anything. Everything after it
# is the real thing, on a real cache with real links.
BLIND = """
import sys
from dataclasses import replace
import cacheadmin.planner.planner as planning
from cacheadmin.inventory.entries import EntryKind
real = planning.make_plan
def blind(policy, inventory, evidence, now_ns):
    plan = real(policy, inventory, evidence, now_ns)
    archives = tuple(d for d in plan.kept if d.kind is EntryKind.ARCHIVE)
    kept = tuple(d for d in plan.kept if d.kind is not EntryKind.ARCHIVE)
    return replace(plan, removals=(*plan.removals, *archives), kept=kept)
planning.make_plan = blind
import cacheadmin.prune.last_look as last_look
last_look.without_dangling = lambda removals, inventory, evidence: tuple(removals)
{more}
from cacheadmin.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def run_blind(cacheadmin, *arguments: str | Path, more: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", BLIND.format(more=more), *map(os.fspath, arguments)],
        env={**cacheadmin.environment(None), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def cache(shared: SharedCache) -> SharedCache:
    shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    (shared.path / "archive-v0" / ".tmprubbish").mkdir()
    return shared


def without_times(snapshot: dict) -> dict:
    """Return a snapshot without what a move there and back changes of the parent folder."""
    return {name: facts for name, facts in snapshot.items() if name != "archive-v0"}


def test_what_a_link_leads_to_comes_back_and_the_rest_goes(cacheadmin, cache: SharedCache) -> None:
    before = without_times(tree_snapshot(cache.path))
    policy = cacheadmin.policy(cache.path, "prune: {trial: never}\n")
    finished = run_blind(cacheadmin, "prune", policy, "--format", "json")
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["outcome"] == "committed"
    assert [row["path"] for row in document["removals"]] == ["archive-v0/.tmprubbish"]
    assert document["verified"]["broken"] == 0
    assert "leads to it" in " ".join(row["reason"] for row in document["dropped"])
    after = without_times(tree_snapshot(cache.path))
    assert after == {name: f for name, f in before.items() if not name.endswith(".tmprubbish")}
    assert dangling_links(cache.environments[0]) == {}


# A second fault: the look after the moves says that a link is broken, and not why.
UNEXPLAINED = """
import cacheadmin.prune.execution as executing
from cacheadmin.prune.verification import BrokenLink, Verified
executing.verify = lambda *_: Verified(1, 3, (BrokenLink("/env", "/env/link", "archive-v0/x"),))
"""


def test_a_broken_link_that_nothing_explains_brings_everything_back(
    cacheadmin, cache: SharedCache
) -> None:
    before = tree_snapshot(cache.path)
    policy = cacheadmin.policy(cache.path, "prune: {trial: never}\n")
    finished = run_blind(cacheadmin, "prune", policy, "--format", "json", more=UNEXPLAINED)
    assert finished.returncode == 6, finished.stderr
    document = json.loads(finished.stdout)
    assert document["outcome"] == "rolled_back"
    assert document["removals"] == []
    assert document["verified"]["broken"] == 1
    assert tree_snapshot(cache.path) == before
    assert dangling_links(cache.environments[0]) == {}
    told = run_blind(cacheadmin, "prune", policy, more=UNEXPLAINED)
    assert told.returncode == 6
    assert "1 link led nowhere after the removal, so everything was put back" in told.stderr


def test_an_interrupt_between_two_moves_brings_everything_back(
    cacheadmin, cache: SharedCache
) -> None:
    before = tree_snapshot(cache.path)
    policy = cacheadmin.policy(cache.path, "prune: {trial: never}\n")
    fault = """
import os, signal
real_rename = os.rename
count = 0
def interrupted(*arguments, **keywords):
    global count
    # Moves lead from one open folder to another; files of ours are replaced in their own.
    count += keywords.get("src_dir_fd") != keywords.get("dst_dir_fd")
    real_rename(*arguments, **keywords)
    if count == 2:
        os.kill(os.getpid(), signal.SIGTERM)
os.rename = interrupted
"""
    finished = run_blind(cacheadmin, "prune", policy, more=fault)
    assert finished.returncode == 130, finished.stderr
    after = tree_snapshot(cache.path)
    assert {name: facts[:5] for name, facts in after.items() if name != ".lock"} == {
        name: facts[:5] for name, facts in before.items() if name != ".lock"
    }
    assert dangling_links(cache.environments[0]) == {}
    assert cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"] == []


# A third: one move finds another filesystem, or project quota, in its way.
CROSSED = """
import errno, os
real_rename = os.rename
count = 0
def crossing(*arguments, **keywords):
    global count
    if keywords.get("src_dir_fd") != keywords.get("dst_dir_fd"):
        count += 1
        if count == 2:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    real_rename(*arguments, **keywords)
os.rename = crossing
"""


def test_where_one_move_would_cross_a_filesystem_nothing_is_moved(
    cacheadmin: Cacheadmin, cache: SharedCache
) -> None:
    before = without_times(tree_snapshot(cache.path))
    policy = cacheadmin.policy(cache.path, "prune: {trial: never}\n")
    finished = run_blind(cacheadmin, "prune", policy, more=CROSSED)
    assert finished.returncode == 5, finished.stderr
    assert "set quarantine.path to a folder with the same filesystem" in finished.stderr
    after = without_times(tree_snapshot(cache.path))
    assert {name: facts[:5] for name, facts in after.items() if name != ".lock"} == {
        name: facts[:5] for name, facts in before.items() if name != ".lock"
    }
    assert cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"] == []


# A fourth: what has to be put back can't be, for now.
IMMOVABLE = """
import glob, subprocess
import cacheadmin.prune.execution as executing
from cacheadmin.prune.verification import BrokenLink, Verified
def held(*_):
    (entry,) = glob.glob({pattern!r})
    subprocess.run(["chattr", "+i", entry], check=True)
    return Verified(1, 3, (BrokenLink("/env", "/env/link", "archive-v0/x"),))
executing.verify = held
"""


@pytest.mark.root
def test_what_could_not_be_put_back_is_put_back_by_the_next_run(
    cacheadmin: Cacheadmin, cache: SharedCache
) -> None:
    if subprocess.run(["chattr", "+d", cache.path], check=False, capture_output=True).returncode:
        pytest.skip("this filesystem knows no immutable files")
    policy = cacheadmin.policy(cache.path, "prune: {trial: never}\n")
    entry = next((cache.path / "archive-v0").glob("*/six.py")).parent.name
    quarantine = f"{cache.path}.cacheadmin/quarantine"
    fault = IMMOVABLE.format(pattern=f"{quarantine}/*/entries/archive-v0/{entry}")
    finished = run_blind(cacheadmin, "prune", policy, more=fault)
    assert finished.returncode == 6, finished.stderr
    assert "could not be put back" in finished.stderr
    (held,) = Path(quarantine).glob(f"*/entries/archive-v0/{entry}")
    subprocess.run(["chattr", "-i", held], check=True)
    assert dangling_links(cache.environments[0])
    cacheadmin("prune", policy, code=0)
    assert dangling_links(cache.environments[0]) == {}


def test_what_uv_made_anew_is_merged_and_never_overwritten(cacheadmin, cache: SharedCache) -> None:
    stale = cache.path / "wheels-v3"
    (stale / "pypi" / "six").mkdir(parents=True)
    (stale / "pypi" / "six" / "old").write_text("old")
    (stale / "both").write_text("old")
    month = 40 * 86_400
    for path in [stale, *stale.rglob("*")]:
        os.utime(path, (path.stat().st_mtime - month,) * 2)
    policy = cacheadmin.policy(cache.path)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert "wheels-v3" in {row["path"] for row in run["removals"]}
    (stale / "pypi" / "idna").mkdir(parents=True)
    (stale / "both").write_text("new")
    restored = cacheadmin("runs", "restore", policy, run["run_id"], code=7)
    assert "uv has made it again" in restored.stderr
    assert (stale / "pypi" / "six" / "old").read_text() == "old"
    assert (stale / "pypi" / "idna").is_dir()
    assert (stale / "both").read_text() == "new"


# A use that begins between the moves and the look after them: a program whose working
# folder is the entry, wherever that lies by then.
USED_BY_THEN = """
import glob, subprocess, sys
import cacheadmin.prune.transaction as transaction
real = transaction._came_alive
def used_by_then(*arguments):
    (folder,) = glob.glob({pattern!r})
    words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(300)"]
    user = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE)
    user.stdout.readline()
    try:
        return real(*arguments)
    finally:
        user.kill()
        user.wait()
transaction._came_alive = used_by_then
from cacheadmin.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def prune_while_used(cacheadmin: Cacheadmin, policy: Path, used: Path) -> Any:
    """Prune; a program begins to use an archive between the moves and the look after them."""
    folder = used.parent.parent.parent
    pattern = f"{folder}/cache.cacheadmin/quarantine/*/entries/archive-v0/{used.name}"
    done = subprocess.run(
        [
            *(sys.executable, "-c", USED_BY_THEN.format(pattern=pattern)),
            *("prune", str(policy), "--format", "json"),
        ],
        env={**cacheadmin.environment(None), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_a_program_begins_to_use_after_the_moves_comes_back_alone(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = empty_cache(open_folder / "cache")
    used, unused = (write_archive(cache, name, {f"{name}.py": b""}) for name in ("used", "other"))
    age(cache, 40)
    policy = cacheadmin.policy(cache, "hosts: {only: this}\n")
    said = prune_while_used(cacheadmin, policy, used)
    assert used.is_dir()
    assert not unused.exists()
    assert [row["path"] for row in said["removals"]] == [f"archive-v0/{unused.name}"]
    assert [row["path"] for row in said["dropped"]] == [f"archive-v0/{used.name}"]


def test_what_a_tool_links_comes_back_with_it(open_folder: Path, cacheadmin: Cacheadmin) -> None:
    cache = empty_cache(open_folder / "cache")
    linked, unused = (write_archive(cache, name, {f"{name}.py": b""}) for name in ("six", "other"))
    tool = write_tool(cache, linked)
    age(cache, 40)
    idle = "prune: {environments: {idle: 1d, keep_latest: false}}\nhosts: {only: this}\n"
    prune_while_used(cacheadmin, cacheadmin.policy(cache, idle), tool)
    assert dangling_links(tool) == {}
    assert linked.is_dir()
    assert not unused.exists()
