"""Equal files of several archives share their blocks, and nothing else about them changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.auditing import mounted
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import filesystem, free_bytes
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links, tree_snapshot
from tests.support.uv_releases import NEWEST


def digests(cache: Path) -> dict[str, str]:
    found = {}
    for folder, _, names in os.walk(cache):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def two_of_each(folder: Path, index: Index) -> SharedCache:
    """Numpy and six, unpacked by two releases whose buckets know nothing of each other."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = SharedCache.create(folder, index)
    for release in ("0.8.5", NEWEST):
        shared.environment(f"env-{release}", release, "numpy==2.3.5", "six==1.16.0")
    return shared


@pytest.mark.root
@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_as_much_comes_free_as_was_predicted(
    kind: str, tmp_path: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem(kind, tmp_path) as mounted:
        shared = two_of_each(mounted / "site", index)
        policy = cacheadmin.policy(shared.path)
        before = free_bytes(mounted)
        snapshot, content = tree_snapshot(shared.path), digests(shared.path)
        predicted = cacheadmin("dedupe", policy, "--dry-run", "--format", "json", code=0).json
        usage = cacheadmin("usage", policy, "--by", "duplicates", "--format", "json", code=0).json
        assert usage["freed_bytes"] == predicted["freed_bytes"] > 20 * 2**20
        assert tree_snapshot(shared.path) == snapshot
        done = cacheadmin("dedupe", policy, "--format", "json", code=0).json
        freed = free_bytes(mounted) - before
        assert freed == pytest.approx(predicted["freed_bytes"], rel=0.01)
        assert done["freed_bytes"] == pytest.approx(predicted["freed_bytes"], rel=0.01)
        # Inodes, owners, modes, times and contents are what they were.
        assert tree_snapshot(shared.path) == snapshot
        assert digests(shared.path) == content
        assert all(not dangling_links(one) for one in shared.environments)
        again = cacheadmin("dedupe", policy, "--format", "json", code=0).json
        assert again["files"] == 0
        # Sharing is no link: what a user changes in one archive stays there.
        first, second = sorted(shared.path.glob("archive-v0/*/six.py"))
        second.write_text("changed = True\n")
        assert hashlib.sha256(first.read_bytes()).hexdigest() == content[str(first)]


@pytest.mark.root
def test_an_interrupted_run_is_taken_up_by_the_next(
    tmp_path: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("xfs", tmp_path) as mounted:
        shared = two_of_each(mounted / "site", index)
        policy = cacheadmin.policy(shared.path)
        content = digests(shared.path)
        before = free_bytes(mounted)
        predicted = cacheadmin("dedupe", policy, "--dry-run", "--format", "json", code=0).json
        halfway = (
            "import sys, os, signal, time\n"
            "from cacheadmin.dedupe import run as sharing\n"
            "share, count = sharing.share_blocks, [0]\n"
            "def once_more(*words):\n"
            "    count[0] += 1\n"
            "    if count[0] == 40:\n"
            # It shares in a reader, which ends with the command. Installs of users come first.
            f"        assert os.nice(0) == {min(19, os.nice(0) + 10)}\n"
            "        os.kill(os.getppid(), signal.SIGKILL)\n"
            "        time.sleep(60)\n"
            "    return share(*words)\n"
            "sharing.share_blocks = once_more\n"
            "from cacheadmin.cli.app import run\n"
            "run(sys.argv[1:])\n"
        )
        killed = subprocess.run(
            [sys.executable, "-c", halfway, "dedupe", policy],
            env=cacheadmin.environment(None) | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        rest = cacheadmin("dedupe", policy, "--format", "json", code=0).json
        assert 0 < rest["files"] == predicted["files"] - 39
        freed = free_bytes(mounted) - before
        assert freed == pytest.approx(predicted["freed_bytes"], rel=0.01)
        assert digests(shared.path) == content


def test_what_has_the_name_and_size_of_another_but_differs_is_left_alone(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("env", NEWEST, "six==1.16.0")
    (archive,) = [path.parent for path in shared.path.glob("archive-v0/*/six.py")]
    twin = archive.with_name("Twin0123456789ab")
    shutil.copytree(archive, twin)
    module = twin / "six.py"
    module.write_bytes(b"#" * module.stat().st_size)
    policy = cacheadmin.policy(shared.path)
    said = cacheadmin("dedupe", policy, "--dry-run", "--format", "json", code=0).json
    assert said["different_files"] == 1
    assert {row["package"] for row in said["packages"]} == {"six 1.16.0"}
    assert not dangling_links(environment)


@pytest.mark.root
def test_a_filesystem_that_can_not_is_said(
    tmp_path: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("ext4", tmp_path) as disk:
        shared = two_of_each(disk / "site", index)
        policy = cacheadmin.policy(shared.path)
        refused = cacheadmin("dedupe", policy, code=5)
        assert "is on ext4, where files can't share blocks" in refused.stderr


@pytest.mark.root
def test_a_filesystem_that_has_no_blocks_to_ask_for_is_said_in_one_line(
    tmp_path: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with mounted("tmpfs", tmp_path / "memory") as memory:
        policy = cacheadmin.policy(two_of_each(memory / "site", index).path)
        for words in ((), ("--dry-run",)):
            refused = cacheadmin("dedupe", policy, *words, code=5)
            assert "is on tmpfs, where files can't share blocks" in refused.stderr
            assert "Operation not supported" not in refused.stderr
