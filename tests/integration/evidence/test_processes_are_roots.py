"""What runs from the cache is found, whatever shows it, and whoever started it."""

from __future__ import annotations

import _ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.evidence import proc_files
from cacheadmin.evidence.facts import Process
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.proc_files import own_mount_namespace, read_process
from cacheadmin.evidence.processes import known_processes, read_processes
from cacheadmin.evidence.questions import locator_for
from tests.support.long_running import working_uv
from tests.support.looking import looking_at
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

SLEEP = "import time; print('up', flush=True); time.sleep(300)"


@contextmanager
def started(shared: SharedCache, release: str, *arguments: object) -> Iterator[subprocess.Popen]:
    """A uv command that runs Python, once that Python is up."""
    process = subprocess.Popen(
        [binary_for(release), *map(str, arguments)],
        env=uv_environment(cache=shared.path, home=shared.home(), index=shared.index)
        | {"UV_LINK_MODE": "symlink"},
        cwd=shared.home(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def processes_of(shared: SharedCache) -> tuple[Process, ...]:
    with looking_at(shared.path) as look:
        return read_processes(locator_for(look.policy, look.inventory))[0]


def below(process: subprocess.Popen, found: tuple[Process, ...]) -> list[Process]:
    """Return the processes of that session."""
    return [one for one in found if _session(one.pid) == process.pid]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


@pytest.mark.parametrize("release", ["0.6.2", "0.8.5", NEWEST])
def test_a_tool_that_uvx_runs_is_found_with_its_environment(
    shared: SharedCache, release: str
) -> None:
    command = ("tool", "run", "--with", "six==1.16.0", "--from", "cowsay", "python", "-c", SLEEP)
    with started(shared, release, *command) as process:
        found = below(process, processes_of(shared))
        with looking_at(shared.path) as look:
            environments = {
                f"archive-v0/{one.id}"
                for one in look.inventory.archives.values()
                if one.content.value == "environment"
            }
    (parent,) = [one for one in found if one.uv is not None]
    assert parent.uv is not None
    assert parent.uv.version == release
    assert parent.uv.takes_cache_lock is (release == NEWEST)
    assert parent.uv.parked
    used = {use.entry for one in found if one.uv is None for use in one.uses}
    assert used & environments


@pytest.mark.parametrize("release", ["0.8.5", NEWEST])
def test_the_overlay_of_uv_run_with_is_found(shared: SharedCache, release: str) -> None:
    command = ("run", "--no-project", "--with", "six==1.16.0", "python", "-c", SLEEP)
    with started(shared, release, *command) as process:
        found = below(process, processes_of(shared))
    used = {use.entry.split("/")[0] for one in found for use in one.uses}
    assert "builds-v0" in used or "archive-v0" in used


def test_an_environment_that_nobody_registered_is_known_by_what_runs_from_it(
    shared: SharedCache, cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    shutil.rmtree(next(shared.path.glob("interpreter-v*")))
    python = subprocess.Popen(
        [environment / "bin" / "python", "-c", SLEEP], stdout=subprocess.PIPE, env={}
    )
    try:
        assert python.stdout is not None
        python.stdout.readline()
        policy = cacheadmin.policy(shared.path)
        rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
        found = {row["path"]: row["sources"] for row in rows}
        assert found[str(environment)] == ["process"]
    finally:
        python.kill()
        python.wait()


@pytest.mark.root
def test_a_process_with_other_mounts_is_found_where_it_sees_the_cache(
    shared: SharedCache, open_folder: Path
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    with looking_at(shared.path) as look:
        (archive,) = look.inventory.archives.values()
    inside = open_folder / "inside"
    inside.mkdir()
    program = (
        f"mount --bind {shared.path} {inside} && cd {inside}/{archive.path} && "
        f'exec {sys.executable} -c "{SLEEP}"'
    )
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            pytest.skip("namespaces or mounts are not allowed here")
        assert not os.listdir(inside), "the mount must be seen by the process alone"
        used = {use.entry for one in processes_of(shared) for use in one.uses}
        assert archive.path in used
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert environment.exists()


def test_only_processes_that_are_new_are_looked_at_again(shared: SharedCache) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    known = known_processes()
    with looking_at(shared.path) as look:
        (archive,) = look.inventory.archives.values()
        folder = shared.path / archive.path
        process = subprocess.Popen(
            [sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, cwd=folder
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found, _ = read_processes(locator_for(look.policy, look.inventory), known=known)
        finally:
            process.kill()
            process.wait()
    assert process.pid in {one.pid for one in found}
    assert os.getppid() not in {one.pid for one in found}


def test_who_holds_the_lock_is_named(shared: SharedCache) -> None:
    with started(shared, NEWEST, "run", "--no-project", "python", "-c", SLEEP) as process:
        until(lambda: lock_holders(str(shared.path)))
        (holder,) = lock_holders(str(shared.path))
    assert holder.pid == process.pid
    assert (holder.exclusive, holder.waiting) == (False, False)
    assert " run --no-project" in holder.command


@contextmanager
def holding(lock: Path, how: str) -> Iterator[subprocess.Popen]:
    """A program that is no uv, and holds a flock."""
    program = (
        f"import fcntl, time; file = open({str(lock)!r}, 'r+'); "
        f"fcntl.flock(file, fcntl.{how}); {SLEEP}"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_foreign_exclusive_holder_of_the_lock_is_an_alarm(
    shared: SharedCache, cacheadmin
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, "lock:\n  timeout: 0s\n")
    with holding(shared.path / ".lock", "LOCK_EX") as process:
        checks = cacheadmin("preflight", policy, "--format", "json", code=4).json["checks"]
        (alarm,) = [check for check in checks if check["id"] == "lock.foreign"]
        assert alarm["status"] == "fail"
        assert f"process {process.pid} of" in alarm["detail"]
        (shared.path / "archive-v0" / ".tmprubbish").write_text("x")
        busy = cacheadmin("prune", policy, code=3)
        assert f"process {process.pid} of" in busy.stderr
        assert "which is no uv" in busy.stderr
    with holding(shared.path / ".lock", "LOCK_SH"):
        checks = cacheadmin("preflight", policy, "--format", "json").json["checks"]
        assert "lock.foreign" not in {check["id"] for check in checks}


def test_a_lock_that_an_older_prune_deleted_is_seen_to_be_held(
    shared: SharedCache, cacheadmin
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    archives = {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}
    shutil.rmtree(shared.home() / "proj")
    policy = cacheadmin.policy(shared.path)

    def removed() -> set[str]:
        plan = cacheadmin("plan", policy, "--format", "json").json
        return {row["path"] for row in plan["removals"]}

    assert removed() >= archives
    with holding(shared.path / ".lock", "LOCK_SH") as process:
        (shared.path / ".lock").unlink()
        (holder,) = lock_holders(str(shared.path))
        assert (holder.pid, holder.unlinked, holder.is_uv) == (process.pid, True, False)
        (shared.path / ".lock").touch()
        assert [one.unlinked for one in lock_holders(str(shared.path))] == [True]
    # A uv at work behind such a lock counts as one that takes none.
    with working_uv(shared) as uv:
        assert removed() >= archives
        (shared.path / ".lock").unlink()
        assert [one.pid for one in lock_holders(str(shared.path))] == [uv.pid]
        assert not removed() & archives
        checks = cacheadmin("preflight", policy, "--format", "json", code=4).json["checks"]
        assert "lock.unlinked" in {check["id"] for check in checks}


@pytest.mark.root
def test_a_compiled_module_is_known_by_the_identity_of_its_archive(
    shared: SharedCache, open_folder: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    with looking_at(shared.path) as look:
        (archive,) = look.inventory.archives.values()
    library = shared.path / archive.path / "library.so"
    shutil.copy(_ctypes.__file__, library)
    inside = open_folder / "packages"
    inside.mkdir()
    map_it = f"import ctypes; held = ctypes.CDLL('{inside}/library.so'); {SLEEP}"
    program = f'mount --bind {library.parent} {inside} && exec {sys.executable} -c "{map_it}"'
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            pytest.skip("namespaces or mounts are not allowed here")
        used = {(use.entry, use.through) for one in processes_of(shared) for use in one.uses}
        assert (archive.path, "mapped file") in used
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_process_that_starts_is_seen_with_its_environment() -> None:
    """Between two instructions of execve and of exit a program has its name and nothing else."""
    own_mounts = own_mount_namespace()
    program = shutil.which("true")
    assert program is not None
    program = os.path.realpath(program)
    looks = 0
    while looks < 500:
        process = os.posix_spawn(program, ["true"], {"UV_CACHE_DIR": "/elsewhere"})
        while (found := read_process(process, own_mounts)) is not None:
            if found.executable == program:
                looks += 1
                assert found.arguments == ("true",)
                assert found.variable("UV_CACHE_DIR") == "/elsewhere"
                assert not found.other_mounts
        os.waitpid(process, 0)


def test_a_process_that_ends_during_a_look_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has lost its arguments when they are read, and is no program that had none."""
    process = subprocess.Popen([sys.executable, "-I", "-c", SLEEP], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    looks = 0

    def look_at_its_end(*arguments: Any) -> proc_files.ProcessFiles | None:
        nonlocal looks
        looks += 1
        found = look(*arguments)
        if looks == 2:
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return found and replace(found, command_line=b"", environ=b"")

    look = proc_files._look_at
    monkeypatch.setattr(proc_files, "_look_at", look_at_its_end)
    assert read_process(process.pid, own_mount_namespace()) is None
    assert looks == 3
    process.wait()


def test_a_process_without_an_environment_is_seen(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", SLEEP], env={}, stdout=subprocess.PIPE, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = read_process(process.pid, own_mount_namespace())
        assert found is not None
        assert (found.environ, found.folder) == (b"", str(tmp_path))
    finally:
        process.kill()
        process.wait()


# Unmaps the pages that its arguments and environment lie in.
HIDE = """
import ctypes
from pathlib import Path
fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
first, last = int(fields[45]) & ~4095, (int(fields[48]) + 4095) & ~4095
libc = ctypes.CDLL(None)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
pause, munmap = libc.pause, libc.munmap
print("up", flush=True)
munmap(first, last - first)
pause()
"""


def test_a_process_that_hides_what_it_was_told_is_not_waited_for() -> None:
    """A thousand of these, at 50 ms each, would hold up a prune and its lock for a minute."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", HIDE], env={"LONG": "x" * 20_000}, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        until(lambda: not Path(f"/proc/{process.pid}/cmdline").read_bytes(), pause=0.001)
        waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        found = read_process(process.pid, own_mount_namespace())
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - waits < 25
        assert found is not None
        assert found.executable == os.path.realpath(sys.executable)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_fifo_for_the_tag_of_a_cache_holds_up_nobody(tmp_path: Path) -> None:
    """Every member can put one there: between two looks, too."""
    os.mkfifo(tmp_path / "CACHEDIR.TAG")
    look = "import sys; from cacheadmin.evidence.proc_files import device_in_maps as look\n"
    look += "assert look(sys.argv[1]) is None"
    subprocess.run([sys.executable, "-c", look, tmp_path], check=True, timeout=60)
