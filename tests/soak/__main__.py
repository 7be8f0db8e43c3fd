"""``python -m tests.soak``: see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.administrators import Administrators, GuardOfSoak
from tests.soak.adversity import FullDisk, another_clock
from tests.soak.ending import Ending
from tests.soak.figures import Figures
from tests.soak.oracle import Oracle
from tests.soak.people import Person
from tests.soak.site import Site
from tests.support.filesystems import filesystem
from tests.support.packages import serve_index
from tests.support.users import open_temporary_folder

ORACLES = 2

#: Ten times what a soak of ten minutes takes.
_DISK_MIB = 4096


def main() -> int:
    """Run a soak; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long users are at work")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what chance does")
    parser.add_argument("--keep", action="store_true", help="leave the site where it was")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it starts programs as six users, so it needs root")
    folder = open_temporary_folder("cacheadmin-soak-")
    print(f"soak of {options.minutes:g} minutes, seed {options.seed}, in {folder}", flush=True)
    try:
        figures = soak(folder, options.minutes * 60.0, options.seed)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(figures.text())
    if options.json:
        options.json.write_text(figures.json())
    return 0 if figures.all_is_well else 1


def soak(folder: Path, seconds: float, seed: int) -> Figures:
    """Let everybody work for so long, then end it; return what happened."""
    with (
        serve_index() as index,
        filesystem("ext4", folder, _DISK_MIB, make=("-m", "0")) as disk,
    ):
        site = Site.create(folder, disk, index, seed)
        # Made before threads ask for it.
        another_clock(site, site.chance("clocks"))
        oracle = Oracle(site)
        administrators = Administrators(site)
        guard = GuardOfSoak(site, administrators.policy)
        guards = [_thread(guard.run, site)]
        work: list[Callable[[], None]] = [
            *(Person(site, oracle, user).work for user in site.shared.users),
            administrators.prune_all_the_time,
            administrators.report_all_the_time,
            administrators.walk_as_backups_do,
            FullDisk(site).run,
            *((lambda number=number: oracle.run(number, ORACLES)) for number in range(ORACLES)),
        ]
        threads = [_thread(one, site) for one in work]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(thread.is_alive() for thread in threads):
            # The interval between two lines of progress.
            time.sleep(min(30.0, max(0.1, deadline - time.monotonic())))
            done = site.counts
            print(
                f"  {time.monotonic() - site.begun:5.0f} s: {done.get('uv commands', 0)} uv "
                f"commands, {done.get('prunes', 0)} prunes, {oracle.looks} looks, "
                f"{len(site.failures)} failures",
                flush=True,
            )
        site.stopping.set()
        for thread in (*threads, *guards):
            thread.join()
        guard.stop()
        ending = Ending(site, administrators, oracle)
        ending.run()
        ending.look_for_leftovers()
        return Figures(site, oracle, administrators, guard, ending)


def _thread(work: Callable[[], None], site: Site) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except Exception as error:
            # A thread that ends unseen would make the soak look well.
            site.fail(f"the soak itself: {type(error).__name__}: {error}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main())
