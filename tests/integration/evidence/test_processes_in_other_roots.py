"""Processes in containers and chroots: what they name is read as they mean it.

And a uv in a container that has no way to our cache is not at work in it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.evidence.facts import Process
from cacheadmin.evidence.proc_files import children_of
from cacheadmin.evidence.processes import read_processes
from cacheadmin.evidence.questions import locator_for
from cacheadmin.evidence.reach import can_not_reach
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

pytestmark = pytest.mark.root


def a_root_with(program: str, root: Path) -> None:
    """Put a program and the libraries it loads below a folder."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *re.findall(r"(/\S+) \(0x", told)):
        place = root / os.path.realpath(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
        named = root / path.lstrip("/")
        named.parent.mkdir(parents=True, exist_ok=True)
        if not named.exists():
            shutil.copy(path, named)


def program_in(root: Path, name: str) -> list[str]:
    """Put a program that sleeps into a root; return the command that runs it there.

    Called uv only where no test beside this one may take it for a uv at work in its cache.
    """
    sleep = os.path.realpath(shutil.which("sleep") or "")
    a_root_with(sleep, root)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(sleep, root / "bin" / name)
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert chroot is not None
    return [chroot, os.fspath(root), f"/bin/{name}", "300"]


@contextmanager
def running(name: str, command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """Run a command that becomes a program, or its child does; yield that pid."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)

    def found() -> list[int]:
        near = (process.pid, *children_of(process.pid))
        return [pid for pid in near if _executable(pid).endswith(f"/bin/{name}")]

    try:
        until(lambda: found() or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip("namespaces or such mounts are not allowed here")
        yield found()[0]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _executable(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


@contextmanager
def in_chroot(root: Path, name: str, **environment: str) -> Iterator[int]:
    """Run a program in a chroot; yield its pid."""
    with running(name, program_in(root, name), environment) as pid:
        yield pid


@contextmanager
def in_container(
    root: Path, mounting: str = "true", *, name: str = "idle", own_processes: bool = False
) -> Iterator[int]:
    """Run a program in mounts of its own; yield its pid.

    ``mounting`` is run before, in those mounts, with the new root as folder.
    """
    command = shlex.join(program_in(root, name))
    script = f"set -e; mount --bind {root} {root}; cd {root}; {mounting}; exec {command}"
    spaces = ["--mount", *(("--pid", "--fork") if own_processes else ())]
    words = ["unshare", *spaces, "sh", "-c", script]
    with running(name, words, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}) as pid:
        yield pid


def seen(shared: SharedCache, pid: int) -> Process | None:
    with looking_at(shared.path) as look:
        processes, _ = read_processes(locator_for(look.policy, look.inventory))
    return {process.pid: process for process in processes}.get(pid)


@pytest.mark.parametrize(
    ("named", "ours"), [("/cache", True), ("/link", True), ("/elsewhere", False), ("/gone", False)]
)
def test_the_cache_that_a_uv_in_a_chroot_was_told_of(
    shared: SharedCache, named: str, ours: bool
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    root = shared.path.parent
    assert shared.path.name == "cache"
    (root / "link").symlink_to("/cache")
    (root / "elsewhere").mkdir()
    with in_chroot(root, "uv", UV_CACHE_DIR=named) as pid:
        found = seen(shared, pid)
    assert (found is not None and found.uv is not None) is ours


def test_what_a_process_in_a_chroot_uses(shared: SharedCache) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    with looking_at(shared.path) as look:
        (archive,) = look.inventory.archives.values()
    with in_chroot(shared.path.parent, "idle", PATH=f"/cache/{archive.path}/bin") as pid:
        found = seen(shared, pid)
    assert found is not None
    assert [(use.entry, use.through) for use in found.uses] == [(archive.path, "variable PATH")]


@pytest.fixture
def machine(open_folder: Path) -> Iterator[Path]:
    """A folder on a filesystem of its own: ``cache/archive-v0``, and roots for containers."""
    place = open_folder / "machine"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "cacheadmin", place], check=False)
    if mounted.returncode:
        pytest.skip("tmpfs can't be mounted here")
    try:
        for name in ("srv/cache/archive-v0", "layer/inner", "root/mnt", "root/proc", "home"):
            (place / name).mkdir(parents=True)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize(
    "mounting",
    [
        "true",
        "mount --bind ../home mnt",
        "mount -t tmpfs none mnt",
        "mount -t proc proc proc",
        "mount -t overlay -o lowerdir=$PWD/../layer:$PWD/../home none mnt",
    ],
)
def test_a_container_without_a_way_to_the_cache(machine: Path, mounting: str) -> None:
    with in_container(machine / "root", mounting, own_processes=True) as pid:
        assert can_not_reach(pid, f"{machine}/srv/cache")


def reaching_all(mounting: str) -> Any:
    """Return mounts by which a container may reach every cache, also that of the test next door."""
    return pytest.param(mounting, marks=pytest.mark.alone)


@pytest.mark.parametrize(
    "mounting",
    [
        # The cache, what it lies in, a part of it, its filesystem.
        "mount --bind ../srv/cache mnt",
        "mount --bind ../srv mnt",
        "mount --bind ../srv/cache/archive-v0 mnt",
        "mount --bind .. mnt",
        # As a layer of an overlay, named here or from a folder that nobody knows.
        "mount -t overlay -o lowerdir=$PWD/../srv:$PWD/../layer none mnt",
        reaching_all("cd ..; mount -t overlay -o lowerdir=home:layer none root/mnt; cd root"),
        # Through the roots of other processes.
        reaching_all("mount --rbind /proc proc"),
    ],
)
def test_a_container_with_a_way_to_the_cache(machine: Path, mounting: str) -> None:
    with in_container(machine / "root", mounting, own_processes=True) as pid:
        assert not can_not_reach(pid, f"{machine}/srv/cache")


@pytest.mark.alone
def test_a_container_that_sees_our_processes_may_reach_all_they_do(machine: Path) -> None:
    with in_container(machine / "root", "mount -t proc proc proc") as pid:
        assert not can_not_reach(pid, f"{machine}/srv/cache")


def test_a_chroot_that_is_no_mount_tells_nothing(machine: Path) -> None:
    with in_chroot(machine / "root", "idle") as pid:
        assert not can_not_reach(pid, f"{machine}/srv/cache")


@pytest.mark.alone
def test_what_fuse_shows_is_not_known(machine: Path) -> None:
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed")
    # It ends with its container's processes.
    with in_container(machine / "root", "bindfs ../home mnt", own_processes=True) as pid:
        assert not can_not_reach(pid, f"{machine}/srv/cache")


@contextmanager
def overlay(place: Path, options: str) -> Iterator[None]:
    place.mkdir()
    done = subprocess.run(["mount", "-t", "overlay", "-o", options, "none", place], check=False)
    if done.returncode:
        pytest.skip("an overlay can't be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_cache_on_an_overlay_may_be_reached_by_a_layer_of_it(machine: Path) -> None:
    """What is mounted there is the layer's filesystem; nothing tells that it shows the cache."""
    merged = machine / "srv" / "merged"
    for folder in ("up/cache/archive-v0", "work"):
        (machine / folder).mkdir(parents=True)
    layers = f"lowerdir={machine}/layer,upperdir={machine}/up,workdir={machine}/work"
    with (
        overlay(merged, layers),
        in_container(machine / "root", "mount --bind ../up mnt", own_processes=True) as pid,
    ):
        assert not can_not_reach(pid, f"{merged}/cache")


def test_a_layer_that_is_an_overlay_itself_may_show_the_cache(machine: Path) -> None:
    merged = machine / "merged"
    mounting = "mount -t overlay -o lowerdir=$PWD/../merged:$PWD/../home none mnt"
    with (
        overlay(merged, f"lowerdir={machine}/srv:{machine}/layer"),
        in_container(machine / "root", mounting, own_processes=True) as pid,
    ):
        assert not can_not_reach(pid, f"{machine}/srv/cache")


def test_an_old_uv_in_a_container_of_somebody_else_holds_up_no_prune(
    shared: SharedCache, cacheadmin: Cacheadmin, machine: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    shared.remove_environment(shared.environments[-1])
    (archive,) = shared.path.glob("archive-v0/*")
    policy = cacheadmin.policy(shared.path)

    def removed() -> set[str]:
        plan = cacheadmin("plan", policy, "--format", "json").json
        return {row["path"] for row in plan["removals"]}

    with in_container(machine / "root", name="uv") as pid:
        if not can_not_reach(pid, str(shared.path)):
            pytest.skip("temporary folders lie on a filesystem whose mounts prove nothing")
        assert f"archive-v0/{archive.name}" in removed()
    with in_container(machine / "root", f"mount --bind {shared.path} mnt", name="uv"):
        assert f"archive-v0/{archive.name}" not in removed()
