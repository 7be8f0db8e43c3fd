"""kill -9 during a prune that puts on trial, and during the one that ends trials.

Wherever it comes: every link of an environment that nobody knows goes on
leading somewhere, before and after the next run, and the next run ends as usual.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cacheadmin.cli.app import run
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import dangling_links
from tests.support.trial_sites import ENTRY, add_archive, lay_out

CHANGES = frozenset(
    {
        "cacheadmin.rename",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.mkdir",
        "os.symlink",
        "os.utime",
        "os.chmod",
        "os.truncate",
        "time.sleep",
    }
)


def in_child(work: Callable[[], object], at: int = 0, log: Path | None = None) -> bool:
    """Do some work in a child that is killed before its n-th change; whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            seen: list[str] = []

            def hook(event: str, _arguments: tuple[object, ...]) -> None:
                if event in CHANGES:
                    seen.append(event)
                    if len(seen) == at:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            work()
            if log is not None:
                log.write_text("\n".join(seen))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def instants(events: list[str], most: int) -> list[int]:
    """Choose so many instants: all around exchanges, the others spread evenly."""
    renames = [n for n, name in enumerate(events, 1) if name == "cacheadmin.rename"]
    near = {n + after for n in renames for after in (0, 1)}
    near_renames = sorted(near)
    chosen = near_renames[:: max(1, -(-len(near_renames) // (most // 2)))]
    step = max(1, len(events) // (most - len(chosen)))
    return sorted({*chosen, *range(1, len(events) + 1, step)})


@pytest.fixture
def site(open_folder: Path) -> Path:
    lay_out(open_folder)
    for number in range(3):
        add_archive(open_folder / "cache", f"archive-v0/Unused{number}_abcdefgh", f"p{number}")
    (open_folder / "elsewhere").mkdir()
    return open_folder


@pytest.mark.parametrize("most", [16, pytest.param(50, marks=pytest.mark.long)])
def test_no_instant_breaks_whom_nobody_knows(cacheadmin: Cacheadmin, site: Path, most: int) -> None:
    text = f"venvs: {{discover: [{{root: {site}/elsewhere}}]}}\nprune: {{trial: {{for: 0d}}}}\n"
    policy = os.fspath(cacheadmin.policy(site / "cache", text, complete=False))
    cache, kept, log = site / "cache", site / "kept", site / "events"
    quarantine = Path(f"{cache}.cacheadmin")
    shutil.copytree(cache, kept, symlinks=True)
    hit = 0

    def prune() -> int:
        return run(["-q", "prune", policy])

    assert not in_child(prune, log=log)
    for instant in instants(log.read_text().split(), most):
        shutil.rmtree(cache)
        shutil.rmtree(quarantine, ignore_errors=True)
        shutil.copytree(kept, cache, symlinks=True)
        hit += in_child(prune, at=instant)
        assert dangling_links(site / "env") == {}, instant
        # The look just taken was a use: the next run brings the archive back.
        assert prune() == 0
        assert (cache / ENTRY / "pkg" / "__init__.py").is_file()
        assert dangling_links(site / "env") == {}, instant
    assert hit > most / 2
