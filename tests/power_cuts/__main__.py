"""``python -m tests.power_cuts``: see the package."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.commands import Command, commands
from tests.power_cuts.recorded_disk import KINDS, why_not
from tests.power_cuts.trying import Recording
from tests.support.long_runs import FiguresOfRun, at_normal_priority
from tests.support.users import open_temporary_folder
from tests.support.warm_start import import_everything

_EMPTY = {"cuts": 0, "tried": 0, "turns": 0}


def main() -> int:
    """Cut the power; 0 when nothing was wrong after any cut."""
    parser = argparse.ArgumentParser(prog="python -m tests.power_cuts", description=__doc__)
    parser.add_argument("names", nargs="*", help="commands; all by default")
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="filesystems")
    parser.add_argument("--turns", type=int, default=8, help="try all cuts in so many turns")
    parser.add_argument("--folder", help="where disks are made; the temporary folder by default")
    parser.add_argument("--json", type=Path, help="keep the figures here, and go on from them")
    options = parser.parse_args()
    for kind in options.kinds:
        if why := why_not(kind):
            parser.error(f"{kind}: {why}")
    import_everything()
    if options.folder:
        tempfile.tempdir = options.folder
    figures = FiguresOfRun(options.json)
    every = [
        (kind, command)
        for command in commands().values()
        if not options.names or command.name in options.names
        for kind in options.kinds
    ]
    for turn in range(options.turns):
        for kind, command in every:
            one = figures.of(f"{command.name} on {kind}", {**_EMPTY, "once": [], "wrong": []})
            if one["turns"] == turn:
                _turn(figures, one, kind, command, options)
    return 1 if any(one["wrong"] for one in figures.all.values()) else 0


def _turn(
    figures: FiguresOfRun,
    one: dict[str, Any],
    kind: str,
    command: Command,
    options: argparse.Namespace,
) -> None:
    """Record a command, and try each so-manieth of its cuts: other ones in each turn."""
    begun = time.monotonic()
    folder = open_temporary_folder("cacheadmin-power-")
    try:
        recording = Recording.made(folder, kind, command)
        one["cuts"] = len(recording.cuts())
        for trial in recording.try_all(sample=options.turns, first=one["turns"]):
            one["tried"] += 1
            if trial.wrong:
                words = str(trial).replace(str(folder), "SITE")
                with at_normal_priority():
                    again = recording.attempt(trial.cut)
                one["wrong" if again.wrong else "once"].append(words)
                print(f"  {'WRONG' if again.wrong else 'WRONG ONCE'} {words}", flush=True)
            figures.write()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    one["turns"] += 1
    figures.write()
    print(
        f"{command.name} on {kind}: {one['tried']} of {one['cuts']} cuts, "
        f"{len(one['once'])} wrong once, {len(one['wrong'])} wrong, "
        f"{time.monotonic() - begun:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
