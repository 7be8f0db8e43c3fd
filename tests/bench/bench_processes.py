"""Looking at every process, beside `lsof -n` over the same ones.

The processes are forks of one Python that sleeps, each with its own open file
and some compiled modules mapped: what a host full of services looks like.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Servers have threads, each of which lsof lists with all its files; the kernel's
# own account of a mapping costs the same for both sides.
SHAPES = ((2000, 8, 20), (2000, 1, 1))

# An import of the reader costs the same however many processes there are, so
# it is part of the time: whole processes on both sides.
_LOOK = """
import sys
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.evidence.processes import read_processes
from cacheadmin.inventory.cache_folder import open_cache
with open_cache(sys.argv[1]) as cache:
    found, _ = read_processes(CacheLocator(cache.identity, ["archive-v0"]))
"""

_SLEEP = """
import ctypes, os, signal, socket, sqlite3, ssl, sys, threading
processes, threads, files = map(int, sys.argv[1:])
for _ in range(processes):
    if not os.fork():
        held = [open(sys.executable, "rb") for _ in range(files)]
        for _ in range(threads - 1):
            threading.Thread(target=signal.pause, daemon=True).start()
        signal.pause()
print("up", flush=True)
signal.pause()
"""


@contextmanager
def sleepers(processes: int, threads: int, files: int) -> Iterator[None]:
    """Keep so many sleeping processes, each with so many threads and open files."""
    numbers = map(str, (processes, threads, files))
    first = subprocess.Popen(
        [sys.executable, "-c", _SLEEP, *numbers], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"up\n"
        yield
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def looking_at_processes(
    cache: Path,
    side_by_side: Callable[..., tuple[float, float]],
    report: Callable[[str, float, str, float, str], None],
) -> None:
    """Compare the look at all processes with lsof's, if there is one."""
    lsof = shutil.which("lsof")
    if lsof is None:
        print("\nlsof is not installed: looking at processes is not compared")
        return
    look = [sys.executable, "-c", _LOOK, str(cache)]
    for shape in SHAPES:
        print("\n{} processes with {} threads and {} open files".format(*shape))
        with sleepers(*shape):
            ours, theirs = side_by_side(
                lambda: subprocess.run(look, check=True, stdout=subprocess.DEVNULL),
                # lsof ends with 1 when one of the processes was gone meanwhile.
                lambda: subprocess.run(
                    [lsof, "-n"],
                    check=False,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                ),
                rounds=3,
            )
        report("processes", ours, "lsof -n", theirs, "at least 10 times faster")
