"""What comes alive between the plan and the lock stays, however it came alive."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.look import Moment
from cacheadmin.evidence.pins import PINS
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.last_look import LastLook, StillRemovable
from cacheadmin.readers import Readers
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.uv.releases import buckets_of
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST, REPOSITORY
from tests.support.waiting import let_clocks_tick, until
from tests.support.wheel_archives import empty_cache, write_archive, write_tool

OLD = "0.8.5"
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
TOOLS = "prune:\n  environments:\n    idle: 0s\n    keep_latest: false\n"


@contextmanager
def between(policy: Path) -> Iterator[tuple[set[str], LastLook]]:
    """Plan and prepare; what happens in the block happens before the lock is taken."""
    with look_with(load_policy(os.fspath(policy))) as snapshot:
        plan = snapshot.plan()
        yield {decision.path for decision in plan.removals}, LastLook(snapshot, plan.removals)


@contextmanager
def running(*command: object, **arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that says `up` and then sleeps."""
    process = subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        **arguments,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def is_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"


def dropped(look: StillRemovable) -> dict[str, str]:
    assert not {d.path for d in look.removals} & {path for path, _ in look.dropped}
    return dict(look.dropped)


@pytest.fixture
def orphans(shared: SharedCache) -> tuple[Path, set[str]]:
    """An environment that nobody knows of, and its archives, to which nothing points."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    for pattern in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(pattern):
            subprocess.run(["rm", "-rf", folder], check=True)
    return environment, {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}


def test_nothing_is_dropped_when_nothing_happened(shared, cacheadmin, orphans) -> None:
    with between(cacheadmin.policy(shared.path)) as (planned, last):
        assert planned >= orphans[1]
        let_clocks_tick()
        look = last.look()
    assert {decision.path for decision in look.removals} == planned
    assert look.dropped == ()


def test_an_environment_registered_meanwhile_keeps_its_archives(
    shared, cacheadmin, orphans
) -> None:
    environment, archives = orphans
    registry = shared.homes / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  registry: {registry}\n")
    with between(policy) as (planned, last):
        assert planned >= archives
        (registry / "mine").symlink_to(environment)
        kept = dropped(last.look())
    assert set(kept) >= archives
    assert kept[min(archives)] == f"{environment} uses it now"


def test_buckets_of_a_release_whose_user_comes_back_meanwhile_stay(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.remove_environment(shared.environment("old", OLD, "six==1.16.0"))
    age(shared.path, 40)
    shared.environment("new", NEWEST, "idna==3.7")
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: {shared.homes}}}]}}\n")
    theirs = (buckets_of(OLD) or frozenset()) - (buckets_of(NEWEST) or frozenset())
    with between(policy) as (planned, last):
        going = theirs & planned
        assert "wheels-v5" in going
        assert not set(dropped(last.look())) & going
        # It is in the cache: nothing is written to that bucket.
        late = shared.environment("late", OLD, "six==1.16.0")
        kept = dropped(last.look())
    assert set(kept) >= going
    assert kept["wheels-v5"] == f"uv {OLD} made {late}, which came since the plan"


def test_buckets_of_a_tool_that_ran_from_the_cache_meanwhile_stay(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """Nothing but its cached environment tells of it: it is over, and made none elsewhere."""
    shared.remove_environment(shared.environment("old", OLD, "six==1.16.0", "cowsay==6.1"))
    age(shared.path, 40)
    shared.environment("new", NEWEST, "idna==3.7")
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: {shared.homes}}}]}}\n")
    theirs = (buckets_of(OLD) or frozenset()) - (buckets_of(NEWEST) or frozenset())
    run = ("tool", "run", "--offline", "cowsay", "-t", "x")
    with between(policy) as (planned, last):
        going = theirs & planned
        assert going >= {"wheels-v5", "simple-v16"}
        shared.uv(OLD, *run)
        kept = dropped(last.look())
    assert set(kept) >= going
    assert kept["simple-v16"].startswith(f"uv {OLD} made {shared.path}/environments-v2/")


def test_a_bucket_that_comes_meanwhile_keeps_what_it_leads_to(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: tuple[Path, set[str]]
) -> None:
    """A release that had no bucket here has made one."""
    archive = min(orphans[1])
    with between(cacheadmin.policy(shared.path)) as (planned, last):
        assert archive in planned
        folder = shared.path / "wheels-v5/pypi/six"
        folder.mkdir(parents=True)
        (folder / "1.16.0-py2.py3-none-any").symlink_to(f"../../../{archive}")
        kept = dropped(last.look())
    assert kept[archive] == "wheels-v5/pypi/six/1.16.0-py2.py3-none-any points to it now"


def test_an_interpreter_bucket_that_comes_meanwhile_is_asked_for_environments(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: tuple[Path, set[str]]
) -> None:
    environment, archives = orphans
    nothing = cacheadmin.folder / "nothing"
    nothing.mkdir()
    policy = cacheadmin.policy(shared.path, f"venvs: {{discover: [{{root: {nothing}}}]}}\n")
    with between(policy) as (planned, last):
        assert planned >= archives
        shared.uv(OLD, "pip", "list", "--python", environment / "bin" / "python")
        assert (shared.path / "interpreter-v4").is_dir()
        kept = dropped(last.look())
    assert set(kept) >= archives
    assert kept[min(archives)] == f"{environment} uses it now"


def test_where_many_tools_were_made_meanwhile_all_buckets_and_archives_stay(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.uv(OLD, "tool", "run", "cowsay", "-t", "x")
    (made,) = [one for one in (shared.path / "environments-v2").glob("*/*") if one.is_symlink()]
    shared.remove_environment(shared.environment("old", OLD, "six==1.16.0"))
    unused = f"archive-v0/{write_archive(shared.path, 'unused', {'unused.py': b''}).name}"
    age(shared.path, 40)
    shared.environment("new", NEWEST, "idna==3.7")
    with between(cacheadmin.policy(shared.path)) as (planned, last):
        assert planned >= {"wheels-v5", unused}
        for number in range(17):
            made.with_name(f"{number:016x}").symlink_to(os.readlink(made))
        kept = dropped(last.look())
    assert kept["wheels-v5"] == "17 cached environments were made since the plan, of any release"
    assert "17 were made since the plan, and may link any archive" in kept[unused]


def test_what_many_tools_link_that_were_made_while_a_prune_waited_stays(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = empty_cache(open_folder / "cache")
    six = write_archive(cache, "six", {"six.py": b""})
    age(cache, 40)
    policy = cacheadmin.policy(cache, "hosts: {only: this}\nprune: {trial: never}\n")
    journals = cache.with_name("cache.cacheadmin") / "quarantine"
    with (cache / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        pruning = subprocess.Popen(
            cacheadmin.command("prune", policy), env=cacheadmin.environment()
        )
        # All but what is looked at under the lock is over.
        until(lambda: any(b"moving" in one.read_bytes() for one in journals.glob("*/journal*")))
        tools = [write_tool(cache, six, number=number) for number in range(17)]
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert pruning.wait() == 0
    assert not any(map(dangling_links, tools))


def test_an_environment_that_a_new_process_runs_from_keeps_its_archives(
    shared, cacheadmin, orphans
) -> None:
    environment, archives = orphans
    with between(cacheadmin.policy(shared.path)) as (planned, last):
        assert planned >= archives
        with running(environment / "bin" / "python", "-c", SLEEP, env={}) as process:
            is_up(process)
            kept = dropped(last.look())
    assert set(kept) >= archives
    assert kept[min(archives)] == f"{environment} uses it now"


def test_a_known_process_that_becomes_a_tool_by_exec_keeps_the_tool(
    shared: SharedCache, cacheadmin
) -> None:
    shared.uv(
        NEWEST, "tool", "run", "--with", "six==1.16.0", "--from", "cowsay", "cowsay", "-t", "x"
    )
    (config,) = (shared.path / "archive-v0").glob("*/pyvenv.cfg")
    entry = f"archive-v0/{config.parent.name}"
    waiting = running("sh", "-c", f'read python; exec "$python" -c "{SLEEP}"', env={})
    looking = between(cacheadmin.policy(shared.path, TOOLS))
    with waiting as process, looking as (planned, last):
        assert entry in planned
        assert any(path.startswith("environments-v2/") for path in planned)
        assert process.stdin is not None
        process.stdin.write(os.fsencode(config.parent / "bin" / "python") + b"\n")
        process.stdin.flush()
        is_up(process)
        kept = dropped(last.look())
    assert kept[entry] == f"process {process.pid} uses it now"
    assert {path for path in planned if path.startswith("environments-v2/")} <= set(kept)


def test_an_overlay_keeps_the_cached_environment_it_extends(
    shared: SharedCache, cacheadmin
) -> None:
    # 0.8.5 takes no lock: it may come at any time, and only waits for its child then.
    arguments = ("run", "--no-project", "--with", "six==1.16.0", "--python", sys.executable)
    shared.uv("0.8.5", *arguments, "python", "-c", "pass")
    configs = list((shared.path / "archive-v0").glob("*/pyvenv.cfg"))
    assert configs
    environments = {f"archive-v0/{config.parent.name}" for config in configs}
    with between(cacheadmin.policy(shared.path, TOOLS)) as (planned, last):
        assert planned >= environments
        uv = running(
            binary_for("0.8.5"),
            *arguments,
            *("python", "-c", SLEEP),
            env=uv_environment(cache=shared.path, home=shared.home(), index=shared.index),
            cwd=shared.home(),
        )
        with uv as process:
            is_up(process)
            kept = dropped(last.look())
    assert set(kept) >= environments


def test_what_one_look_saw_is_known_to_the_next(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: tuple[Path, set[str]]
) -> None:
    """A look under the lock that took too long, or a deleted lock, is followed by another."""
    environment, archives = orphans
    with (
        between(cacheadmin.policy(shared.path)) as (planned, last),
        running(environment / "bin" / "python", "-c", SLEEP, env={}) as process,
    ):
        assert planned >= archives
        is_up(process)
        for moment in (Moment.UNDER_LOCK, Moment.BEFORE_LOCK, Moment.UNDER_LOCK):
            assert set(dropped(last.look(moment))) >= archives


# A tool starts as soon as the lock is taken, and the prune of a uv before 0.8.19 deletes the lock.
STARTED_BY_THEN = """
import os, subprocess, sys
from cacheadmin.uv.cache_lock import ExclusiveLock
take, look_at, tools = ExclusiveLock.acquire, ExclusiveLock.is_current, []
def started(self, *arguments):
    take(self, *arguments)
    if not tools:
        words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(300)"]
        tools.append(subprocess.Popen(words, cwd={tool!r}, stdout=subprocess.PIPE))
        tools[0].stdout.readline()
