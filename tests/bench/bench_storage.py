"""Storage where each operation takes a while, and how quickly files are deleted."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.bench_scale import Cost
from tests.bench.farms import Farm
from tests.bench.page import put_table
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.uv_releases import REPOSITORY

_ENVIRONMENTS, _WHEELS = 128, 40
_FOLDERS, _FILES = 60, 260

_REMOVE = """import os, sys
from cacheadmin.fs.removal import remove_tree
folder, name = os.path.split(sys.argv[1])
fd = os.open(folder, os.O_RDONLY)
removed = remove_tree(fd, name, device=os.fstat(fd).st_dev)
assert not removed.failures
"""

_BARE_LOOP = """import os, sys
for folder, _, names in os.walk(sys.argv[1], topdown=False):
    for name in names: os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
"""


def waiting(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Measure a scan where each operation of a reader takes a millisecond (``slow_storage.c``)."""
    farm = Farm(folder)
    farm.grow_cache(150)
    farm.grow_environments(_ENVIRONMENTS, _WHEELS)
    library = folder / "slow_storage.so"
    source = REPOSITORY / "tests" / "bench" / "slow_storage.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    home = cacheadmin.home
    home.mkdir(parents=True, exist_ok=True)
    where = f"venvs:\n  include: ['{farm.environments}/*/*']\n  discover: [{{root: '{home}'}}]\n"
    settings = {
        "one reader": "executor: processes, workers: 1",
        "sixteen readers": "executor: processes, workers: 16",
        "auto": "executor: auto",
    }
    taken: dict[str, tuple[float, float]] = {}
    for name, words in settings.items():
        text = f"{where}scan: {{{words}, full_every: 0d}}\n"
        policy = cacheadmin.policy(farm.cache, text, name=f"waiting-{name.replace(' ', '-')}")
        times = []
        for microseconds in ("0", "1000"):
            variables = {"LD_PRELOAD": str(library), "SLOW_STORAGE_MICROSECONDS": microseconds}
            begun = time.perf_counter()
            cost = Cost(
                [sys.executable, "-m", "cacheadmin", "scan", str(policy)],
                cacheadmin.environment() | variables,
            )
            assert cost.code in (0, 4), cost.code
            times.append(time.perf_counter() - begun)
        taken[name] = times[0], times[1]
    first = taken["one reader"]
    rows = [
        (name, f"{fast:.1f}", f"{slow:.1f}", f"{(first[1] - first[0]) / max(slow - fast, 0.1):.0f}")
        for name, (fast, slow) in taken.items()
    ]
    columns = ("readers", "s without waiting", "s with 1 ms each", "times less waiting than one")
    put_table("waiting", columns, rows)


def removing(folder: Path, _cacheadmin: Cacheadmin) -> None:
    """Compare deleting a tree with rm and with a bare loop."""
    tree = folder / "tree"
    calls = {
        "rm -rf": ["rm", "-rf"],
        "a bare loop of unlink": [sys.executable, "-c", _BARE_LOOP],
        "remove_tree, as in `purge`": [sys.executable, "-c", _REMOVE],
    }
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3):
        for name, command in calls.items():
            _make_tree(tree)
            taken[name].append(Cost([*command, str(tree)], environment).seconds)
    start = Cost([sys.executable, "-c", "import cacheadmin.fs.removal"], environment).seconds
    seconds = {name: statistics.median(times) for name, times in taken.items()}
    seconds["remove_tree, as in `purge`"] -= start
    rows = [(name, f"{one:.2f}", f"{one / seconds['rm -rf']:.2f}") for name, one in seconds.items()]
    print(f"\n{_FOLDERS * _FILES} files in {_FOLDERS * 2} folders")
    put_table("removing", ("deleted by", "CPU, s", "times rm"), rows)


def _make_tree(tree: Path) -> None:
    for number in range(_FOLDERS):
        inner = tree / f"d{number}" / "inner"
        inner.mkdir(parents=True)
        for file in range(_FILES // 2):
            for home in (inner, inner.parent):
                (home / f"f{file}.py").write_bytes(b"x" * 100 if file % 4 == 0 else b"")
