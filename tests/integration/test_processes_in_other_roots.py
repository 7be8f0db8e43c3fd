"""A process in a chroot means other files by the same paths; the kernel tells us ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.collecting import locator_for
from cacheadmin.evidence.facts import Process
from cacheadmin.evidence.processes import read_processes
from tests.support.guards import until
from tests.support.looking import looking_at
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST

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


@contextmanager
def uv_in(root: Path, **environment: str) -> Iterator[int]:
    """Run what is called uv, and sleeps, in a chroot; yield its pid."""
    sleep = os.path.realpath(shutil.which("sleep") or "")
    a_root_with(sleep, root)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(sleep, root / "bin" / "uv")
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert chroot is not None
    process = subprocess.Popen([chroot, root, "/bin/uv", "300"], env=environment)
    try:
        until(lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("/bin/uv"))
        yield process.pid
    finally:
        process.kill()
        process.wait()


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
    with uv_in(root, UV_CACHE_DIR=named) as pid:
        found = seen(shared, pid)
    assert (found is not None and found.is_uv) is ours


def test_what_a_process_in_a_chroot_uses(shared: SharedCache) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    with looking_at(shared.path) as look:
        (archive,) = look.inventory.archives.values()
    with uv_in(shared.path.parent, PATH=f"/cache/{archive.path}/bin", UV_CACHE_DIR="/no") as pid:
        found = seen(shared, pid)
    assert found is not None
    assert [(use.entry, use.through) for use in found.uses] == [(archive.path, "variable PATH")]
