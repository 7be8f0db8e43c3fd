"""uv commands that start a long-lived program: `uvx` servers, as people run them.

with long_running(shared, NEWEST, *UVX_COWSAY) as server:
    server.asks("import six.moves.urllib")   # it must answer
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache
from tests.support.users import User
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

# Reads a line, runs it, answers: what was not imported before is imported now.
_SERVER = """
import sys
print('up', flush=True)
for line in sys.stdin:
    try:
        exec(line)
        print('done', flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""


@dataclass
class LongRunning:
    """A uv that waits for the program it started; ``pid`` is uv's own."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def asks(self, statement: str) -> str:
        """Have the program run a statement; return ``done``, or what it raised."""
        assert self.process.poll() is None, "it has ended"
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{statement}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def long_running(
    shared: SharedCache, release: str, *arguments: str, user: User | None = None
) -> Iterator[LongRunning]:
    """Run ``uv ARGUMENTS python``, a program that lives until the block ends."""
    user = user or shared.users[0]
    process = subprocess.Popen(
        [binary_for(release), *arguments, "python", "-c", _SERVER],
        env=uv_environment(cache=shared.path, home=shared.home(user), index=shared.index)
        | {"UV_LINK_MODE": "symlink"},
        cwd=shared.home(user),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **user.process_arguments(),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield LongRunning(process)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def tool_run(tool: str, *extras: str) -> Sequence[str]:
    """Return the arguments of ``uv tool run`` with a tool's environment, for its Python."""
    more = [word for extra in extras for word in ("--with", extra)]
    return ("tool", "run", *more, "--from", tool)


@contextmanager
def working_uv(
    shared: SharedCache, release: str = NEWEST, binary: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A uv that is at work: building, in a hook that takes its time.

    ``binary``: another file that is this release, whatever it is called.
    """
    project = shared.home() / "slow"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'slow'\nversion = '1'\n"
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    (project / "backend.py").write_text(
        "import time, pathlib\n"
        "def get_requires_for_build_wheel(settings=None):\n"
        "    pathlib.Path('up').touch()\n    time.sleep(300)\n    return []\n"
    )
    process = subprocess.Popen(
        [binary or binary_for(release), "build", "--wheel", "--no-config", str(project)],
        env=uv_environment(cache=shared.path, home=shared.home(), index=shared.index),
        cwd=shared.home(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: (project / "up").exists() or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()
