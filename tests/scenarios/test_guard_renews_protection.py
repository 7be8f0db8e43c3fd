"""The guard alone keeps a cache of five releases whole while everybody prunes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cacheadmin.protect.roots import root_buckets
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import Guard, guarding
from tests.support.packages import Index
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import (
    SharedCache,
    copy_in_place_of,
    dangling_links,
    names_in,
    tree_snapshot,
)
from tests.support.users import me
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

FIVE = ("0.4.30", "0.5.10", "0.8.5", "0.11.33", NEWEST)

IN_TURN = ("0.2.37", NEWEST, "0.4.10", "0.8.24", "0.5.10", "0.6.4", "0.12.24", "0.7.22")

MEMORY_KIB = 60 * 1024


def policy_for(shared: SharedCache, cacheadmin: Cacheadmin, more: str = "") -> Path:
    return cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n{more}")


def fill(shared: SharedCache, releases: tuple[str, ...]) -> None:
    for release in releases:
        shared.environment(f"project-{release}", release, "six==1.16.0", "cowsay==6.0")


def dangling(shared: SharedCache) -> int:
    return sum(len(dangling_links(path)) for path in shared.environments)


def is_protected(cacheadmin: Cacheadmin, policy: Path) -> bool:
    return cacheadmin("protect", policy, "--check").code == 0


def has_all_roots(shared: SharedCache, number: int) -> bool:
    folders = [shared.path / bucket / "cacheadmin" for bucket in root_buckets(2)]
    return all(folder.is_dir() and len(list(folder.glob("root*"))) == number for folder in folders)


@contextmanager
def a_running_tool(shared: SharedCache) -> Iterator[subprocess.Popen[bytes]]:
    """A real `uvx` whose child imports what it needs only when it is told to."""
    program = "import sys; print('up', flush=True); sys.stdin.readline(); import cowsay.characters"
    tool = subprocess.Popen(
        [binary_for(NEWEST), "tool", "run", "--from", "cowsay==6.0", "python", "-c", program],
        env=uv_environment(
            cache=shared.path, home=shared.home(), index=shared.index, link_mode="symlink"
        ),
        cwd=shared.home(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert tool.stdout is not None
        assert tool.stdout.readline() == b"up\n"
        yield tool
    finally:
        if tool.poll() is None:
            os.killpg(tool.pid, signal.SIGKILL)
        tool.communicate()


def test_every_releases_prune_in_turn_breaks_nothing(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, FIVE)
    policy = policy_for(shared, cacheadmin)
    with a_running_tool(shared) as tool:
        # The lock the tool holds makes prunes of 0.8.19 and later wait: --force.
        with copy_in_place_of(shared.path):
            broken = []
            for release in IN_TURN:
                prune(shared, release)
                broken.append(dangling(shared))
            assert broken[0] > 0
        with guarding(cacheadmin, policy) as guard:
            until(lambda: is_protected(cacheadmin, policy))
            number = len(list((shared.path / "sdists-v9" / "cacheadmin").glob("root*")))
            for release in IN_TURN:
                prune(shared, release)
                assert dangling(shared) == 0, release
                until(lambda: has_all_roots(shared, number))
            assert guard.memory_kib() < MEMORY_KIB
        _, errors = tool.communicate(b"\n", timeout=20)
        assert tool.returncode == 0, errors
    for release in FIVE:
        shared.environment(f"again-{release}", release, "six==1.16.0", "idna==3.7")
    assert dangling(shared) == 0


def prune(shared: SharedCache, release: str) -> None:
    force = ["--force"] if release in ("0.8.24", "0.12.24", NEWEST) else []
    shared.uv(release, "cache", "prune", *force, user=me())


def test_nothing_is_written_while_nothing_changes(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy) as guard:
        until(lambda: is_protected(cacheadmin, policy))
        # Time for what it might still write.
        time.sleep(1)
        before = tree_snapshot(shared.path)
        stock = tree_snapshot(quarantine_of(shared))
        for _ in range(2):
            guard.hang_up()
            # Time for a look, and for what it might write.
            time.sleep(2)
        assert tree_snapshot(shared.path) == before
        assert tree_snapshot(quarantine_of(shared)) == stock


def quarantine_of(shared: SharedCache) -> Path:
    return Path(f"{shared.path}.cacheadmin/quarantine")


def test_it_gives_back_whatever_is_removed(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy):
        until(lambda: is_protected(cacheadmin, policy))
        roots = shared.path / "sdists-v9" / "cacheadmin"
        names = set(os.listdir(roots))
        next(roots.glob("root*")).unlink()
        until(lambda: set(os.listdir(roots)) == names)
        shutil.rmtree(roots)
        until(lambda: roots.is_dir() and set(os.listdir(roots)) == names)
        shutil.rmtree(roots.parent)
        until(lambda: roots.is_dir() and set(os.listdir(roots)) == names)
        until(lambda: is_protected(cacheadmin, policy))


def test_new_environments_are_protected_soon_and_old_ones_are_let_go(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy) as guard:
        until(lambda: is_protected(cacheadmin, policy))
        later = shared.environment("later", "0.8.5", "idna==3.7")
        until(lambda: is_protected(cacheadmin, policy))
        number = len(list((shared.path / "sdists-v9" / "cacheadmin").glob("root*")))
        shared.uv(NEWEST, "cache", "prune", user=me())
        assert dangling(shared) == 0
        until(lambda: has_all_roots(shared, number))

        kept = len(os.listdir(shared.path / "archive-v0"))
        shared.remove_environment(later)
        guard.hang_up()
        until(lambda: has_all_roots(shared, number - 1))
        shared.uv(NEWEST, "cache", "prune", user=me())
        assert len(os.listdir(shared.path / "archive-v0")) == kept - 1


def test_what_asks_for_a_look_during_one_gets_another(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy) as guard:
        until(lambda: is_protected(cacheadmin, policy))
        # Looks that the installation asked for are over.
        until(lambda: not looks_of(guard) and not time.sleep(3) and not looks_of(guard))
        guard.hang_up()
        until(lambda: looks_of(guard))
        (first,) = looks_of(guard)
        os.kill(first, signal.SIGSTOP)
        guard.hang_up()
        # Time for the signal to be met while the look stands still.
        time.sleep(0.5)
        os.kill(first, signal.SIGCONT)
        until(lambda: looks_of(guard) - {first}, seconds=30)


def looks_of(guard: Guard) -> set[int]:
    return {child.pid for child in psutil.Process(guard.process.pid).children()}


def is_held(path: Path) -> bool:
    with path.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_holding_on_makes_prunes_wait_and_nothing_else(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin, "lock:\n  busy: skip\n")
    with guarding(cacheadmin, policy, "--hold") as guard:
        assert is_held(shared.path / ".lock")
        shared.environment("meanwhile", NEWEST, "idna==3.7")
        waiting = subprocess.Popen(
            [binary_for(NEWEST), "cache", "prune"],
            env=uv_environment(cache=shared.path, home=shared.home()) | {"UV_LOCK_TIMEOUT": "1"},
            cwd=shared.home(),
            stderr=subprocess.PIPE,
        )
        _, errors = waiting.communicate(timeout=30)
        assert waiting.returncode == 2
        assert b"lock" in errors.lower()

        # Ours is let through, although it does not wait at all.
        (shared.path / "archive-v0" / "leftover-of-a-crash").mkdir()
        pruned = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert pruned["outcome"] == "committed"
        cacheadmin("runs", "restore", policy, pruned["run_id"], code=0)
        until(lambda: is_held(shared.path / ".lock"))

        # An older release's prune deletes the lock's file.
        shared.uv("0.8.5", "cache", "prune", user=me())
        until(lambda: (shared.path / ".lock").exists() and is_held(shared.path / ".lock"))
        assert (shared.path / ".lock").stat().st_mode & 0o666 == 0o666
        assert dangling(shared) == 0
        assert guard.memory_kib() < MEMORY_KIB
    assert not is_held(shared.path / ".lock")


def test_a_guard_that_is_killed_leaves_nothing_that_hinders_anybody(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin, "lock:\n  busy: skip\n")
    with guarding(cacheadmin, policy, "--hold") as guard:
        until(lambda: is_protected(cacheadmin, policy))
        guard.process.kill()
        guard.process.wait()
        assert not is_held(shared.path / ".lock")
        (shared.path / "archive-v0" / "leftover-of-a-crash").mkdir()
        pruned = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert pruned["outcome"] == "committed"
        shared.uv(NEWEST, "cache", "prune", user=me())
        assert dangling(shared) == 0
    with guarding(cacheadmin, policy):
        until(lambda: is_protected(cacheadmin, policy))
    assert "guard.roots" not in os.listdir(quarantine_of(shared))


def test_a_cache_that_is_cleaned_and_filled_again_is_guarded_again(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, ("0.9.0",))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy) as guard:
        until(lambda: is_protected(cacheadmin, policy))
        shared.uv("0.9.0", "cache", "clean", user=me())
        shutil.rmtree(shared.environments.pop())
        fill(shared, (NEWEST,))
        until(lambda: is_protected(cacheadmin, policy))
        prune(shared, "0.8.5")
        assert dangling(shared) == 0
        assert guard.process.poll() is None


def test_a_guard_that_is_told_twice_ends_as_one_that_is_told_once(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    with guarding(cacheadmin, policy_for(shared, cacheadmin)) as guard:
        while guard.process.poll() is None:
            guard.process.send_signal(signal.SIGTERM)
        assert guard.process.returncode == 0, guard.log()


def test_what_cant_be_guarded_is_said_at_once(tmp_path: Path, cacheadmin: Cacheadmin) -> None:
    policy = cacheadmin.policy(tmp_path)
    result = cacheadmin("guard", policy, code=66, timeout=20)
    assert "is not a uv cache" in result.stderr


def test_two_prunes_in_the_same_moment_wait_while_the_lock_is_held(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, ("0.10.12", NEWEST))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy, "--hold"):
        until(lambda: is_protected(cacheadmin, policy))
        before = names_in(shared.path)
        prunes = [
            subprocess.Popen(
                [binary_for(release), "cache", "prune"],
                env=uv_environment(cache=shared.path, home=shared.home())
                | {"UV_LOCK_TIMEOUT": "1"},
                cwd=shared.home(),
                stderr=subprocess.DEVNULL,
            )
            for release in ("0.10.12", NEWEST)
        ]
        assert [one.wait(timeout=30) for one in prunes] == [2, 2]
        assert names_in(shared.path) == before


@pytest.mark.parametrize("pair", [("0.8.5", NEWEST), ("0.5.10", "0.6.4")])
def test_two_prunes_in_the_same_moment_leave_the_guard_standing(
    shared: SharedCache, cacheadmin: Cacheadmin, pair: tuple[str, str]
) -> None:
    """Whether links dangle is a matter of milliseconds (docs/protection.md): a bench tells."""
    fill(shared, (pair[0], "0.11.33"))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy) as guard:
        until(lambda: is_protected(cacheadmin, policy))
        for _ in range(3):
            prunes = [
                subprocess.Popen(
                    [binary_for(release), "cache", "prune", "--quiet"],
                    env=uv_environment(cache=shared.path, home=shared.home()),
                    cwd=shared.home(),
                    stderr=subprocess.DEVNULL,
                )
                for release in pair
            ]
            for one in prunes:
                one.wait(timeout=30)
            until(lambda: is_protected(cacheadmin, policy))
        assert guard.process.poll() is None


def test_a_quarantine_that_cant_be_used_is_told_once(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    with guarding(cacheadmin, policy, "--hold") as guard:
        until(lambda: is_protected(cacheadmin, policy))
        quarantine_of(shared).chmod(0o777)
        for name in quarantine_of(shared).glob("guard.[wh]*"):
            name.unlink()
        # Something to plant, and no stock to take it from.
        shutil.rmtree(shared.path / "sdists-v9")
        until(lambda: "can be written by others" in guard.log())
        # Time to say it again and again.
        time.sleep(4)
        lines = guard.log().splitlines()
        quarantine_of(shared).chmod(0o700)
    told = [line for line in lines if "can be written by others" in line]
    assert 1 <= len(told) == len(set(told)) <= 3, lines


def test_a_policy_that_changes_is_followed_without_a_new_start(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """The lock that keeps guard and prunes apart lies in quarantine: both must know where."""
    fill(shared, (NEWEST,))
    policy = policy_for(shared, cacheadmin)
    elsewhere = shared.path.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    with guarding(cacheadmin, policy, "--hold") as guard:
        until((quarantine_of(shared) / "guard.roots").is_dir)
        policy_for(shared, cacheadmin, f"quarantine: {{path: '{elsewhere}'}}\n")
        guard.hang_up()
        until((elsewhere / "guard.roots").is_dir)
        until((elsewhere / "guard.holding").exists)
        assert not (quarantine_of(shared) / "guard.roots").exists()
        cacheadmin("prune", policy, code=0)
    assert dangling(shared) == 0


def test_guards_of_two_caches_with_one_quarantine_give_back_to_each_what_is_its_own(
    shared: SharedCache, cacheadmin: Cacheadmin, index: Index, open_folder: Path
) -> None:
    (open_folder / "more").mkdir()
    other = SharedCache.create(open_folder / "more", index)
    shared.environment("project", NEWEST, "six==1.16.0")
    other.environment("project", NEWEST, "idna==3.7")
    place = f"quarantine: {{path: '{open_folder / 'both'}'}}\n"
    runner = Cacheadmin(open_folder / "other-cacheadmin")
    runner.folder.mkdir()
    one, two = policy_for(shared, cacheadmin, place), policy_for(other, runner, place)
    with guarding(cacheadmin, one), guarding(runner, two):
        until(lambda: is_protected(cacheadmin, one) and is_protected(runner, two))
        # Of each bucket one is in stock, and each of its archives has a root there.
        buckets = {path.parent.name for path in shared.path.glob("*/cacheadmin")}
        until(lambda: all(stocked(open_folder / "both", bucket) == 2 for bucket in buckets))
        for bucket in buckets:
            shutil.rmtree(shared.path / bucket)
        until(lambda: is_protected(cacheadmin, one))
        assert [path for path in shared.path.rglob("*") if is_dangling(path)] == []
    assert "guard.roots" not in os.listdir(open_folder / "both")


def stocked(quarantine: Path, bucket: str) -> int:
    """Return how many roots of this name are in stock, for any cache."""
    try:
        found = list(quarantine.rglob(f"{bucket}/cacheadmin/*"))
    except FileNotFoundError:
        # What a guard is at work on comes and goes.
        return 0
    return len([path for path in found if path.is_symlink()])


def is_dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()
