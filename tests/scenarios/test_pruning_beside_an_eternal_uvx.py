"""A `uvx` that never ends: nothing of it is lost, and the cache is cleaned all the same.

uv issues 11694, 16112 and 19317: a prune deletes the files of a running tool,
or waits for its lock for ever.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cacheadmin.uv.releases import takes_cache_lock
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.long_running import long_running, tool_run, working_uv
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, copy_in_place_of, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST

IDLE_TOOLS = "prune:\n  environments: {idle: 0s, keep_latest: false}\n"
CONCURRENT = "lock:\n  busy: concurrent\n"

# The longest that three users work beside our prunes (seconds).
BUSY_SECONDS = 6
LONG_BUSY_SECONDS = 120


def environments_of(cache: Path, tool: str) -> set[Path]:
    """Return the archives that are whole environments with a tool in them."""
    found = cache.glob(f"archive-v0/*/lib/python*/site-packages/{tool}-*.dist-info")
    return {path.parents[3] for path in found}


def size_of(cache: Path) -> int:
    return sum(path.lstat().st_size for path in cache.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("release", ["0.6.2", "0.8.5", NEWEST])
def test_a_running_tool_lives_on_and_an_idle_one_goes(
    shared: SharedCache, cacheadmin: Cacheadmin, release: str
) -> None:
    shared.uv(release, "tool", "run", "cowsay", "-t", "hello")
    (idle,) = environments_of(shared.path, "cowsay")
    with long_running(shared, release, *tool_run("pytz", "six==1.16.0", "idna==3.7")) as server:
        (used,) = environments_of(shared.path, "pytz")
        late = iter(("import six", "import idna.codec", "import idna.compat", "import pytz.tzfile"))
        blocks = takes_cache_lock(release)
        for name, lock in (("wait", "{timeout: 0s, busy: wait}"), ("skip", "{busy: skip}")):
            policy = cacheadmin.policy(shared.path, f"lock: {lock}\n{IDLE_TOOLS}", name=name)
            result = cacheadmin("prune", policy, code=3 if blocks else 0)
            assert idle.exists() is blocks
            if blocks:
                assert f"process {server.pid} of" in result.stderr
            assert server.asks(next(late)) == "done"
        policy = cacheadmin.policy(shared.path, CONCURRENT + IDLE_TOOLS, name="concurrent")
        for _ in range(3):
            cacheadmin("prune", policy, code=0)
        assert server.asks(next(late)) == "done"
        assert not idle.exists()
        assert used.exists()
        assert dangling_links(used) == {}
    # Once it has ended, its environment is idle as well.
    cacheadmin("prune", policy, code=0)
    assert not used.exists()


def test_a_uv_at_work_is_waited_for_and_then_no_longer(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    shutil.rmtree(shared.home() / "proj")
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    orphans = {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}
    policy = cacheadmin.policy(shared.path, CONCURRENT)
    with working_uv(shared) as uv:
        for _ in range(2):
            answer = cacheadmin("prune", policy, "--format", "json", code=0).json
            assert answer["lock"]["mode"] == "concurrent"
            assert set(answer["deferred"]["paths"]) >= orphans
            assert f"process {uv.pid} of" in " ".join(answer["deferred"]["waits_for"])
            assert all((shared.path / path).exists() for path in orphans)
        words = cacheadmin("prune", policy, code=0).stdout
        assert "left for a later run" in words
        assert f"process {uv.pid} of" in words
        with long_running(shared, NEWEST, *tool_run("cowsay")):
            uv.kill()
            uv.wait()
            answer = cacheadmin("prune", policy, "--format", "json", code=0).json
            assert answer["lock"]["mode"] == "concurrent"
            assert {row["path"] for row in answer["removals"]} >= orphans
            assert not any((shared.path / path).exists() for path in orphans)


def orphaned(shared: SharedCache, user: User | None = None) -> set[str]:
    """Leave archives that nothing points to and no environment uses; return their entries."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7", user=user)
    shutil.rmtree(environment)
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    return {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}


def test_where_other_hosts_reach_the_cache_nothing_is_reclaimed_beside_them(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """Their uv can't be seen from here: that none is does not say that each has ended."""
    orphans = orphaned(shared)
    policy = cacheadmin.policy(shared.path, CONCURRENT + "hosts: {expect: [elsewhere]}\n")
    with long_running(shared, NEWEST, *tool_run("cowsay")):
        for _ in range(2):
            answer = cacheadmin("prune", policy, "--format", "json", code=0).json
            assert set(answer["deferred"]["paths"]) >= orphans
            assert "processes of other hosts" in " ".join(answer["deferred"]["waits_for"])
    answer = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert {row["path"] for row in answer["removals"]} >= orphans


@pytest.mark.root
def test_where_other_accounts_are_hidden_nothing_is_reclaimed_beside_them(
    open_folder: Path, index: Index, three_users: list[User], cacheadmin: Cacheadmin
) -> None:
    ana, ben, _ = three_users
    shared = SharedCache.create(open_folder, index, [ana, ben])
    orphans = orphaned(shared, ana)
    quarantine, state = open_folder / "quarantine", open_folder / "state"
    for folder in (quarantine, state):
        folder.mkdir(mode=0o700)
        os.chown(folder, ana.uid, ana.gid)
    os.chown(shared.path, ana.uid, ana.gid)
    places = f"quarantine: {{path: {quarantine}}}\nstate: sqlite:///{state}/state.sqlite\n"
    policy = cacheadmin.policy(shared.path, CONCURRENT + places)
    become = f"setpriv --reuid {ana.uid} --regid {ana.gid} --groups {ana.gid}"
    # A mount of its own (Linux 5.8): a remount would hide the whole machine's from all.
    script = f'mount -t proc -o hidepid=2 proc /proc; exec {become} "$@"'
    command = cacheadmin.command("prune", policy, "--format", "json", user=ana)
    with long_running(shared, NEWEST, *tool_run("cowsay"), user=ben):
        for _ in range(2):
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-ec", script, "sh", *command],
                env=cacheadmin.environment(ana),
                cwd=open_folder,
                capture_output=True,
                text=True,
                check=True,
            )
            answer = json.loads(done.stdout)
            assert set(answer["deferred"]["paths"]) >= orphans
            assert "processes of other accounts" in " ".join(answer["deferred"]["waits_for"])


