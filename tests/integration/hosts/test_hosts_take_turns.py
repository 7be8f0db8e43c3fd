"""One run a cache among all hosts: who has the turn is named, and who lost it moves nothing."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.hosts import turns
from cacheadmin.hosts.leases import LASTS_SECONDS, FileLease, LeaseHolder, LeaseLost, lost
from cacheadmin.hosts.token import token_of
from cacheadmin.hosts.turns import DatabaseLease, Turn
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.run import recover_interrupted, run_prune
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.state.advisory_lock import AdvisoryLock
from cacheadmin.state.store import StateUnusable, open_state
from tests.integration.prune.test_interrupted_and_restored_runs import small_cache
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.postgresql import PostgreSQL, postgresql_server
from tests.support.shared_cache import tree_snapshot
from tests.support.waiting import until

# That host has not told: what it may have been at just now stays, but for rubbish as old as this.
RUBBISH = "prune: {builds: {after: 0s}}\n"
EXPECT = f"hosts: {{expect: [node9]}}\nlock: {{timeout: 1s}}\n{RUBBISH}"
ELSEWHERE = LeaseHolder("node9", "another-boot", 4711, 0)


@pytest.fixture
def cache(open_folder: Path) -> Path:
    return small_cache(open_folder / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def lease_of(folder_fd: int, name: str) -> FileLease:
    """Return the lease as a host of that name would take it: each has a kernel of its own."""
    return FileLease(folder_fd, "/shared", LeaseHolder(name, f"boot of {name}", 1, 0))


def age_leases(folder: Path, seconds: float) -> None:
    for file in folder.glob("run.lease.*"):
        moment = time.time() - seconds
        os.utime(file, (moment, moment))


# The lease itself


def test_of_two_hosts_one_has_the_lease_and_the_other_learns_who(folder: int) -> None:
    one, two = lease_of(folder, "one"), lease_of(folder, "two")
    assert one.try_take() is None
    holder = two.try_take()
    assert holder is not None
    assert holder.words() == "process 1 of root on host one"
    one.check()
    one.give_back()
    assert two.try_take() is None
    assert (one.number(), two.number()) == (1, 2)
    with pytest.raises(LeaseLost):
        one.check()


def test_a_lease_that_nobody_renews_ends_and_its_holder_notices(
    folder: int, tmp_path: Path
) -> None:
    one, two = lease_of(folder, "one"), lease_of(folder, "two")
    assert one.try_take() is None
    age_leases(tmp_path, LASTS_SECONDS - 20)
    assert two.try_take() is not None
    one.renew()
    assert abs((tmp_path / "run.lease.1").stat().st_mtime - time.time()) < 10
    age_leases(tmp_path, LASTS_SECONDS + 1)
    assert two.try_take() is None
    with pytest.raises(LeaseLost, match="not have the turn"):
        one.check()
    assert sorted(os.listdir(folder)) == ["run.lease.2"], "nothing of the first is left"


def test_a_process_of_this_very_kernel_that_died_is_not_waited_for(folder: int) -> None:
    first = lease_of(folder, "one")
    assert first.try_take() is None
    assert lease_of(folder, "one").try_take() is None


def test_what_killed_processes_left_of_a_lease_goes_once_it_is_old(
    folder: int, tmp_path: Path
) -> None:
    old, young = tmp_path / ".lease.0123456789abcdef", tmp_path / ".lease.fedcba9876543210"
    for file in (old, young, tmp_path / ".lease.of-another"):
        file.touch()
    moment = time.time() - LASTS_SECONDS - 10
    for file in (old, tmp_path / ".lease.of-another"):
        os.utime(file, (moment, moment))
    assert lease_of(folder, "one").try_take() is None
    # The young one is of a host that is at it.
    assert sorted(os.listdir(folder)) == [young.name, ".lease.of-another", "run.lease.1"]


def test_a_clock_of_a_host_says_nothing(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = lease_of(folder, "one"), lease_of(folder, "two")
    assert one.try_take() is None
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(time, "time_ns", lambda: 4 * 10**18)
    assert two.try_take() is not None


def test_what_can_not_be_read_counts_as_held(folder: int, tmp_path: Path) -> None:
    (tmp_path / "run.lease.3").write_text("{}")
    assert lease_of(folder, "one").try_take() is not None
    (tmp_path / "run.lease.3").unlink()
    (tmp_path / "run.lease.4").mkdir()
    assert lease_of(folder, "one").try_take() is not None


def test_of_many_hosts_at_once_only_one_is_at_work(folder: int) -> None:
    at_work: list[str] = []
    together: list[int] = []
    turns_taken: list[int] = []

    def host(name: str) -> None:
        for _ in range(30):
            lease = lease_of(folder, name)
            if lease.try_take() is None:
                at_work.append(name)
                together.append(len(at_work))
                turns_taken.append(lease.number())
                lease.check()
                at_work.remove(name)
                lease.give_back()

    threads = [threading.Thread(target=host, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1}
    assert len(set(turns_taken)) == len(turns_taken)
    assert turns_taken == sorted(turns_taken)


def test_a_host_that_stood_still_stops_before_it_finds_a_rival(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = lease_of(folder, "one")
    assert lease.try_take() is None
    turn = Turn(lease)
    try:
        turn(batch=True)
        later = turns._now() + lease.lasts_seconds + 1
        monkeypatch.setattr(turns, "_now", lambda: later)
        with pytest.raises(LeaseLost, match="stood still"):
            turn()
        with pytest.raises(LeaseLost):
            turn(batch=True)
        assert turn.regain(), "nobody else had it"
        turn(batch=True)
    finally:
        turn.end()


# Commands


def without_times(cache: Path) -> dict[str, tuple[object, ...]]:
    """Return what a cache consists of, but for the times that a killed run leaves in folders."""
    return {path: (*facts[:5], *facts[6:]) for path, facts in tree_snapshot(cache).items()}


def prune(cacheadmin: Cacheadmin, policy: Path, code: int = 0) -> Any:
    return cacheadmin("prune", policy, "--format", "json", code=code)


def test_every_command_that_changes_a_cache_names_the_host_at_work(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(cache, EXPECT)
    run = prune(cacheadmin, policy).json["run_id"]
    quarantine = Path(f"{cache}.cacheadmin/quarantine")
    (released,) = quarantine.glob("run.lease.*")
    assert released.read_bytes() == b""
    number = int(released.name.rpartition(".")[2])
    lease = quarantine / f"run.lease.{number + 1}"
    lease.write_text(json.dumps({"host": "node9", "boot": "b", "pid": 4711, "uid": 0}))
    before = tree_snapshot(cache)
    for command in (
        ("prune", policy),
        ("runs", "restore", policy, run),
        ("runs", "purge", policy, run),
        ("protect", policy),
        ("protect", policy, "--remove"),
        ("evict", policy, "six"),
    ):
        busy = cacheadmin(*command, code=3)
        assert busy.stderr.splitlines()[0] == (
            "cacheadmin: busy: another cacheadmin run works on this cache: process 4711 of root "
            "on host node9"
        ), command
    assert tree_snapshot(cache) == before
    # That host is gone: by the filesystem's clock its lease is over.
    age_leases(quarantine, LASTS_SECONDS + 5)
    cacheadmin("runs", "restore", policy, run, code=0)
    assert not lease.exists()


def test_a_site_without_other_hosts_has_no_lease(cache: Path, cacheadmin: Cacheadmin) -> None:
    for text in ("", "hosts: {only: this}\n"):
        policy = cacheadmin.policy(cache, text)
        run = prune(cacheadmin, policy).json["run_id"]
        assert not list(Path(f"{cache}.cacheadmin/quarantine").glob("run.lease.*"))
        cacheadmin("runs", "restore", policy, run, code=0)


class StoppedAt(Turn):
    """A turn that is lost at one of its questions."""

    left = 0
    asked = 0

    def __call__(self, *, batch: bool = False) -> None:
        if self._lost is None:
            cls = type(self)
            cls.asked += 1
            cls.left -= 1
            if cls.left == 0:
                self._lost = lost("this is a test")
        if self._lost is not None:
            raise self._lost

    def regain(self) -> bool:
        return False


def test_wherever_the_turn_is_lost_nothing_more_moves_and_the_next_run_recovers(
    cache: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = cacheadmin.policy(cache, EXPECT)
    loaded = load_policy(str(policy))
    before = without_times(cache)
    monkeypatch.setattr(turns, "Turn", StoppedAt)
    step = 0
    lost_at: list[set[str]] = []
    while True:
        step += 1
        with look_with(loaded) as snapshot:
            plan = snapshot.plan()
            sizes = snapshot.sizing.of_plan(plan, kept=False)
            StoppedAt.left = step
            try:
                result = run_prune(snapshot, plan, sizes)
            except LeaseLost:
                pass
            else:
                break
        gone = before.keys() - without_times(cache).keys()
        lost_at.append(gone)
        StoppedAt.left = 0
        recover_interrupted(loaded.policy)
        assert without_times(cache) == before, f"lost at question {step}"
    assert result.outcome == "committed"
    assert set() in lost_at, "before the first move"
    assert len({frozenset(gone) for gone in lost_at}) > len(plan.removals), "between all moves"


def test_what_a_host_that_stood_still_does_too_late_finds_no_way(
    cache: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one move it was at: into a run that another host has put back meanwhile."""
    policy = cacheadmin.policy(cache, EXPECT)
    loaded = load_policy(str(policy))
    before = without_times(cache)
    rename, moved, late = os.rename, [], []

    def stand_still(source: Any, target: Any, **where: Any) -> None:
        # Files that are written anew are renamed in their own folder.
        if where.get("src_dir_fd") != where.get("dst_dir_fd"):
            moved.append(source)
        if len(moved) == 2:
            late.append(source)
            monkeypatch.setattr(turns, "_others_reach", lambda *_: False)
            monkeypatch.setattr("cacheadmin.prune.run_lock.lock_now", lambda *_: True)
            monkeypatch.setattr(
                "cacheadmin.prune.run_lock.lock_from_clients", lambda *_, **__: True
            )
            assert [one.put_back for one in recover_interrupted(loaded.policy)] == [1]
            assert without_times(cache) == before
            with pytest.raises(FileNotFoundError):
                rename(source, target, **where)
            raise lost("another host took over")
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", stand_still)
    monkeypatch.setattr(StoppedAt, "left", -1)
    monkeypatch.setattr(turns, "Turn", StoppedAt)
    with look_with(loaded) as snapshot:
        plan = snapshot.plan()
        with pytest.raises(LeaseLost):
            run_prune(snapshot, plan, snapshot.sizing.of_plan(plan, kept=False))
    assert late
    assert without_times(cache) == before


