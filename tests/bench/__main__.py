"""`make bench`: side-by-side timings, as ratios. Prints; fails on nothing.

Every number is the median of several warm runs of whole processes, the two
sides taken in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.bench_discovery import searching_homes
from tests.bench.bench_hosts import telling
from tests.bench.bench_processes import looking_at_processes
from tests.bench.bench_protection import planting, window
from tests.bench.bench_scale import (
    growing_caches,
    growing_environments,
    growing_environments_large,
)
from tests.bench.bench_start_up import starting
from tests.bench.bench_storage import removing, waiting
from tests.bench.bench_verify import verifying as verifying_archives
from tests.bench.big_cache import build_cache, build_environment
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.running_uv import run_uv
from tests.support.users import open_temporary_folder
from tests.support.uv_releases import NEWEST, uv_binary
from tests.support.warden import run_warden

ROUNDS = 7
ENVIRONMENTS = 16
WHEELS = 100
FILES_A_WHEEL = 313
SIMULATED_WHEELS = 640
SIMULATED_RELEASES = (NEWEST,)
PRUNED_WHEELS = (100, 400)
PRUNED_FILES_A_WHEEL = 260


def main(names: list[str]) -> None:
    """Run the comparisons of these names, or all."""
    folder = open_temporary_folder("cacheadmin-bench-")
    cacheadmin = Cacheadmin(folder / "cacheadmin")
    cacheadmin.folder.mkdir()
    try:
        for name in names or COMPARISONS:
            (COMPARISONS | LONG)[name](folder / name, cacheadmin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def looking(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare scan and preflight with a find over all links."""
    cache = build_cache(folder, WHEELS, FILES_A_WHEEL)
    environments = folder / "environments"
    links = sum(
        build_environment(environments / f"environment{number}", cache)
        for number in range(ENVIRONMENTS)
    )
    print(f"\n{ENVIRONMENTS} environments, {links} links, {WHEELS} archives")
    policy = cacheadmin.policy(cache, f"venvs:\n  include: ['{environments}/*']\n", name="looking")
    find = ["find", str(environments), "-type", "l", "-lname", f"{cache}/*"]
    for command in ("scan", "preflight", "plan"):
        ours, theirs = side_by_side(
            lambda command=command: cacheadmin(command, policy),
            lambda: subprocess.run(find, check=True, stdout=subprocess.DEVNULL),
        )
        wanted = "at least 8 times faster" if command != "plan" else "for information"
        report(command, ours, "find -type l -lname", theirs, wanted)


def processes(folder: Path, _cacheadmin: Cacheadmin) -> None:
    """Compare the look at all processes with lsof's."""
    looking_at_processes(build_cache(folder, 1, 10), side_by_side, report)


