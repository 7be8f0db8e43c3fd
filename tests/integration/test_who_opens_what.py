"""The command itself, which has the rights, opens no file that a user controls: readers do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.big_cache import build_cache
from tests.support.auditing import link_environment, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import other_users

pytestmark = pytest.mark.root

# With -y, strace says which folder a descriptor is.
_OPTIONS = ("-f", "-qq", "-y", "-s", "4096", "-e", "trace=%file")

# Process, call, the folder that a descriptor is (or AT_FDCWD), the first path, what follows it.
_CALL = re.compile(r'(\d+) +(\w+)\((?:\w+(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"(.*)')

# What cacheadmin keeps in a cache, and what every uv shares.
_OURS = ("/.lock", "/archive-v0/cacheadmin.trial", "/sdists-v10/cacheadmin")


@pytest.fixture
def policy(open_folder: Path, cacheadmin: Cacheadmin) -> Path:
    """Return a policy of a cache, homes and a registry that are all the users'."""
    (eve,) = other_users(1)
    homes = open_folder / "homes"
    cache = build_cache(open_folder, 3, 6)
    archive = cache / "archive-v0" / f"bench{1:011d}"
    # So that there is something to remove.
    shutil.rmtree(cache / "wheels-v7" / "pypi" / "bench2")
    (cache / "interpreter-v5" / "x").mkdir()
    (cache / "interpreter-v5" / "x" / "y.msgpack").write_bytes(b"what is no record")
    (cache / "simple-v27" / "pypi").mkdir()
    (cache / "simple-v27" / "pypi" / "bench1.rkyv").write_bytes(b"metadata")
    (homes / "eve").mkdir(parents=True)
    for name in ("a", "b"):
        link_environment(homes / "eve" / name, archive, user=eve)
    site = homes / "eve" / "a" / "lib" / "python3.11" / "site-packages"
    (site / "x.pth").write_text("/b\n")
    (site / "bench1" / "gone.py").symlink_to(cache / "archive-v0" / "bench9" / "gone.py")
    own(homes / "eve", eve)
    own(cache, eve)
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    (registry / "e").symlink_to(homes / "eve" / "a")
    os.lchown(registry / "e", eve.uid, eve.gid)
    (registry / "lease.pin").write_text("what is no lease")
    return cacheadmin.policy(
        cache,
        f"venvs:\n  registry: {registry}\n  include: ['{homes}/*/b']\n"
        f"  discover: [{{root: {homes}}}]\nprune: {{unused: {{after: 90d}}}}\n",
    )


def calls(
    command: str, policy: Path, folder: Path, cacheadmin: Cacheadmin
) -> list[tuple[bool, str, str, str]]:
    """Run a command; return its calls: whether by itself, the call, its whole path, the rest."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = folder / "calls"
    done = subprocess.run(
        [strace, *_OPTIONS, "-o", log, sys.executable, "-m", "cacheadmin", command, policy],
        env=cacheadmin.environment(),
        capture_output=True,
        check=False,
    )
    if b"ptrace" in done.stderr:
        pytest.skip("processes can't be traced here")
    lines = log.read_text(errors="replace").splitlines()
    found = [match.groups() for match in map(_CALL.match, lines) if match]
    first = found[0][0]
    return [
        (pid == first, call, os.path.join(base or "", path), rest)
        for pid, call, base, path, rest in found
    ]


@pytest.mark.parametrize("command", ["scan", "preflight", "plan", "prune", "doctor", "verify"])
def test_the_command_looks_at_nothing_in_homes_itself(
    command: str, policy: Path, open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    homes = f"{open_folder}/homes"
    there = [
        (itself, call, path)
        for itself, call, path, _ in calls(command, policy, open_folder, cacheadmin)
        if path.startswith(homes)
    ]
    # The test sees what it is about: readers did look there.
    assert any(not itself for itself, _, _ in there)
    assert [(call, path) for itself, call, path in there if itself] == []


@pytest.mark.parametrize(
    "command", ["scan", "preflight", "plan", "prune", "doctor", "verify", "audit"]
)
def test_the_command_opens_no_file_in_the_cache_or_the_registry_itself(
    command: str, policy: Path, open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = f"{open_folder}/cache"
    places = (f"{cache}/", f"{open_folder}/registry/")
    opened = {
        (itself, path)
        for itself, call, path, rest in calls(command, policy, open_folder, cacheadmin)
        if call in ("open", "openat", "openat2")
        and path.startswith(places)
        and not path.startswith(tuple(cache + one for one in _OURS))
        and "O_DIRECTORY" not in rest
        and "O_PATH" not in rest
        # A file of its own, without a name: is there room?
        and "O_TMPFILE" not in rest
    }
    assert any(not itself for itself, _ in opened)
    assert [path for itself, path in opened if itself] == []