def test_a_plan_is_not_carried_out_after_another_run_has_changed_the_cache(
    cache: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cacheadmin.prune.result import Before
    from cacheadmin.prune.run import known_runs

    policy = cacheadmin.policy(cache)
    loaded = load_policy(str(policy))
    runs = known_runs(loaded.policy)
    with look_with(loaded) as snapshot:
        plan = snapshot.plan()
        sizes = snapshot.sizing.of_plan(plan, kept=False)
        other = prune(cacheadmin, policy).json["run_id"]
        with pytest.raises(Exception, match=f"since this one looked: {other} on host"):
            run_prune(snapshot, plan, sizes, before=Before(runs=runs))


# PostgreSQL


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    folder = tmp_path_factory.mktemp("database")
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)
    with postgresql_server(folder) as running:
        if running is None:
            pytest.skip("needs PostgreSQL")
        yield running


def database_lease(url: str, cache: Path, name: str, token: str = "token") -> DatabaseLease:
    with open_cache(str(cache)) as opened:
        state = open_state(url, cache=opened.identity)
    return DatabaseLease(AdvisoryLock(state, token), LeaseHolder(name, f"boot of {name}", 1, 0))


def test_a_database_tells_whose_turn_it_is(server: PostgreSQL, cache: Path) -> None:
    one, two = (database_lease(server.url, cache, name) for name in ("one", "two"))
    assert one.try_take() is None
    holder = two.try_take()
    assert holder is not None
    assert holder.host == "one"
    one.check()
    number = one.number()
    one.give_back()
    assert two.try_take() is None
    assert two.number() > number
    with pytest.raises(LeaseLost):
        one.check()
    two.check()
    two.give_back()


