"""What it takes to start: CPU time of whole processes, beside Python's own and typer's."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tests.bench.bench_scale import Cost
from tests.bench.farms import Farm
from tests.bench.page import put_table
from tests.support.cacheadmin_cli import Cacheadmin

ROUNDS = 9

_ONE_COMMAND = """import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def one(word: str, kind: str = "table"): pass
app(["word"], standalone_mode=False)
"""
_FLOOR = "import argparse, sqlite3, msgpack, json; from yaml import CSafeLoader"


def starting(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Measure short calls on a tiny cache, each in turn with the others."""
    farm = Farm(folder)
    farm.grow_cache(3)
    farm.grow_environments(1, 2)
    home = cacheadmin.home
    home.mkdir(parents=True, exist_ok=True)
    text = f"venvs:\n  include: ['{farm.environments}/*/*']\n  discover: [{{root: '{home}'}}]\n"
    policy = str(cacheadmin.policy(farm.cache, text, name="starting"))
    ours = {
        "cacheadmin --version": ["--version"],
        "cacheadmin --help": ["--help"],
        "cacheadmin preflight --help": ["preflight", "--help"],
        "cacheadmin preflight": ["preflight", policy],
        "cacheadmin -q prune, nothing to do": ["-q", "prune", policy],
    }
    calls = {
        "python -c pass": ["-c", "pass"],
        "argparse, sqlite3, C YAML, msgpack, json imported": ["-c", _FLOOR],
        "typer imported": ["-c", "import typer"],
        "a program of one typer command": ["-c", _ONE_COMMAND],
        **{name: ["-m", "cacheadmin", *words] for name, words in ours.items()},
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    environment = cacheadmin.environment()
    for number in range(ROUNDS + 2):
        for name, words in calls.items():
            cost = Cost([sys.executable, *words], environment)
            if number > 1:
                taken[name].append(cost.seconds)
    least = statistics.median(taken["python -c pass"])
    rows = [
        (name, f"{statistics.median(times) * 1000:.0f}", f"{statistics.median(times) / least:.1f}")
        for name, times in taken.items()
    ]
    put_table("starting", ("call", "CPU, ms", "times python -c pass"), rows)
