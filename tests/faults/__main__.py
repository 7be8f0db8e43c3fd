"""``python -m tests.faults``: see the package."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.faults.blinding import ERRORS, Blind, Blinding
from tests.faults.commands import commands
from tests.faults.small_site import SmallSite
from tests.faults.trying import Faults, Trial
from tests.support.long_runs import FiguresOfRun, at_normal_priority, spread
from tests.support.supervised import is_possible
from tests.support.users import open_temporary_folder
from tests.support.uv_releases import REPOSITORY
from tests.support.warm_start import import_everything

#: The command whose places fail for its readers, too.
_BLINDING = "blind-prune"

#: What a round that was not the last one leaves with.
_MORE = 10

_EMPTY = {"calls": 0, "of": 0, "next": 0, "faults": 0, "not met": 0, "once": [], "wrong": []}

Attempt = Callable[[], Trial | Blind]


def main() -> int:
    """Try them; 0 when nothing was wrong after any fault."""
    names = (*commands(), _BLINDING)
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", help="commands, in this order; all by default")
    parser.add_argument("--round", type=int, default=100, help="so many of each, then the next")
    parser.add_argument("--most", type=int, default=0, help="at most so many of each; 0: all")
    parser.add_argument("--alike", type=int, default=0, help="at most so many of a kind; 0: all")
    parser.add_argument("--folder", help="where sites are made; the temporary folder by default")
    parser.add_argument("--every-error", action="store_true", help="each error of each call")
    parser.add_argument("--json", type=Path, help="keep the figures here, and go on from them")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no such command: {', '.join(sorted(unknown))}")
    if not is_possible():
        parser.error("it lets the kernel hold calls, so it needs root on Linux, x86_64")
    if options.folder:
        tempfile.tempdir = options.folder
    if options.one_round:
        import_everything()
        return 0 if _round(FiguresOfRun(options.json), options.names[0], options) else _MORE
    with tempfile.TemporaryDirectory(prefix="cacheadmin-figures-") as folder:
        options.json = options.json or Path(folder, "figures.json")
        waiting = list(options.names or names)
        while waiting:
            for name in tuple(waiting):
                code = _round_among_itself(name, options.json)
                if code == 0:
                    waiting.remove(name)
                elif code != _MORE:
                    return code
        return 1 if any(one["wrong"] for one in FiguresOfRun(options.json).all.values()) else 0


def _round_among_itself(name: str, file: Path) -> int:
    """Try the next faults of one command in a process; return its code.

    A command looks at every process, and each look is a call that the kernel holds: among
    its own processes alone it is several times as fast. Where all users are known that
    would be a gap, and so another plan.
    """
    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--one-round"]
    if shutil.which("unshare") and name != _BLINDING:
        command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *command]
    named = [one for one in command if one not in (*commands(), _BLINDING)]
    return subprocess.run(
        [*named, "--json", str(file), name], cwd=REPOSITORY, check=False
    ).returncode


def _round(figures: FiguresOfRun, name: str, options: argparse.Namespace) -> bool:
    """Try the next faults of one command; return whether those were the last ones."""
    one = figures.of(name, {**_EMPTY, "once": [], "wrong": []})
    folder = open_temporary_folder("cacheadmin-faults-")
    begun = time.monotonic()
    try:
        if name == _BLINDING:
            one["calls"], attempts = _places(folder, every=options.every_error)
        else:
            one["calls"], attempts = _calls(folder, name, options)
        one["of"] = len(attempts)
        most = min(options.most or len(attempts), len(attempts))
        for number in spread(len(attempts))[one["next"] : min(one["next"] + options.round, most)]:
            _try(one, attempts[number], str(folder))
            one["next"] += 1
            figures.write()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures.write()
    print(
        f"{name}: {one['calls']} calls, {one['faults']} of {one['of']} faults, "
        f"{len(one['once'])} wrong once, {len(one['wrong'])} wrong, "
        f"{time.monotonic() - begun:.0f} s",
        flush=True,
    )
    return bool(one["next"] >= most)


def _try(one: dict[str, Any], attempt: Attempt, folder: str) -> None:
    """Count one fault. What is wrong is tried once more, by itself: only then it is."""
    trial = attempt()
    if isinstance(trial, Trial) and not trial.met:
        one["not met"] += 1
        return
    one["faults"] += 1
    if not trial.wrong:
        return
    words = str(trial).replace(folder, "SITE")
    with at_normal_priority():
        again = attempt()
    found = one["wrong" if again.wrong else "once"]
    found.append(words)
    print(f"  {'WRONG' if again.wrong else 'WRONG ONCE'} {words}", flush=True)


def _calls(folder: Path, name: str, options: argparse.Namespace) -> tuple[int, Sequence[Attempt]]:
    faults = Faults(SmallSite.build(folder), commands()[name])
    every = faults.faults(every_error=options.every_error, alike=options.alike)
    calls = len({call.number for call, _ in every})
    return calls, [partial(faults.attempt, *one) for one in every]


def _places(folder: Path, *, every: bool) -> tuple[int, Sequence[Attempt]]:
    blinding = Blinding(folder)
    places = blinding.places()
    turns = cycle(ERRORS)
    chosen = [(place, error) for place in places for error in (ERRORS if every else (next(turns),))]
    return len(places), [partial(blinding.attempt, *one) for one in chosen]


if __name__ == "__main__":
    sys.exit(main())