def test_a_lost_connection_is_a_lost_turn(server: PostgreSQL, cache: Path) -> None:
    lease = database_lease(server.url, cache, "one")
    assert lease.try_take() is None
    turn = Turn(lease)
    try:
        turn(batch=True)
        _end_sessions(server.url)
        with pytest.raises(LeaseLost, match=r"postgres|session|connection"):
            turn(batch=True)
        with pytest.raises(LeaseLost):
            turn()
        assert turn.regain()
        turn(batch=True)
    finally:
        turn.end()


def _end_sessions(url: str) -> None:
    from sqlalchemy import NullPool, create_engine, text

    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )


@contextmanager
def uv_lock_held(cache: Path) -> Iterator[None]:
    with (cache / ".lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_and_wait_for_its_turn(
    cacheadmin: Cacheadmin, policy: Path, url: str, host: str
) -> subprocess.Popen[bytes]:
    process = cacheadmin.start("prune", policy)
    quarantine = Path(f"{load_policy(str(policy)).policy.cache}.cacheadmin/quarantine")
    until(lambda: list(quarantine.glob("2*/entries")) or process.poll() is not None)
    assert process.poll() is None, (cacheadmin.folder / "started.log").read_text()
    return process


# A frozen server is waited for until the session's own timeouts: 20 s in which nothing happens.
@pytest.mark.parametrize(
    "fault", ["stopped", "killed", pytest.param("frozen", marks=pytest.mark.long)]
)
def test_a_database_that_fails_in_the_middle_stops_the_run_and_the_next_one_works(
    server: PostgreSQL, cache: Path, cacheadmin: Cacheadmin, fault: str
) -> None:
    # The turn is named by the token of the cache, which lies in its archive bucket.
    policy = cacheadmin.policy(cache, f"state: {server.url}\nlock: {{timeout: 60s}}\n")
    before = without_ours(cache)
    with uv_lock_held(cache):
        process = start_and_wait_for_its_turn(cacheadmin, policy, server.url, "one")
        if fault == "frozen":
            server.send(signal.SIGSTOP)
        else:
            server.stop(signal.SIGKILL if fault == "killed" else signal.SIGINT)
    try:
        assert process.wait(60) == 3
        told = (cacheadmin.folder / "started.log").read_text()
        assert "busy: this host does not have the turn on the cache any more" in told
        assert "Traceback" not in told
        assert without_ours(cache) == before
        if fault != "frozen":
            refused = cacheadmin("prune", policy, code=1)
            assert "the state postgresql" in refused.stderr
            assert "Traceback" not in refused.stderr
            assert without_ours(cache) == before
    finally:
        if fault == "frozen":
            server.send(signal.SIGCONT)
        else:
            server.start()
    done = prune(cacheadmin, policy).json
    assert done["outcome"] == "committed"
    assert without_ours(cache) != before


