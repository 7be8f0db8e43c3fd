"""An environment in a container is judged by what its links mean there.

Its absolute links are read in the container's own root: the same path there
may be another cache, and another path may be ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, copy_of, dangling_links
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

SLEEP = "import time; print('up', flush=True); time.sleep(300)"


@contextmanager
def container(folder: Path, bound: Path, at: Path, target: str) -> Iterator[str]:
    """Run a process whose environment links to ``target``; yield how that is seen from here.

    In its own mounts ``bound`` lies at ``at``, and the environment at ``folder/inside``.
    """
    made, inside = folder / "made", folder / "inside"
    inside.mkdir()
    packages = made / "lib" / "python3" / "site-packages" / "six-1.16.0.dist-info"
    packages.mkdir(parents=True)
    (made / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (packages / "METADATA").symlink_to(target)
    program = (
        f"mount --bind {bound} {at} && mount --bind {made} {inside} && "
        f'exec env VIRTUAL_ENV={inside} {sys.executable} -c "{SLEEP}"'
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", program], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            pytest.skip("namespaces or mounts are not allowed here")
        assert not os.listdir(inside), "the mount must be seen by the process alone"
        yield f"/proc/{process.pid}/root{inside}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def seen(cacheadmin: Cacheadmin, shared: SharedCache, path: str) -> Any:
    policy = cacheadmin.policy(shared.path)
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    return {row["path"]: row for row in rows}.get(path), policy


def test_another_cache_at_our_path_is_not_ours(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    (archive,) = (shared.path / "archive-v0").iterdir()
    theirs = copy_of(shared.path)
    shutil.rmtree(archive)
    target = f"{archive}/six-1.16.0.dist-info/METADATA"
    with container(open_folder, theirs, shared.path, target) as path:
        row, _ = seen(cacheadmin, shared, path)
        assert row is None, "what runs elsewhere from another cache is not our business"


def test_our_cache_at_another_path_is_ours_and_what_it_lost_is_named(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    (archive,) = (shared.path / "archive-v0").iterdir()
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    target = f"{elsewhere}/archive-v0/{archive.name}/six-1.16.0.dist-info/METADATA"
    with container(open_folder, shared.path, elsewhere, target) as path:
        row, policy = seen(cacheadmin, shared, path)
        assert (row["status"], row["broken_links"]) == ("ok", 0)
        assert row["archives"] == [archive.name]
        kept = cacheadmin("plan", policy, "--format", "json").json["kept"]
        assert archive.name in {os.path.basename(entry["path"]) for entry in kept}
        (archive / "six-1.16.0.dist-info" / "METADATA").unlink()
        row, _ = seen(cacheadmin, shared, path)
        assert (row["status"], row["broken_packages"]) == ("broken", ["six"])
        # Its path means nothing here: no command of ours could repair it.
        found = cacheadmin("doctor", policy, "--format", "json").json["findings"]
        (finding,) = [one for one in found if one["subject"] == path]
        assert (finding["rule"], finding["severity"]) == ("environment-unreadable", "warning")
        assert "six" in finding["detail"]
        assert "container" in finding["fix"]


@contextmanager
def program_beside(mounting: str, environment: Path, account: int) -> Iterator[None]:
    """Run a program of an account from an environment, in mounts that it made itself."""
    script = f"{mounting} && echo up && exec env VIRTUAL_ENV={environment} sleep 300"
    process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        stdout=subprocess.PIPE,
        start_new_session=True,
        user=account,
        group=account,
        extra_groups=[],
        cwd="/",
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            pytest.skip("accounts may make no namespaces here")
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test_what_another_account_mounts_for_itself_hides_no_environment(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    """A stranger mounted a cache of his own where ours lies, and ran from a user's environment.

    That has the same inode in his mounts, and its links lead into his cache there.
    """
    stranger = 41_007
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    (archive,) = (shared.path / "archive-v0").iterdir()
    theirs = copy_of(shared.path)
    for folder, _, _ in os.walk(theirs):
        os.chown(folder, stranger, stranger)
    policy = cacheadmin.policy(shared.path)
    # The wheel's pointer is gone, as with `uv cache clean six`: what keeps it is the environment.
    for bucket in shared.path.glob("wheels-v*"):
        shutil.rmtree(bucket)
    with program_beside(f"mount --rbind {theirs} {shared.path}", environment, stranger):
        plan = cacheadmin("plan", policy, "--format", "json").json
        assert plan["totals"]["removals"] == 0, "not even planned: the last look is no excuse"
        cacheadmin("prune", policy, code=0)
    assert archive.is_dir()
    assert not dangling_links(environment)


def test_what_a_service_sees_as_we_do_is_told_once(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    with program_beside("true", environment, 41_007):
        rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
        (row,) = [row for row in rows if row["path"].endswith(os.fspath(environment))]
        assert row["path"] == os.fspath(environment)
        assert "process" in row["sources"]
    # Nothing is remembered by the path of a process that has ended.
    rows = cacheadmin("audit", policy, "--format", "json").json["findings"]
    assert not [row for row in rows if row["subject"].startswith("/proc/")]
