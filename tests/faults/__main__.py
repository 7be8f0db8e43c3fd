"""``python -m tests.faults``: see the package."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.blinding import Blinding
from tests.faults.commands import commands
from tests.faults.small_site import SmallSite
from tests.faults.trying import Faults
from tests.support.supervised import is_possible
from tests.support.users import open_temporary_folder
from tests.support.warm_start import import_everything

_TELL_EVERY = 100

#: The command whose places fail for its readers, too.
_BLINDING = "blind-prune"


def main() -> int:
    """Try them; 0 when nothing was wrong after any fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", help="commands; all by default")
    parser.add_argument("--sample", type=int, default=1, help="only each so-manieth fault")
    parser.add_argument("--first", type=int, default=0, help="the first one of these")
    parser.add_argument("--alike", type=int, default=0, help="at most so many of a kind; 0: all")
    parser.add_argument("--folder", help="where sites are made; the temporary folder by default")
    parser.add_argument("--every-error", action="store_true", help="each error of each call")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    if not is_possible():
        parser.error("it lets the kernel hold calls, so it needs root on Linux, x86_64")
    import_everything()
    figures: dict[str, dict[str, Any]] = {}
    for name, command in commands().items():
        if options.names and name not in options.names:
            continue
        if options.folder:
            tempfile.tempdir = options.folder
        folder = open_temporary_folder("cacheadmin-faults-")
        try:
            begun = time.monotonic()
            faults = Faults(SmallSite.build(folder), command)
            calls = Counter(call.name for call in faults.calls())
            tried, wrong = 0, []
            for trial in faults.try_all(
                sample=options.sample,
                first=options.first,
                every_error=options.every_error,
                alike=options.alike,
            ):
                tried += 1
                if tried % _TELL_EVERY == 0:
                    seconds = time.monotonic() - begun
                    print(f"  {name}: {tried} faults in {seconds:.0f} s", flush=True)
                if trial.wrong:
                    wrong.append(str(trial).replace(str(folder), "SITE"))
                    print(f"  WRONG {wrong[-1]}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = time.monotonic() - begun
        print(
            f"{name}: {calls.total()} calls, {tried} faults, {len(wrong)} wrong, {seconds:.0f} s",
            flush=True,
        )
        figures[name] = {"calls": calls.total(), "faults": tried, "wrong": wrong}
    if not options.names or _BLINDING in options.names:
        figures[_BLINDING] = _blind(options.sample, options.first, every=options.every_error)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if any(one["wrong"] for one in figures.values()) else 0


def _blind(sample: int, first: int, *, every: bool) -> dict[str, Any]:
    folder = open_temporary_folder("cacheadmin-faults-")
    begun = time.monotonic()
    try:
        blinding = Blinding(folder)
        places, tried, wrong = len(blinding.places()), 0, []
        for one in blinding.try_all(sample=sample, first=first, every=every):
            tried += 1
            if one.wrong:
                wrong.append(str(one).replace(str(folder), "SITE"))
                print(f"  WRONG {wrong[-1]}", flush=True)
            if tried % _TELL_EVERY == 0:
                print(f"  {_BLINDING}: {tried} in {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - begun
    print(f"{_BLINDING}: {places} places, {tried} faults, {len(wrong)} wrong, {seconds:.0f} s")
    return {"calls": places, "faults": tried, "wrong": wrong}


if __name__ == "__main__":
    sys.exit(main())