def locking(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare how long a prune holds uv's lock, on the same removal: on proof, and on trial."""
    for wheels in PRUNED_WHEELS:
        room = folder / str(wheels)
        cache = build_cache(room, wheels, PRUNED_FILES_A_WHEEL, referenced=False)
        kept = room / "kept"
        cache.rename(kept)
        home = room / "home"
        home.mkdir()
        print(f"\nprune of {wheels * PRUNED_FILES_A_WHEEL} files: how long the lock is held")
        uv = [uv_binary(NEWEST), "cache", "prune", "--quiet", "--no-config"]
        variables = {"UV_CACHE_DIR": str(cache), "HOME": str(home)}
        # On a site that gives no word everything here rests on absence, and goes on trial.
        policies = {
            "on proof": cacheadmin.policy(cache, name=f"proof-{wheels}"),
            "on trial": cacheadmin.policy(
                cache,
                f"venvs: {{discover: [{{root: '{home}'}}]}}\n",
                name=f"trial-{wheels}",
                complete=False,
            ),
        }
        held: dict[str, list[float]] = {"uv": [], **{name: [] for name in policies}}
        for _ in range(3):
            for name, times in held.items():
                subprocess.run(["cp", "-a", kept, cache], check=True)
                if name == "uv":
                    process = subprocess.Popen(uv, env=variables, cwd=home)
                else:
                    process = cacheadmin.start("--quiet", "prune", policies[name])
                times.append(watch_lock(cache / ".lock", process))
                for leftover in (cache, room / "cache.cacheadmin"):
                    shutil.rmtree(leftover, ignore_errors=True)
        theirs = statistics.median(held.pop("uv"))
        for name, times in held.items():
            ours, uv_words = f"prune, {name}", f"uv {NEWEST} cache prune"
            report(ours, statistics.median(times), uv_words, theirs, "at least 200 times shorter")


def simulating(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare a simulation, net of the program's start, with a prune that finds nothing."""
    small = build_cache(folder / "small", 1, 10)
    large = build_cache(folder / "large", SIMULATED_WHEELS, FILES_A_WHEEL)
    home = folder / "home"
    home.mkdir()
    policies = {
        cache: cacheadmin.policy(cache, name=f"simulating-{cache.parent.name}")
        for cache in (small, large)
    }
    print(f"\na cache of {SIMULATED_WHEELS * FILES_A_WHEEL} files, nothing to delete")
    for release in SIMULATED_RELEASES:

        def simulate(cache: Path, release: str = release) -> Callable[[], object]:
            return lambda: cacheadmin("simulate", policies[cache], "--uv", release, code=0)

        def prune(release: str = release) -> object:
            # A copy of nothing: what is deleted the first time is gone for the others.
            return run_uv(release, "cache", "prune", cache=large, home=home)

        ours, theirs = side_by_side(simulate(large), prune)
        start, _ = side_by_side(simulate(small), lambda: None)
        report(
            "simulate",
            max(ours - start, 0.0),
            f"uv {release} cache prune",
            theirs,
            "at most 3 times",
        )


def retaining(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare how long it takes to get a cache below a budget, from the same copy."""
    cache = build_cache(folder, 200, 50)
    kept = folder / "kept"
    cache.rename(kept)
    home = folder / "home"
    home.mkdir()
    limit = sum(path.lstat().st_blocks for path in kept.rglob("*")) * 512 // 2
    text = f"prune:\n  budget:\n    max_size: {limit}B\n"
    subprocess.run(["cp", "-a", kept, cache], check=True)
    policy = cacheadmin.policy(cache, text, name="retaining")
    print("\na budget of half the size of a cache with 200 wheels that nobody uses")
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        for taken, run in zip(
            times,
            (
                lambda: cacheadmin("prune", policy, code=0),
                lambda: run_warden(cache, home, str(limit)),
            ),
            strict=True,
        ):
            for leftover in (cache, folder / "cache.cacheadmin"):
                shutil.rmtree(leftover, ignore_errors=True)
            subprocess.run(["cp", "-a", kept, cache], check=True)
            begun = time.perf_counter()
            run()
            taken.append(time.perf_counter() - begun)
    ours, theirs = map(statistics.median, times)
    report("cacheadmin prune", ours, "uv-cache-warden gc", theirs, "faster")


def watch_lock(lock: Path, process: subprocess.Popen[bytes]) -> float:
    """Return for how many seconds a process was seen to hold an exclusive flock on a file."""
    wanted, holder = f":{lock.stat().st_ino} ".encode(), f" {process.pid} ".encode()
    first = last = 0.0
    with open("/proc/locks", "rb", buffering=0) as locks:
        while process.poll() is None:
            locks.seek(0)
            now = time.perf_counter()
            for line in locks.read(1 << 20).splitlines():
                if b"WRITE" in line and b"->" not in line and wanted in line and holder in line:
                    first, last = first or now, now
    return last - first


def side_by_side(
    one: Callable[[], object], other: Callable[[], object], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Return the median seconds of both, run in turn after one warm-up each."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for call, times in zip((one, other), taken, strict=True):
            begun = time.perf_counter()
            call()
            if number:
                times.append(time.perf_counter() - begun)
    return statistics.median(taken[0]), statistics.median(taken[1])


def report(ours: str, our_seconds: float, theirs: str, their_seconds: float, wanted: str) -> None:
    """Print one comparison."""
    if our_seconds > their_seconds:
        ratio = f"{our_seconds / their_seconds:.2f} times as long"
    else:
        ratio = f"{their_seconds / max(our_seconds, 1e-6):.1f} times faster"
    print(
        f"{ours:18} {our_seconds * 1000:8.1f} ms   {theirs:26} {their_seconds * 1000:8.1f} ms"
        f"   {ratio} (wanted: {wanted})",
        flush=True,
    )


def protecting(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare planting and renewing with bare links and listings; count what a guard misses."""
    folder.mkdir()
    planting(folder / "planting", report)
    (folder / "window").mkdir()
    window(folder / "window", cacheadmin)


def discovering(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare the search of 200 homes with find."""
    searching_homes(folder, cacheadmin, side_by_side, report)


def hosts(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare one observation, and a plan over many hosts, with fewer hosts."""
    telling(folder, cacheadmin, side_by_side, report)


def verifying(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Compare verify with sha256sum over the same files."""
    verifying_archives(folder, cacheadmin, side_by_side, report)


COMPARISONS = {
    "starting": starting,
    "looking": looking,
    "discovering": discovering,
    "processes": processes,
    "hosts": hosts,
    "locking": locking,
    "simulating": simulating,
    "protecting": protecting,
    "retaining": retaining,
    "verifying": verifying,
    "waiting": waiting,
    "removing": removing,
    "growing_environments": growing_environments,
    "growing_caches": growing_caches,
}

# Minutes each: only by name.
LONG = {"growing_environments_large": growing_environments_large}


if __name__ == "__main__":
    os.umask(0o022)
    run_uv(NEWEST, "--version", cache="/nonexistent", home="/")
    main(sys.argv[1:])
