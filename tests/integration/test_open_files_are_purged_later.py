"""Where a deleted file stays while a process has it open, purge says who, and ends later.

So it is on NFS (``.nfs…``, see ``tests/nfs``) and on FUSE filesystems such as sshfs
(``.fuse_hidden…``), which any machine can mount.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import sshfs

pytestmark = pytest.mark.root

_HOLD = "import sys, time; files = [open(name) for name in sys.argv[1:]]; print(flush=True); "
_HOLD += "time.sleep(600)"


def test_a_purge_names_who_has_a_file_open_and_a_later_one_ends(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    archive = open_folder / "served" / "cache" / "archive-v0" / "abcdefghijklmnopqrstu"
    (archive / "pkg").mkdir(parents=True)
    for name in ("pkg/__init__.py", "pkg/other.py", "single.py"):
        (archive / name).write_text("x = 1\n")
    cache = open_folder / "mounted" / "cache"
    (open_folder / "served" / "cache" / "CACHEDIR.TAG").touch()
    for path in archive.parent.rglob("*"):
        os.utime(path, (1, 1))
    with sshfs(open_folder / "served", open_folder / "mounted"):
        policy = cacheadmin.policy(cache, "hosts: {only: this}\nprotect: {enabled: false}\n")
        pruned = cacheadmin("prune", policy, "--format", "json", code=0).json
        run = pruned["run_id"]
        assert run, pruned
        moved = f"{cache}.cacheadmin/quarantine/{run}/entries/archive-v0/abcdefghijklmnopqrstu"
        opened = [f"{moved}/pkg/__init__.py", f"{moved}/pkg/other.py", f"{moved}/single.py"]
        holding = subprocess.Popen(
            [sys.executable, "-c", _HOLD, *opened], stdout=subprocess.PIPE, text=True
        )
        try:
            assert holding.stdout is not None
            assert holding.stdout.readline() == "\n"
            for _ in range(2):
                done = cacheadmin("runs", "purge", policy, run, code=7)
                assert f"process {holding.pid} of root on this host has it open" in done.stderr
                assert "and 2 other files" in done.stderr
                assert "0 runs deleted for good" in done.stderr
                # Not `runs list`: sshfs remembers for a while which runs there were.
                shown = cacheadmin("runs", "show", policy, run, "--format", "json").json
                assert (shown["state"], shown["restorable"]) == ("purging", False)
        finally:
            holding.kill()
            holding.communicate()
        done = cacheadmin("runs", "purge", policy, run, code=0)
        assert "1 run deleted for good" in done.stderr
        shown = cacheadmin("runs", "show", policy, run, "--format", "json").json
        assert shown["state"] == "purged"
        assert not os.path.exists(moved.replace("/mounted/", "/served/"))
