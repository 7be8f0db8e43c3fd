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
from tests.support.shared_cache import SharedCache, copy_of
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
