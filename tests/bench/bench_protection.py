"""What protection costs, and how wide the guard's window is: for `make bench`."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.protect.planted_roots import plant
from cacheadmin.protect.roots import WantedRoots, root_buckets, root_target
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.packages import serve_index
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.waiting import until

ARCHIVES = 50_000
PRUNERS = ("0.2.37", "0.4.30", "0.5.10", "0.6.4", "0.8.5", "0.12.24", "0.13.9")
PAIRS = 100
APART_SECONDS = 0.02


def planting(folder: Path, report: Callable[..., None], archives: int = ARCHIVES) -> None:
    """Compare planting with bare links, and renewing with bare listings."""
    cache = folder / "cache"
    ids = [f"{number:021d}" for number in range(archives)]
    for one in ids:
        (cache / "archive-v0" / one).mkdir(parents=True)
    (cache / "CACHEDIR.TAG").touch()
    (cache / ".gitignore").touch()
    wanted = WantedRoots(root_buckets(2), frozenset(map(ArchiveId, ids)))
    links = {name: root_target(archive) for name, archive in wanted.roots.items()}
    print(f"\n{archives} archives in use, {len(wanted.buckets)} buckets")

    def bare_links() -> None:
        for bucket in wanted.buckets:
            place = folder / "bare" / bucket / "cacheadmin"
            place.mkdir(parents=True)
            for name, target in links.items():
                os.symlink(target, place / name)

    def bare_listings() -> None:
        for bucket in wanted.buckets:
            os.listdir(cache / bucket / "cacheadmin")

    with open_cache(str(cache)) as opened:
        bare = timed(bare_links)
        ours = timed(lambda: plant(opened.fd, wanted, removable=()))
        report("planting", ours, "bare os.symlink loop", bare, "less than 3 times as long")
        # Warm, and in turn: the first listing after planting pays for the disk.
        renewed, listed = [], []
        for _ in range(5):
            listed.append(timed(bare_listings))
            renewed.append(timed(lambda: plant(opened.fd, wanted, removable=())))
        report(
            "renewing",
            statistics.median(renewed),
            "os.listdir of all",
            statistics.median(listed),
            "less than 2 times as long",
        )
    shutil.rmtree(folder)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def window(folder: Path, cacheadmin: Cacheadmin) -> None:
    """Count how many pairs of prunes in the same 20 ms break something under a guard."""
    with serve_index() as index:
        shared = SharedCache.create(folder, index)
        for release in ("0.5.10", "0.8.5", "0.13.9"):
            shared.environment(f"project-{release}", release, "six==1.16.0", "cowsay==6.0")
    kept = folder / "kept"
    shutil.copytree(shared.path / "archive-v0", kept, symlinks=True)
    policy = cacheadmin.policy(
        shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n", name="window"
    )
    dice = random.Random(1)
    broken = 0
    with guarding(cacheadmin, policy) as guard:
        for _ in range(PAIRS):
            until(lambda: cacheadmin("protect", policy, "--check").code == 0, seconds=60)
            _prune_two(shared, dice)
            if any(dangling_links(path) for path in shared.environments):
                broken += 1
                shutil.copytree(kept, shared.path / "archive-v0", symlinks=True, dirs_exist_ok=True)
                guard.hang_up()
                # Real time for its look.
                time.sleep(2)
    print(
        f"\n{PAIRS} pairs of prunes of different releases, begun within "
        f"{APART_SECONDS * 1000:.0f} ms of each other, under a guard: {broken} broke something"
    )


def _prune_two(shared: SharedCache, dice: random.Random) -> None:
    prunes = []
    for release in dice.sample(PRUNERS, 2):
        prunes.append(
            subprocess.Popen(
                [binary_for(release), "cache", "prune", "--quiet"],
                env=uv_environment(cache=shared.path, home=shared.home()),
                cwd=shared.home(),
                stderr=subprocess.DEVNULL,
            )
        )
        # So far apart that one meets what the other does.
        time.sleep(dice.random() * APART_SECONDS)
    for one in prunes:
        one.wait()
