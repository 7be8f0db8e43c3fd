"""Homes that are as they were are not listed again; what comes into one is seen all the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cacheadmin.evidence.look import Moment
from cacheadmin.snapshot.snapshot import look_at
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.waiting import let_clocks_tick

STRACE = ("strace", "-f", "-qq", "-y", "-e", "trace=getdents64", "-s", "0", "-o")


@pytest.fixture
def tree(open_folder: Path) -> Path:
    """Folders in which nothing is, below those that are listed one by one where they are root's."""
    tree = open_folder / "tree" / "srv" / "site" / "teams" / "users"
    for number in range(20):
        (tree / f"user{number}" / "notes" / "old").mkdir(parents=True)
    let_clocks_tick()
    return tree


def policy_for(cacheadmin: Cacheadmin, shared: SharedCache, tree: Path) -> Path:
    return cacheadmin.policy(shared.path, f"venvs:\n  discover: [{{root: '{tree.parents[3]}'}}]\n")


def memory_of(cacheadmin: Cacheadmin) -> Path:
    (file,) = (cacheadmin.folder / "state" / "memory").glob("*-searches")
    return file


def listed_folders(cacheadmin: Cacheadmin, policy: Path, tree: Path) -> set[str]:
    """Return the folders of the tree that a scan lists."""
    calls = cacheadmin.folder / "calls"
    subprocess.run(
        [*STRACE, calls, *cacheadmin.command("scan", policy)],
        env=cacheadmin.environment(),
        capture_output=True,
        check=True,
    )
    found = re.findall(r"getdents64\(\d+<([^>]+)>", calls.read_text(errors="surrogateescape"))
    return {path for path in found if path.startswith(f"{tree}/")}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_only_what_changed_is_listed(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    policy = policy_for(cacheadmin, shared, tree)
    assert len(listed_folders(cacheadmin, policy, tree)) == 60
    assert listed_folders(cacheadmin, policy, tree) == set()
    (tree / "user7" / "notes" / "new").mkdir()
    changed = {f"{tree}/user7/notes", f"{tree}/user7/notes/new"}
    assert listed_folders(cacheadmin, policy, tree) == changed


@pytest.mark.parametrize("place", ["user3/project/.venv", "user3/notes/old/copied"])
def test_an_environment_that_came_since_keeps_what_it_links(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path, place: str
) -> None:
    """In a new folder, and in one that no program has changed for long."""
    policy = policy_for(cacheadmin, shared, tree)
    cacheadmin("plan", policy)
    assert memory_of(cacheadmin).stat().st_size > 60 * 24
    there = tree / place
    there.parent.mkdir(exist_ok=True)
    hidden.rename(there)

    cacheadmin("prune", policy, code=0)

    assert dangling_links(there) == {}


@pytest.mark.parametrize("content", [b"", b"cacheadmin memory\nnot that", None])
def test_a_damaged_memory_is_none(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path, content: bytes | None
) -> None:
    policy = policy_for(cacheadmin, shared, tree)
    hidden.rename(tree / "user3" / "notes" / "made")
    found = cacheadmin("scan", policy, "--format", "json").json["venvs"]
    file = memory_of(cacheadmin)
    if content is None:
        file.chmod(0o666)
    else:
        file.write_bytes(content)
    again = cacheadmin("scan", policy, "--format", "json").json["venvs"]
    assert f"{tree}/user3/notes/made" in {one["path"] for one in found}
    assert [one["path"] for one in again] == [one["path"] for one in found]


def test_looks_after_that_for_the_plan_ask_no_memory(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    policy = policy_for(cacheadmin, shared, tree)
    with look_at(str(policy)) as snapshot:
        look = snapshot.collected.look
        assert look.searched is not None
        assert look.later(Moment.BEFORE_LOCK).searched is None
    with look_at(str(policy), afresh=True) as snapshot:
        assert snapshot.collected.look.searched is None
