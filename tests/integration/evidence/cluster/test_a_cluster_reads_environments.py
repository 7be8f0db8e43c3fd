"""A real Dask cluster of four worker processes reads the environments of a policy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from cacheadmin.evidence.cluster.client import answers
from cacheadmin.evidence.cluster.coordinator import scan_on_cluster
from cacheadmin.evidence.cluster.task import read_batch
from cacheadmin.evidence.cluster.work import SharedTask, answers_of, packed, shared_look
from cacheadmin.evidence.cluster.worker import BatchReader
from cacheadmin.evidence.environments import Candidate, ScanOptions
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.look import Look
from cacheadmin.evidence.questions import ScanTask
from cacheadmin.fs.same_place import Place, is_same_place, place_of
from cacheadmin.readers import Question
from cacheadmin.readers.plain_data import NotThatShapeError
from cacheadmin.snapshot.snapshot import look_at
from tests.bench.farms import Farm
from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.uv_releases import REPOSITORY
from tests.support.waiting import until

ENVIRONMENTS, WHEELS = 300, 5
ODD = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    made = LocalCluster(
        n_workers=4, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )
    try:
        yield made
    finally:
        made.close()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Farm:
    made = Farm(tmp_path_factory.mktemp("farm"))
    made.grow_cache(20)
    made.grow_environments(ENVIRONMENTS, WHEELS)
    make_odd(made)
    return made


def make_odd(farm: Farm) -> None:
    """Give some environments what a worker on another host might not see."""
    elsewhere = farm.cache.parent / "elsewhere"
    elsewhere.mkdir()
    target = next((farm.cache / "archive-v0").iterdir())
    (elsewhere / "module.py").symlink_to(next(target.glob("*.py")))
    homes = [farm.environments / f"group0/environment{number}" for number in range(5)]
    packages = [home / "lib/python3.11/site-packages" for home in homes]
    (packages[0] / "elsewhere.pth").write_text(f"{elsewhere}\n")
    (packages[1] / "elsewhere").symlink_to(elsewhere)
    (packages[2] / "module.py").symlink_to(elsewhere / "module.py")
    (packages[3] / "gone.py").symlink_to(farm.cache / "archive-v0/a999999999999999/gone.py")


def policy_of(cacheadmin: Cacheadmin, farm: Farm, name: str, address: str | None) -> Path:
    words = f"scan: {{executor: dask, address: '{address}'}}\n" if address else ""
    text = f"venvs: {{include: ['{farm.environments}/*/*'], from_cache: false}}\n{words}"
    return cacheadmin.policy(farm.cache, text, name=name)


def environments(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.json["venvs"]
    return found


def read_by_readers(cacheadmin: Cacheadmin, farm: Farm) -> list[dict[str, Any]]:
    policy = policy_of(cacheadmin, farm, "readers", None)
    return environments(cacheadmin("scan", policy, "--format", "json"))


def test_workers_see_what_readers_see(
    cacheadmin: Cacheadmin, farm: Farm, cluster: LocalCluster
) -> None:
    policy = policy_of(cacheadmin, farm, "workers", cluster.scheduler_address)
    result = cacheadmin("scan", policy, "--format", "json")
    assert result.stderr == ""
    assert environments(result) == read_by_readers(cacheadmin, farm)
    assert len(environments(result)) == ENVIRONMENTS
    with Client(cluster) as client:
        # It was the workers who read them.
        assert client.run_on_scheduler(
            lambda dask_scheduler: "read_batch" in dask_scheduler.task_prefixes
        )


def test_a_worker_that_is_killed_in_the_middle_only_delays(
    cacheadmin: Cacheadmin, farm: Farm, cluster: LocalCluster
) -> None:
    policy = policy_of(cacheadmin, farm, "killed", cluster.scheduler_address)
    with Client(cluster) as client:
        running = cacheadmin.start("scan", policy, "--format", "json")
        pids = client.run(os.getpid)

        def busy() -> list[str]:
            return [worker for worker, keys in client.processing().items() if keys]

        until(busy)
        os.kill(pids[busy()[0]], signal.SIGKILL)
        assert running.wait(120) in (0, 4)
    result = Result.of(0, (cacheadmin.folder / "started.log").read_bytes(), b"")
    assert environments(result) == read_by_readers(cacheadmin, farm)


def test_without_a_scheduler_readers_read_all_and_one_line_says_so(
    cacheadmin: Cacheadmin, farm: Farm
) -> None:
    policy = policy_of(cacheadmin, farm, "nowhere", "tcp://127.0.0.1:1")
    result = cacheadmin("scan", policy, "--format", "json")
    assert environments(result) == read_by_readers(cacheadmin, farm)
    (line,) = result.stderr.splitlines()
    assert line.startswith("cacheadmin: warning: the cluster at tcp://127.0.0.1:1 did not read all")
    assert line.endswith(" environments are read by this host")


@pytest.fixture
def look(cacheadmin: Cacheadmin, farm: Farm) -> Iterator[Look]:
    with look_at(str(policy_of(cacheadmin, farm, "here", None))) as snapshot:
        yield snapshot.collected.look


def tasks_in(farm: Farm, number: int) -> tuple[SharedTask, ...]:
    homes = [str(farm.environments / f"group0/environment{one}") for one in range(number)]
    return tuple(
        SharedTask(
            Candidate(home, EnvironmentKind.VENV, ("include",)), ScanOptions(), place_of(home)
        )
        for home in homes
    )


def test_what_rests_on_more_than_an_environment_itself_is_not_answered(
    look: Look, farm: Farm
) -> None:
    answers = BatchReader(shared_look(look)).read(tasks_in(farm, 12))
    # A path file, a link to a folder, one that leads on, and one that leads nowhere.
    assert [one is None for one in answers] == [True] * ODD + [False] * (12 - ODD)


@pytest.mark.parametrize(
    "changed", [{"inode": 1}, {"changed_ns": 1}, {"device": 1}, {"boot": "another"}]
)
def test_another_folder_at_the_same_path_is_not_answered(
    look: Look, farm: Farm, changed: dict[str, Any]
) -> None:
    tasks = tasks_in(farm, 12)[ODD:]
    others = tuple(replace(task, place=replace(task.place, **changed)) for task in tasks)
    assert BatchReader(shared_look(look)).read(others) == (None,) * len(others)
    other_cache = replace(shared_look(look), place=replace(shared_look(look).place, **changed))
    with pytest.raises(ValueError, match="is another folder here"):
        BatchReader(other_cache)


def test_a_folder_of_one_server_is_the_same_on_every_host() -> None:
    here = Place("boot", 40, 7, 99, "nfs4\0nas:/export\0home/ana")
    assert is_same_place(here, replace(here, boot="other", device=51))
    assert not is_same_place(here, replace(here, boot="other", share="nfs4\0nas2:/export\0home"))
    assert not is_same_place(here, replace(here, boot="other", inode=8))
    # Disks that were copied have the same inodes and times.
    disk = replace(here, share="")
    assert not is_same_place(disk, replace(disk, boot="other"))


def test_any_executor_of_futures_reads_batches(look: Look, farm: Farm) -> None:
    request = packed(shared_look(look))
    batches = [packed(tasks_in(farm, 8)), packed(tasks_in(farm, 12)), b"no batch"]
    with ThreadPoolExecutor(2) as executor:
        found = {
            number: (data, why)
            for number, data, why in answers(executor, request, batches, read_batch)
        }
    assert len([one for one in answers_of(found[0][0] or b"") if one is not None]) == 8 - ODD
    assert len([one for one in answers_of(found[1][0] or b"") if one is not None]) == 12 - ODD
    # What fails is said, and stops nothing else.
    assert found[2][0] is None
    assert "RuntimeError" in found[2][1]


def test_what_can_not_be_checked_here_is_read_here(
    cacheadmin: Cacheadmin, farm: Farm, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(cacheadmin, farm, "unchecked", cluster.scheduler_address)
    with look_at(str(policy)) as snapshot:
        look = snapshot.collected.look
        homes = [str(farm.environments / f"group0/environment{one}") for one in range(ODD, 30)]
        tasks = [
            ScanTask(
                Candidate(home, EnvironmentKind.VENV, ("include",)),
                ScanOptions(),
                (os.lstat(home).st_dev, os.lstat(home).st_ino),
            )
            for home in homes
        ]
        assert set(scan_on_cluster(look, tasks)) == set(range(len(tasks)))

        def die(*_: object) -> bool:
            os.kill(os.getpid(), signal.SIGKILL)
            return True

        with monkeypatch.context() as patched:
            # Whether it is a link into the cache here can't be told.
            patched.setattr("cacheadmin.evidence.cluster.coordinator._LeadsOut.read", die)
            assert scan_on_cluster(look, tasks) == {}
        monkeypatch.setattr(
            "cacheadmin.evidence.cluster.coordinator.PLACE", Question(die, bool, together=256)
        )
        assert scan_on_cluster(look, tasks) == {}


def test_what_a_worker_makes_up_is_no_answer() -> None:
    for data in (b"", b"\x93\x01\x02\x03", packed(((1, 2),)), packed({"a": 1})):
        with pytest.raises(NotThatShapeError):
            answers_of(data)


RIGHTS = """
import os, sys
from cacheadmin.evidence.cluster.client import _give_up_rights
from cacheadmin.readers.confinement import load_system_calls
os.setresuid(*map(int, sys.argv[1:4]))
_give_up_rights(load_system_calls())
print(*os.getresuid(), *os.getresgid(), os.getgroups())
try:
    os.setresuid(0, 0, 0)
except PermissionError:
    print("no way back")
try:
    with open(sys.argv[4], "w") as file:
        file.write("x")
except OSError:
    print("nothing written")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("ids", [("0", "0", "0"), ("0", "61001", "0")])
def test_what_speaks_with_the_scheduler_has_no_rights_of_root_s(
    open_folder: Path, ids: tuple[str, str, str]
) -> None:
    file = open_folder / "file"
    file.touch(mode=0o666)
    file.chmod(0o666)
    call = [sys.executable, "-c", RIGHTS, *ids, str(file)]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    said = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout
    nobody = " ".join(["65534"] * 6)
    assert said.splitlines() == [f"{nobody} []", "no way back", "nothing written"]
    assert file.read_text() == ""
