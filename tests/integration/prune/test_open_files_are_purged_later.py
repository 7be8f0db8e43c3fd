"""Where a deleted file stays while a process has it open, purge says who, and ends later.

So it is on NFS (``.nfs…``, see ``tests/nfs``) and on FUSE filesystems such as sshfs
(``.fuse_hidden…``), which any machine can mount.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.trial_upkeep import end_now, watch
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


@contextmanager
def held_open(*files: str) -> Iterator[int]:
    """Have a process keep files open; yield its number."""
    words = [sys.executable, "-c", _HOLD, *files]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holding:
        try:
            assert holding.stdout is not None
            assert holding.stdout.readline() == "\n"
            yield holding.pid
        finally:
            holding.kill()


def old_archive(folder: Path) -> Path:
    """Make a cache with one archive that nothing leads to; return its path below the cache."""
    archive = folder / "archive-v0" / "abcdefghijklmnopqrstu"
    (archive / "pkg").mkdir(parents=True)
    (archive / "pkg" / "__init__.py").write_text("x = 1\n")
    (folder / "CACHEDIR.TAG").touch()
    for path in archive.parent.rglob("*"):
        os.utime(path, (1, 1))
    return archive.relative_to(folder)


def test_a_prune_says_what_of_earlier_runs_it_could_not_delete(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    archive = old_archive(open_folder / "served" / "cache")
    cache = open_folder / "mounted" / "cache"
    with sshfs(open_folder / "served", open_folder / "mounted"):
        text = "hosts: {only: this}\nquarantine: {keep: 0s}\n"
        policy = cacheadmin.policy(cache, text.replace("0s", "1d"))
        run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
        moved = f"{cache}.cacheadmin/quarantine/{run}/entries/{archive}"
        policy = cacheadmin.policy(cache, text)
        with held_open(f"{moved}/pkg/__init__.py") as pid:
            done = cacheadmin("prune", policy, code=0)
            assert f"run {run}: " in done.stderr
            assert f"process {pid} of root on this host has it open" in done.stderr
        assert cacheadmin("prune", policy, code=0).stderr == ""


def test_the_end_of_a_trial_says_who_has_its_files_open(
    open_folder: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS has it: what was deleted and is open has another name, and can't be deleted."""
    cache = open_folder / "cache"
    archive = old_archive(cache)
    (cache / archive / "pkg" / ".nfs0001").write_text("x = 1\n")
    policy = cacheadmin.policy(cache, "hosts: {only: this}\n", complete=False)
    pruned = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert pruned["trial"]["planted"] == [str(archive)]
    (file,) = (cache / "archive-v0").glob("cacheadmin*/*/pkg/.nfs0001")
    unlink = os.unlink

    def busy(name: str, *, dir_fd: int | None = None) -> None:
        if os.path.basename(name).startswith(".nfs"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        unlink(name, dir_fd=dir_fd)

    rules = load_policy(str(policy)).policy
    with held_open(str(file)) as pid, open_cache(str(cache)) as opened:
        monkeypatch.setattr(os, "unlink", busy)
        ended, words = end_now(rules, opened, [pruned["run_id"]], lambda: None, {})
        assert ended == 1
        (left,) = words
        assert f"process {pid} of root on this host has it open" in left
        watched = watch(rules, opened, None, None)
        assert watched is not None
        assert [path for path, _ in watched.undeleted] == [left.partition(" could")[0]]
        monkeypatch.setattr(os, "unlink", unlink)
        watched = watch(rules, opened, None, None)
        assert watched is not None
        assert watched.undeleted == ()
