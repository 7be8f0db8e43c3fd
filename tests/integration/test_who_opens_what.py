"""The command itself, which has the rights, opens no file that a user controls: readers do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.auditing import link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import other_users

pytestmark = pytest.mark.root

ARCHIVE = "Hw3nR7kq0ZbT5mXc"
_OPTIONS = ("-f", "-qq", "-s", "4096", "-e", "trace=%file")

# Process, call, the first path among its arguments.
_CALL = re.compile(r'(\d+) +(\w+)\([^"]*"((?:[^"\\]|\\.)*)"')


@pytest.mark.parametrize("command", ["scan", "preflight", "plan"])
def test_the_command_looks_at_nothing_in_homes_itself(
    command: str, open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    (eve,) = other_users(1)
    cache, homes = open_folder / "cache", open_folder / "homes"
    make_cache(cache)
    archive = cache / "archive-v0" / ARCHIVE
    (homes / "eve").mkdir(parents=True)
    for name in ("a", "b"):
        link_environment(homes / "eve" / name, archive, user=eve)
    (homes / "eve" / "a" / "lib" / "python3.11" / "site-packages" / "x.pth").write_text("/b\n")
    own(homes / "eve", eve)
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    (open_folder / "registry" / "e").symlink_to(homes / "eve" / "a")
    os.lchown(open_folder / "registry" / "e", eve.uid, eve.gid)
    policy = cacheadmin.policy(
        cache,
        f"venvs:\n  registry: {open_folder}/registry\n  include: ['{homes}/*/b']\n"
        f"  discover: [{{root: {homes}}}]\n",
    )
    log = open_folder / "calls"
    done = subprocess.run(
        [strace, *_OPTIONS, "-o", log, sys.executable, "-m", "cacheadmin", command, policy],
        env=cacheadmin.environment(),
        capture_output=True,
        check=False,
    )
    if b"ptrace" in done.stderr:
        pytest.skip("processes can't be traced here")
    calls = [found for found in map(_CALL.match, log.read_text().splitlines()) if found]
    first = calls[0][1]
    there = [(pid, name) for pid, name, path in (c.groups() for c in calls) if str(homes) in path]
    # The test sees what it is about: readers did look there.
    assert any(pid != first for pid, _ in there)
    assert [name for pid, name in there if pid == first] == []