def deleted(self):
    if len(tools) == 1:
        tools.append(os.unlink({lock!r}))
    return look_at(self)
ExclusiveLock.acquire, ExclusiveLock.is_current = started, deleted
from cacheadmin.cli.app import run
code = run(sys.argv[1:])
tools[0].kill()
sys.exit(code)
"""


def test_a_tool_that_starts_before_the_lock_is_found_deleted_stays(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = empty_cache(open_folder / "cache")
    tool = write_tool(cache, write_archive(cache, "six", {"six.py": b""}))
    age(cache, 40)
    sure = "venvs: {complete: true}\nhosts: {only: this}\n"
    idle = "prune: {environments: {idle: 1d, keep_latest: false}, trial: never}\n"
    policy = cacheadmin.policy(cache, sure + idle)
    script = STARTED_BY_THEN.format(tool=os.fspath(tool), lock=os.fspath(cache / ".lock"))
    done = subprocess.run(
        [sys.executable, "-c", script, "prune", policy, "--format", "json"],
        env={**cacheadmin.environment(None), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = {row["path"] for row in json.loads(done.stdout)["dropped"]}
    assert f"archive-v0/{tool.name}" in kept
    assert tool.is_dir()
    assert dangling_links(tool) == {}


def test_looking_at_thousands_of_leftovers_takes_no_time(shared: SharedCache, cacheadmin) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    for number in range(4000):
        (shared.path / "archive-v0" / f"leftover{number:08d}").mkdir()
    policy = cacheadmin.policy(shared.path, "prune:\n  builds:\n    after: 0s\n")
    with between(policy) as (planned, last):
        assert len(planned) >= 4000
        begun = time.perf_counter()
        last.look()
        assert time.perf_counter() - begun < 1


def pin(cacheadmin: Cacheadmin, policy: Path, entry: str) -> None:
    cacheadmin("pin", "add", policy, "--", entry.partition("/")[2], code=0)


def test_a_pin_taken_meanwhile_keeps_its_archive_be_it_the_first(
    shared, cacheadmin, orphans
) -> None:
    first, second = sorted(orphans[1])
    policy = cacheadmin.policy(shared.path)
    for entry, pinned_before in ((first, False), (second, True)):
        assert Path(f"{shared.path}.pins").exists() == pinned_before
        with between(policy) as (planned, last):
            assert entry in planned
            pin(cacheadmin, policy, entry)
            assert entry in dropped(last.look())


def test_leases_are_not_listed_under_the_lock_where_none_has_come(
    shared, cacheadmin, orphans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any account can fill the registry, where leases lie: nothing that it multiplies is read."""
    registry = shared.homes / "registry"
    registry.mkdir(mode=0o755)
    for number in range(50):
        (registry / f"{number}.pin").write_text("{}")
    # A time as young as the look tells nothing.
    let_clocks_tick()
    asked: list[object] = []
    replies = Readers.replies

    def noting(self: Readers, question: object, *items: object, **how: object) -> object:
        asked.append(question)
        return replies(self, question, *items, **how)

    monkeypatch.setattr(Readers, "replies", noting)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  registry: {registry}\n")
    with between(policy) as (_, last):
        let_clocks_tick()
        assert PINS in asked
        asked.clear()
        last.look()
        assert PINS not in asked
        (registry / "new.pin").write_text("{}")
        last.look()
        assert PINS in asked