def test_what_is_published_again_is_left_alone(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    """A bucket comes back while its archives wait: whatever the period says, they stay."""
    shared.environment("proj", NEWEST, "six==1.16.0")
    (archive,) = (shared.path / "archive-v0").iterdir()
    (wheels,) = shared.path.glob("wheels-v*")
    old = wheels.rename(wheels.with_name("wheels-v1"))
    month_ago = time.time() - 40 * 86_400
    for path in [old, *old.rglob("*")]:
        os.utime(path, (month_ago, month_ago), follow_symlinks=False)
    shutil.rmtree(shared.home() / "proj")
    policy = cacheadmin.policy(shared.path, CONCURRENT)
    with long_running(shared, NEWEST, *tool_run("cowsay")):
        first = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert {row["path"] for row in first["removals"]} == {"wheels-v1"}
        assert first["deferred"]["paths"] == [str(archive.relative_to(shared.path))]
        quarantined = shared.path.with_name("cache.cacheadmin") / "quarantine" / first["run_id"]
        (quarantined / "entries" / "wheels-v1").rename(old)
        second = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert {row["path"] for row in second["removals"]} == {"wheels-v1"}
        assert archive.exists()
        cacheadmin("prune", policy, code=0)
        assert not archive.exists()


@pytest.mark.root
@pytest.mark.parametrize(
    "seconds", [BUSY_SECONDS, pytest.param(LONG_BUSY_SECONDS, marks=pytest.mark.long)]
)
def test_three_users_at_work_notice_nothing_and_the_space_comes_back(
    open_folder: Path,
    index: Index,
    three_users: list[User],
    cacheadmin: Cacheadmin,
    seconds: int,
) -> None:
    shared = SharedCache.create(open_folder, index, three_users)
    ana = three_users[0]
    # What an exclusive run would reclaim: archives without a pointer, and with old ones only.
    shared.environment("left", NEWEST, "pytz", "cowsay", "six==1.15.0", "idna==3.6", user=ana)
    (wheels,) = shared.path.glob("wheels-v*")
    subprocess.run(["rm", "-rf", wheels, shared.home(ana) / "left"], check=True)
    exclusive = cacheadmin.policy(shared.path, IDLE_TOOLS, name="exclusive")
    archives = set((shared.path / "archive-v0").iterdir())
    with copy_in_place_of(shared.path):
        cacheadmin("prune", exclusive, code=0)
        orphans = {archive for archive in archives if not archive.exists()}
    reclaimable = sum(map(size_of, orphans))
    assert reclaimable > 100_000
    policy = cacheadmin.policy(shared.path, CONCURRENT + IDLE_TOOLS)
    failures: list[str] = []
    ended = threading.Event()
    workers = [
        threading.Thread(target=work, args=(shared, user, release, ended, failures))
        for user, release in zip(three_users, (NEWEST, "0.8.5", NEWEST), strict=True)
    ]
    waits = []
    with long_running(shared, NEWEST, *tool_run("pytz"), user=ana) as server:
        for worker in workers:
            worker.start()
        try:
            for _ in range(10):
                begun = time.monotonic()
                answer = cacheadmin("prune", policy, "--format", "json", code=0).json
                waits.append(answer["lock"]["wait_seconds"])
                assert server.asks("import pytz.reference") == "done"
                # Spread over the time in which users are at work.
                time.sleep(max(0.0, seconds / 10 - (time.monotonic() - begun)))
        finally:
            ended.set()
            for worker in workers:
                worker.join()
        assert failures == []
        assert server.asks("import pytz.lazy") == "done"
        assert max(waits) < 0.05
        for environment in shared.homes.glob("*/*/pyvenv.cfg"):
            assert dangling_links(environment.parent) == {}
        kept = sum(map(size_of, filter(Path.exists, orphans)))
        assert kept <= 0.05 * reclaimable


def work(
    shared: SharedCache,
    user: User,
    release: str,
    ended: threading.Event,
    failures: list[str],
) -> None:
    """Install, upgrade and delete environments until told to stop."""
    number = 0
    while not ended.is_set() and not failures:
        number += 1
        try:
            environment = shared.environment(
                f"work{number % 3}", release, "six==1.16.0", "idna==3.6", user=user
            )
            python = environment / "bin" / "python"
            arguments = ("pip", "install", "--python", python, "idna==3.7")
            shared.uv(release, *arguments, user=user)
            subprocess.run([python, "-c", "import six, idna.codec"], check=True)
            assert dangling_links(environment) == {}
            shutil.rmtree(environment)
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            failures.append(f"{user.name}, uv {release}: {error}")
