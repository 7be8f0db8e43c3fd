"""`uv run --with` and `uvx`: what runs there goes on running whatever title it shows.

A program that writes a title over its arguments and variables (`setproctitle`: gunicorn,
celery, ray) shows no path any more. Its uv was killed, as the kernel does when memory runs
out, or is of a release that takes no lock: no lock tells of it either.
"""

from __future__ import annotations

import os

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.long_running import long_running, tool_run
from tests.support.shared_cache import SharedCache, age
from tests.support.titles import overwriting
from tests.support.uv_releases import NEWEST

# Everything here is older than the policy wants it to be, as after a week.
_AT_ONCE = "prune: {builds: {after: 0s}, environments: {idle: 0s, keep_latest: false}}\n"

# A worker that is started by the path of its own Python, as by `multiprocessing`.
_WORKER = "import subprocess as s, sys; s.run([sys.executable, '-c', 'import cowsay'], check=True)"

_RUN = ("run", "--no-project", "--with", "cowsay")


@pytest.mark.parametrize("release", ["0.5.10", "0.8.5", "0.9.0", NEWEST])
@pytest.mark.parametrize("arguments", [_RUN, tool_run("cowsay")], ids=["run", "uvx"])
@pytest.mark.parametrize("complete", [False, True], ids=["gaps", "word"])
def test_what_a_program_with_a_title_runs_from_stays(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    release: str,
    arguments: tuple[str, ...],
    complete: bool,
) -> None:
    with long_running(shared, release, *arguments) as program:
        assert program.asks(overwriting("gunicorn: worker [app]")) == "done"
        os.kill(program.pid, 9)
        program.process.wait()
        age(shared.path, days=8)
        policy = cacheadmin.policy(shared.path, _AT_ONCE, complete=complete)

        cacheadmin("prune", policy, code=0)

        answer, _ = program.process.communicate(f"{_WORKER}\n", timeout=60)
        assert answer == "done\n"
