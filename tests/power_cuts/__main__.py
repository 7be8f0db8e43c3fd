"""``python -m tests.power_cuts``: see the package."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.commands import commands
from tests.power_cuts.recorded_disk import KINDS, why_not
from tests.power_cuts.trying import record_and_try
from tests.support.users import open_temporary_folder
from tests.support.warm_start import import_everything


def main() -> int:
    """Cut the power; 0 when nothing was wrong after any cut."""
    parser = argparse.ArgumentParser(prog="python -m tests.power_cuts", description=__doc__)
    parser.add_argument("names", nargs="*", help="commands; all by default")
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="filesystems")
    parser.add_argument("--sample", type=int, default=1, help="only each so-manieth cut")
    parser.add_argument("--first", type=int, default=0, help="the first one of these")
    parser.add_argument("--folder", help="where disks are made; the temporary folder by default")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    for kind in options.kinds:
        if why := why_not(kind):
            parser.error(f"{kind}: {why}")
    import_everything()
    if options.folder:
        tempfile.tempdir = options.folder
    folder = open_temporary_folder("cacheadmin-power-")
    figures: dict[str, dict[str, Any]] = {}
    try:
        for kind in options.kinds:
            for name, command in commands().items():
                if options.names and name not in options.names:
                    continue
                begun = time.monotonic()
                cuts, trials = record_and_try(
                    folder, kind, command, sample=options.sample, first=options.first
                )
                wrong = [str(trial).replace(str(folder), "SITE") for trial in trials if trial.wrong]
                for one in wrong:
                    print(f"  WRONG {one}", flush=True)
                print(
                    f"{name} on {kind}: {cuts} cuts, {len(trials)} tried, {len(wrong)} wrong, "
                    f"{time.monotonic() - begun:.0f} s",
                    flush=True,
                )
                figures[f"{name} on {kind}"] = {
                    "cuts": cuts,
                    "tried": len(trials),
                    "wrong": wrong,
                }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if any(one["wrong"] for one in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
