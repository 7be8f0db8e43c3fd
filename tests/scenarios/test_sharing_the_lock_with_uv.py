"""uv's lock and ours are one: each side waits for the other."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.look import Moment
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune import transaction
from cacheadmin.prune.last_look import LastLook, StillRemovable
from cacheadmin.prune.moves import move_out
from cacheadmin.prune.run import run_prune
from cacheadmin.snapshot.snapshot import look_with
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache, dangling_links, tree_snapshot
from tests.support.users import me
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

MANY = 4000


def holds_the_lock(pid: int, lock: Path) -> bool:
    """Return whether the process holds an exclusive flock on the file."""
    inode = f":{lock.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any(
        "FLOCK" in line and "WRITE" in line and f" {pid} " in line and inode in line
        for line in lines
        if "->" not in line
    )


def start_prune_and_stop_it_under_the_lock(
    cacheadmin: Cacheadmin, policy: Path, lock: Path
) -> subprocess.Popen[bytes]:
    """Return a prune of ours that was stopped (SIGSTOP) while it held the lock."""
    for _ in range(20):
        process = cacheadmin.start("prune", policy)
        while process.poll() is None:
            if holds_the_lock(process.pid, lock):
                process.send_signal(signal.SIGSTOP)
                if holds_the_lock(process.pid, lock):
                    return process
                process.send_signal(signal.SIGCONT)
                break
        process.wait(timeout=60)
        put_back(cacheadmin, policy)
    raise AssertionError("never caught our prune while it held the lock")


def put_back(cacheadmin: Cacheadmin, policy: Path) -> None:
    """Undo the run that was too quick."""
    runs = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    for run in runs:
        if run["restorable"]:
            cacheadmin("runs", "restore", policy, run["run_id"], code=0)


def test_the_newest_uv_waits_for_our_prune_and_then_succeeds(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("project", NEWEST, "six==1.16.0")
    for number in range(MANY):
        (shared.path / "archive-v0" / f"leftover{number:08d}").mkdir()
    policy = cacheadmin.policy(
        shared.path, f"venvs:\n  include: ['{environment}']\nprune:\n  builds:\n    after: 0s\n"
    )
    ours = start_prune_and_stop_it_under_the_lock(cacheadmin, policy, shared.path / ".lock")

    results: list[Path] = []
    theirs = threading.Thread(
        target=lambda: results.append(shared.environment("other", NEWEST, "idna==3.7"))
    )
    theirs.start()
    theirs.join(timeout=2)
    assert theirs.is_alive(), "uv did not wait for our lock"

    ours.send_signal(signal.SIGCONT)
    assert ours.wait(timeout=60) == 0
    theirs.join(timeout=60)
    assert results
    assert dangling_links(environment) == {}
    assert dangling_links(results[0]) == {}
    assert len(os.listdir(shared.path / "archive-v0")) < MANY


@contextmanager
def uv_run_in_progress(shared: SharedCache) -> Iterator[subprocess.Popen[bytes]]:
    """A real `uv run` of the newest release: it shares the lock until its child ends."""
    started = shared.home() / "started"
    child = ["sh", "-c", 'touch "$0" && exec sleep 600', started]
    process = subprocess.Popen(
        [binary_for(NEWEST), "run", "--no-project", "--", *child],
        env=uv_environment(cache=shared.path, home=shared.home(), index=shared.index),
        cwd=shared.home(),
        stdin=subprocess.DEVNULL,
    )
    try:
        until(lambda: started.exists() or process.poll() is not None)
        assert process.poll() is None
        assert is_locked(shared.path / ".lock")
        yield process
    finally:
        process.terminate()
        process.wait()


def is_locked(path: Path) -> bool:
    """Return whether somebody holds a flock on the file."""
    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_ours_gives_up_with_code_3_after_the_timeout_and_works_once_they_are_gone(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("project", NEWEST, "six==1.16.0")
    (shared.path / "archive-v0" / "left-by-a-crash").mkdir()
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  include: ['{environment}']\nlock:\n  timeout: 2s\n"
        "prune:\n  builds:\n    after: 0s\n",
    )
    with uv_run_in_progress(shared):
        before = tree_snapshot(shared.path)
        busy = cacheadmin("prune", policy, code=3)
        assert "busy" in busy.stderr
        assert tree_snapshot(shared.path) == before
    result = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert result["outcome"] == "committed"
    assert result["lock"]["held_seconds"] < 5


def test_a_prune_of_an_older_uv_that_deletes_the_lock_in_the_middle_is_noticed(
    shared: SharedCache, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0", link_mode="copy")
    # That release does not know builds: what we want to remove survives its prune.
    build = shared.path / "builds-v0" / ".tmpabcdef"
    build.mkdir(parents=True)
    policy = cacheadmin.policy(shared.path, "prune:\n  builds: {after: 0s}\n")
    lock = shared.path / ".lock"
    looks: list[int] = []
    look = LastLook.look

    def look_while_somebody_prunes(last: LastLook, moment: Moment) -> StillRemovable:
        if moment is not Moment.UNDER_LOCK:
            return look(last, moment)
        looks.append(lock.stat().st_ino)
        if len(looks) == 1:
            shared.uv("0.8.5", "cache", "prune", user=me())
            assert not lock.exists()
        return look(last, moment)

    held: list[tuple[int, bool]] = []

    def move(*arguments: object) -> object:
        held.extend((one.pid, one.unlinked) for one in lock_holders(str(shared.path)))
        return move_out(*arguments)

    monkeypatch.setattr(LastLook, "look", look_while_somebody_prunes)
    monkeypatch.setattr(transaction, "move_out", move)
    with look_with(load_policy(str(policy))) as snapshot:
        plan = snapshot.plan()
        assert "builds-v0/.tmpabcdef" in {decision.path for decision in plan.removals}
        result = run_prune(snapshot, plan, snapshot.sizing.of_plan(plan, kept=False))
    assert len(looks) == 2
    assert held == [(os.getpid(), False)], "the moves were made under the lock as it is now"
    assert not build.exists()
    assert result.outcome == "committed"
