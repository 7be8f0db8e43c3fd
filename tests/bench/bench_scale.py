"""What commands cost as sites grow: CPU time and memory, first and again, and the exponents.

CPU time of whole processes with all they start: on a busy machine wall time
says nothing. Every cost is measured beside that of peers in the same run.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.curves import plot_curves
from tests.bench.farms import Farm
from tests.bench.page import put_table
from tests.support.cacheadmin_cli import Cacheadmin

WHEELS = 150
ARCHIVES = 5_000
ENVIRONMENTS = (62, 250, 1_000)
# Each four times the one before.
LARGE_ENVIRONMENTS = (62, 250, 1_000, 4_000)
# Ten times and fifty times the first.
CACHES = (1_000, 10_000, 50_000)


class Cost:
    """CPU seconds and peak memory (MiB) of one process and all it waited for."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        with open(os.devnull, "wb") as nowhere:
            process = subprocess.Popen(
                command, env=environment, stdout=nowhere, stderr=nowhere, stdin=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.code = process.returncode
        self.seconds = usage.ru_utime + usage.ru_stime
        self.mebibytes = usage.ru_maxrss / 1024


def growing_environments(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Measure scan and preflight over growing numbers of environments."""
    _environments(folder, cacheadmin, ENVIRONMENTS)


def growing_environments_large(folder: Path, cacheadmin: Cacheadmin) -> None:
    """As above, up to four thousand, into the page: minutes."""
    _environments(folder, cacheadmin, LARGE_ENVIRONMENTS, "environments")


def _environments(
    folder: Path, cacheadmin: Cacheadmin, sizes: Sequence[int], page: str = ""
) -> None:
    farm = Farm(folder)
    farm.grow_cache(ARCHIVES)
    print(f"\n{ARCHIVES} archives, environments of {WHEELS} wheels; CPU seconds and MiB")
    columns = (
        "environments",
        "command",
        "first",
        "again",
        "first / again",
        "MiB",
        "find",
        "first / find",
    )
    rows: list[tuple[str, ...]] = []
    curves: dict[str, list[float]] = {}
    for size in sizes:
        farm.grow_environments(size, WHEELS)
        find = Cost(
            ["find", str(farm.environments), "-type", "l", "-lname", f"{farm.cache}/*"]
        ).seconds
        for command in ("scan", "preflight"):
            policy = _policy(cacheadmin, farm, f"{command}-{size}")
            first, again = (_run(cacheadmin, command, policy) for _ in range(2))
            again = min(again, _run(cacheadmin, command, policy), key=lambda one: one.seconds)
            for when, cost in (("first", first), ("again", again)):
                curves.setdefault(f"{command}, {when}", []).append(cost.seconds)
            costs = (first.seconds, again.seconds)
            row = (
                f"{size} | {command} | {costs[0]:.2f} | {costs[1]:.2f} | {costs[0] / costs[1]:.1f} "
                f"| {again.mebibytes:.0f} | {find:.2f} | {costs[0] / find:.1f}"
            )
            rows.append(tuple(row.split(" | ")))
            print(f"| {row} |", flush=True)
        curves.setdefault("find -type l -lname", []).append(find)
    _show("environments", page, columns, rows, sizes, curves)


def growing_caches(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Measure what reads a whole cache over growing numbers of archives, into the page: minutes."""
    farm = Farm(folder)
    commands = ("plan", "usage", "report", "doctor")
    print("\nno environments; CPU seconds and MiB, the second of two runs")
    rows: list[tuple[str, ...]] = []
    curves: dict[str, list[float]] = {}
    for size in CACHES:
        farm.grow_cache(size)
        policy = _policy(cacheadmin, farm, f"cache-{size}")
        cells = []
        for command in commands:
            _run(cacheadmin, command, policy)
            cost = _run(cacheadmin, command, policy)
            curves.setdefault(command, []).append(cost.seconds)
            cells.append(f"{cost.seconds:.2f} ({cost.mebibytes:.0f})")
        find = Cost(["find", str(farm.cache), "-type", "f"]).seconds
        du = Cost(["du", "-s", str(farm.cache)]).seconds
        curves.setdefault("du -s", []).append(du)
        rows.append((str(size), *cells, f"{find:.2f}", f"{du:.2f}"))
        print(f"| {' | '.join(rows[-1])} |", flush=True)
    columns = ("archives", *commands, "find -type f", "du")
    _show("archives", "archives", columns, rows, CACHES, curves)


def _show(
    grows: str,
    page: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, ...]],
    sizes: Sequence[int],
    curves: Mapping[str, Sequence[float]],
) -> None:
    """Print exponents; put table and plot into the page, if it has a place for them."""
    exponents = [(name, _exponent(sizes, seconds)) for name, seconds in curves.items()]
    for name, exponent in exponents:
        print(f"exponent of {name} in {grows}: {exponent}")
    if page:
        put_table(page, columns, rows)
        put_table(f"exponents in {page}", ("what", "exponent"), exponents)
        plot_curves(grows, sizes, curves)


def _policy(cacheadmin: Cacheadmin, farm: Farm, name: str) -> str:
    # Homes of this machine have nothing to do with it.
    empty = farm.cache.parent / "empty"
    empty.mkdir(exist_ok=True)
    return str(
        cacheadmin.policy(
            farm.cache,
            f"venvs:\n  include: ['{farm.environments}/*/*']\n  from_cache: false\n"
            f"  discover: [{{root: '{empty}'}}]\n  complete: true\n"
            f"state: sqlite:///{farm.cache.parent}/state-{name}/state.db\n",
            name=name,
            complete=False,
        )
    )


def _run(cacheadmin: Cacheadmin, command: str, policy: str) -> Cost:
    options = ("--format", "json") if command != "report" else ()
    return Cost(
        [sys.executable, "-m", "cacheadmin", command, policy, *options], cacheadmin.environment()
    )


def _exponent(sizes: Sequence[int], seconds: Sequence[float]) -> str:
    """Return how the cost of more grows with more, what every run costs left out."""
    more = [after - before for before, after in itertools.pairwise(seconds)]
    added = [after - before for before, after in itertools.pairwise(sizes)]
    if min(more) <= 0:
        return "not to be told from noise"
    return f"{math.log(more[-1] / more[-2]) / math.log(added[-1] / added[-2]):.2f}"
