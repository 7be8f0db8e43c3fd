"""How long a search of many homes takes beside find."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.bench.big_cache import build_cache, build_environment
from tests.support.cacheadmin_cli import Cacheadmin

HOMES = 200
FOLDERS_A_HOME = 10_000
ENVIRONMENTS = 20

SideBySide = Callable[..., tuple[float, float]]
Report = Callable[[str, float, str, float, str], None]


def searching_homes(
    folder: Path, cacheadmin: Cacheadmin, side_by_side: SideBySide, report: Report
) -> None:
    """Compare a scan that searches all homes with a find of every pyvenv.cfg in them."""
    cache = build_cache(folder, 20, 20)
    homes = folder / "homes"
    for number in range(HOMES):
        home = homes / f"user{number}"
        for project in range(100):
            base = home / f"project{project}"
            base.mkdir(parents=True)
            for inner in range(FOLDERS_A_HOME // 100 - 1):
                (base / f"folder{inner}").mkdir()
    for number in range(ENVIRONMENTS):
        build_environment(homes / f"user{number}" / "project0" / ".venv", cache)
    places = f"venvs:\n  discover: [{{root: '{homes}'}}]\n"
    policy = cacheadmin.policy(cache, places, name="searching")
    print(f"\n{HOMES} homes of {FOLDERS_A_HOME} folders, {ENVIRONMENTS} environments")
    find = ["find", str(homes), "-name", "pyvenv.cfg"]
    ours, theirs = side_by_side(
        lambda: cacheadmin("scan", policy, code=0),
        lambda: subprocess.run(find, check=True, stdout=subprocess.DEVNULL),
        rounds=3,
    )
    report("scan of all homes", ours, "find -name pyvenv.cfg", theirs, "for information")