def without_ours(cache: Path) -> dict[str, object]:
    """Return what a cache consists of, but for our folder with its token."""
    return {
        path: facts
        for path, facts in tree_snapshot(cache).items()
        if "cacheadmin" not in path and path != "archive-v0"
    }


def test_two_prunes_at_once_with_one_database(
    server: PostgreSQL, cache: Path, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(cache, f"state: {server.url}\nlock: {{timeout: 60s}}\n")
    cacheadmin("observe", policy, code=0)
    loaded = load_policy(str(policy)).policy
    with open_cache(str(cache)) as opened:
        token = token_of(opened)
    assert token is not None
    other = database_lease(server.url, cache, "node9", token)
    assert other.try_take() is None
    impatient = cacheadmin.policy(cache, f"state: {server.url}\nlock: {{timeout: 1s}}\n", "soon")
    busy = cacheadmin("prune", impatient, code=3)
    assert "works on this cache: process 1 of root on host node9" in busy.stderr
    other.give_back()
    assert prune(cacheadmin, impatient).json["outcome"] == "committed"
    assert loaded.state == server.url


def test_a_database_that_is_down_takes_no_protection_away(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.protect.planted_roots import planted_archives
    from cacheadmin.protect.protection import plant_wanted
    from cacheadmin.protect.roots import WantedRoots, root_buckets

    run = prune(cacheadmin, cacheadmin.policy(cache)).json["run_id"]
    assert run
    url = "postgresql+psycopg://cacheadmin@127.0.0.1:1/postgres"
    policy = load_policy(str(cacheadmin.policy(cache, f"state: {url}\n"))).policy
    one, two = ArchiveId("one"), ArchiveId("two")
    for name in (one, two):
        (cache / "archive-v0" / name / f"{name}-1.0.dist-info").mkdir(parents=True)
    with open_cache(str(cache)) as opened:
        for wanted in (one, two):
            roots = WantedRoots(root_buckets(2), frozenset({wanted}))
            plant_wanted(policy, opened, roots, planted_archives(opened.fd), 1.0)
        assert planted_archives(opened.fd) == {one, two}, "added, and none removed"


def test_a_state_that_can_not_be_reached_is_said_in_a_line(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    url = "postgresql+psycopg://cacheadmin@127.0.0.1:1/postgres"
    before = tree_snapshot(cache)
    refused = cacheadmin("prune", cacheadmin.policy(cache, f"state: {url}\n"), code=1)
    assert "Traceback" not in refused.stderr
    assert url in refused.stderr
    assert tree_snapshot(cache) == before
    with open_cache(str(cache)) as opened, pytest.raises(StateUnusable):
        AdvisoryLock(open_state(url, cache=opened.identity), "token").try_take("{}")


def test_a_guard_that_waits_for_a_turn_asks_by_one_session_and_says_so_once(
    server: PostgreSQL, cache: Path, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    from sqlalchemy import NullPool, create_engine, text

    archive = cache / "archive-v0" / "abcdefghijklmnopqrstu" / "a-1.0.dist-info"
    archive.mkdir(parents=True)
    (archive / "METADATA").touch()
    packages = open_folder / "env/lib/python3.11/site-packages/a-1.0.dist-info"
    packages.mkdir(parents=True)
    (open_folder / "env/pyvenv.cfg").write_text("uv = 0.13.9\n")
    (packages / "METADATA").symlink_to(archive / "METADATA")
    policy = cacheadmin.policy(
        cache, f"state: {server.url}\nvenvs: {{include: ['{open_folder}/env']}}\n"
    )

    def roots() -> list[Path]:
        return [path for path in cache.glob("*/cacheadmin/root*") if path.is_symlink()]

    with guarding(cacheadmin, policy) as guard:
        until(lambda: roots() and "planted" in guard.log())
        with open_cache(str(cache)) as opened:
            token = token_of(opened)
        assert token is not None
        other = database_lease(server.url, cache, "node9", token)
        until(lambda: other.try_take() is None)
        before = roots()
        sessions: set[int] = set()
        asked = text(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%FROM turn%' "
            "AND pid <> pg_backend_pid()"
        )
        before[0].unlink()
        until(lambda: "roots wait to be planted" in guard.log())
        with create_engine(server.url, poolclass=NullPool).connect() as connection:
            for _ in range(30):
                sessions |= set(connection.execute(asked).scalars())
                connection.rollback()
                # It asks some four times in these three seconds of real time.
                time.sleep(0.1)
        assert len(sessions) == 1
        assert guard.log().count("node9") == 1, guard.log()
        other.give_back()
        until(lambda: set(roots()) == set(before))
