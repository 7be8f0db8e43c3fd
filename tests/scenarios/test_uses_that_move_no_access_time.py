"""A use through a mount that keeps no access times springs nothing, so no trial may end there.

An environment lies where no policy looks, in a sandbox that sees the cache through a
mount of its own. Its user runs it again and again, while trials are as short as can be.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import idmapped_mount
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.other_mounts import python_in_own_mounts
from tests.support.passing_time import let_days_pass
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

_SHORT = "prune: {trial: {for: 0d, at_least: 0d}}\n"

# Each mounts the cache ($1) at $2; work folders are $3, and / is the sandbox's $4 where it has one.
_READ_ONLY = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"'
_OVERLAY = (
    'mkdir -p "$3/up" "$3/wk" && '
    'mount -t overlay o -o lowerdir="$1",upperdir="$3/up",workdir="$3/wk" "$2"'
)
# The kernel moves no access time of what belongs to an account that the mount does not show.
_ONE_ACCOUNT = shlex.join([sys.executable, idmapped_mount.__file__]) + ' "$1" "$2" 12345 1'


@contextmanager
def mounted_here(words: str, cache: Path, seen_at: Path, work: Path) -> Iterator[None]:
    """Mount the cache at another path, in the mounts of all processes."""
    done = subprocess.run(
        ["sh", "-ec", words, "sh", cache, seen_at, work], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"can't be mounted here: {os.fsdecode(done.stderr).strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", seen_at], check=True)


def lead_to(environment: Path, cache: Path, seen_at: Path) -> None:
    """Have all links of an environment lead to the cache by another path."""
    for folder, _, names in os.walk(environment):
        for name in names:
            link = Path(folder, name)
            if link.is_symlink() and os.readlink(link).startswith(f"{cache}/"):
                target = os.readlink(link).replace(str(cache), str(seen_at), 1)
                link.unlink()
                link.symlink_to(target)


@pytest.mark.parametrize(
    "words",
    [_READ_ONLY, _OVERLAY, _ONE_ACCOUNT],
    ids=["read-only", "overlay", "one-account"],
)
@pytest.mark.parametrize(
    "everywhere",
    [
        # Mounts of all are copied to every namespace that a test beside this one makes meanwhile.
        pytest.param(True, id="of-all", marks=pytest.mark.alone),
        pytest.param(False, id="of-one-service"),
    ],
)
def test_no_trial_ends_while_a_mount_hides_lookups(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path, words: str, everywhere: bool
) -> None:
    seen_at, work = open_folder / "seen", open_folder / "work"
    seen_at.mkdir()
    work.mkdir()
    hidden = shared.environment("hidden", NEWEST, "six==1.16.0", "cowsay==6.0")
    lead_to(hidden, shared.path, seen_at)
    for bucket in (*shared.path.glob("wheels-v*"), *shared.path.glob("interpreter-v*")):
        subprocess.run(["rm", "-r", bucket], check=True)
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    text = f"venvs: {{discover: [{{root: {elsewhere}}}]}}\n"
    policy = cacheadmin.policy(shared.path, text + _SHORT, complete=False)
    program = [hidden / "bin" / "python", "-c", "import six, cowsay"]

    def prune() -> dict:
        return cacheadmin("prune", policy, "--format", "json", code=0).json

    with (mounted_here if everywhere else python_in_own_mounts)(
        words, shared.path, seen_at, work
    ) as pid:
        enter = [] if pid is None else ["nsenter", "--target", str(pid), "--mount"]
        subprocess.run([*enter, *program], check=True)
        prune()
        for _ in range(2):
            subprocess.run([*enter, *program], check=True)
            told = prune()
            assert told["trial"]["ended"] == []
            who = f"the mount {seen_at}" if pid is None else f"a mount of process {pid}"
            assert any(who in line for line in told["warnings"]), told["warnings"]
        subprocess.run([*enter, *program], check=True)
    # Without the mount silence is believed; the time when it was not does not count.
    after = [prune() for _ in range(3)]
    assert any(told["trial"]["ended"] for told in after), [one["warnings"] for one in after]
    assert dangling_links(hidden)


def test_the_time_until_a_mount_went_is_no_silence(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    seen_at, work = open_folder / "seen", open_folder / "work"
    seen_at.mkdir()
    work.mkdir()
    hidden = shared.environment("hidden", NEWEST, "six==1.16.0")
    lead_to(hidden, shared.path, seen_at)
    for bucket in (*shared.path.glob("wheels-v*"), *shared.path.glob("interpreter-v*")):
        subprocess.run(["rm", "-r", bucket], check=True)
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    text = f"venvs: {{discover: [{{root: {elsewhere}}}]}}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)

    def prune() -> dict:
        return cacheadmin("prune", policy, "--format", "json", code=0).json

    with python_in_own_mounts(_READ_ONLY, shared.path, seen_at, work) as pid:
        # The run that begins the trial looks as well.
        assert prune()["trial"]["planted"]
        let_days_pass(shared.path, 31, "ran")
        program = [hidden / "bin" / "python", "-c", "import six"]
        subprocess.run(["nsenter", "--target", str(pid), "--mount", *program], check=True)
    assert prune()["trial"]["ended"] == []
    with python_in_own_mounts(_READ_ONLY, shared.path, seen_at, work):
        assert prune()["trial"]["ended"] == []
        let_days_pass(shared.path, 31, "ran")
    # It went an hour ago, say: its users were at work until then.
    assert prune()["trial"]["ended"] == []
    let_days_pass(shared.path, 31, "ran")
    assert prune()["trial"]["ended"]
