"""Four writers change environments while the cache is scanned and pruned from memory.

Nothing that an environment links is removed on the word of a memory that is stale.
The oracle knows nothing of the product: it follows links.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.running_uv import run_uv
from tests.support.shared_cache import dangling_links
from tests.support.uv_releases import NEWEST

WRITERS = 4
PLACES = 4
RELEASES = (NEWEST, "0.9.0")
PACKAGES = (
    *("six==1.15.0", "six==1.16.0", "six==1.17.0", "idna==3.7", "idna==3.10"),
    *("pytz==2024.1", "pytz==2025.2", "cowsay==6.0", "cowsay==6.1"),
)
DONE, BUSY = 0, 3

# On a machine that is busy with more, until the first removal.
MOST_SECONDS = 180


def test_until_something_was_removed(
    cacheadmin: Cacheadmin, open_folder: Path, index: Index
) -> None:
    Writing(cacheadmin, open_folder, index).run(seconds=2)


@pytest.mark.long
def test_for_ten_minutes(cacheadmin: Cacheadmin, open_folder: Path, index: Index) -> None:
    Writing(cacheadmin, open_folder, index).run(seconds=600)


@dataclass
class Writing:
    """A cache, its writers, a scanner and a pruner."""

    cacheadmin: Cacheadmin
    folder: Path
    index: Index
    stopping: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    changes: int = 0
    scans: int = 0
    prunes: int = 0
    removed: int = 0

    def __post_init__(self) -> None:
        self.cache = self.folder / "cache"
        self.home = self.folder / "home"
        self.environments = self.folder / "environments"
        self.home.mkdir()
        self.locks = [threading.Lock() for _ in range(WRITERS)]
        for number in range(WRITERS):
            self.place(number, 0).parent.mkdir(parents=True)

    def place(self, writer: int, number: int) -> Path:
        return self.environments / f"writer{writer}" / f"environment{number}"

    def run(self, *, seconds: float) -> None:
        """Have all of them at work for so long, and until something was removed.

        Then look at everything once more.
        """
        for number in range(WRITERS):
            self.make(number, 0, random.Random(number))
        # From now on these archives live by their environments alone.
        for number in range(20):
            self.forget_pointers(0, 0, random.Random(number))
        policy = self.policy("writing")
        threads = [
            *(threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)),
            threading.Thread(target=self.scan, args=(policy,)),
        ]
        for thread in threads:
            thread.start()
        try:
            end = time.monotonic() + seconds
            latest = end + MOST_SECONDS
            while time.monotonic() < (end if self.removed else latest) and not self.failures:
                self.prune(policy)
                self.look()
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()
        self.prune(policy)
        self.look()
        assert self.failures == []
        self.compare(policy)
        print(
            f"{self.changes} changes, {self.scans} scans, {self.prunes} prunes, "
            f"{self.removed} archives removed"
        )
        assert self.removed, "no prune removed anything: nothing was shown"

    def policy(self, name: str) -> Path:
        return self.cacheadmin.policy(
            self.cache,
            f"venvs: {{include: ['{self.environments}/*/*'], from_cache: false, complete: true}}\n"
            f"state: sqlite:///{self.folder}/{name}/state.db\n"
            "lock: {timeout: 30s}\n",
            name=name,
            complete=False,
        )

    # Writers

    def write(self, writer: int) -> None:
        """Change environments until all is over, each change while no one looks at them."""
        chance = random.Random(f"writer {writer}")
        acts: tuple[Callable[[int, int, random.Random], None], ...] = (
            *(self.make, self.install, self.install, self.install, self.uninstall),
            *(self.remove, self.rename, self.swap, self.forget_pointers, self.link_by_hand),
        )
        while not self.stopping.is_set():
            act = chance.choice(acts)
            try:
                with self.locks[writer]:
                    act(writer, chance.randrange(PLACES), chance)
                self.changes += 1
            except Exception as error:
                self.failures.append(f"{act.__name__}: {error}")
                return
            # As people do: at odd times.
            time.sleep(chance.uniform(0, 0.1))

    def make(self, writer: int, number: int, chance: random.Random) -> None:
        if not self.place(writer, number).exists():
            self.uv(chance, "venv", self.place(writer, number))
            self.install(writer, number, chance)

    def install(self, writer: int, number: int, chance: random.Random) -> None:
        home = self.place(writer, number)
        if home.exists():
            wanted = chance.sample(PACKAGES, 2)
            names = {one.partition("==")[0]: one for one in wanted}
            self.uv(chance, "pip", "install", "--python", home / "bin/python", *names.values())

    def uninstall(self, writer: int, number: int, chance: random.Random) -> None:
        home = self.place(writer, number)
        if home.exists():
            name = chance.choice(PACKAGES).partition("==")[0]
            self.uv(chance, "pip", "uninstall", "--python", home / "bin/python", name)

    def remove(self, writer: int, number: int, chance: random.Random) -> None:
        shutil.rmtree(self.place(writer, number), ignore_errors=True)

    def rename(self, writer: int, number: int, chance: random.Random) -> None:
        source, target = self.place(writer, number), self.place(writer, chance.randrange(PLACES))
        if source.exists() and not target.exists():
            source.rename(target)

    def swap(self, writer: int, number: int, chance: random.Random) -> None:
        one, other = self.place(writer, number), self.place(writer, chance.randrange(PLACES))
        if one.exists() and other.exists() and one != other:
            between = self.folder / f"between{writer}"
            one.rename(between)
            other.rename(one)
            between.rename(other)

    def forget_pointers(self, writer: int, number: int, chance: random.Random) -> None:
        """Take a package's pointers away, as a prune of all buckets does: new archives come."""
        name = chance.choice(PACKAGES).partition("==")[0]
        with open(self.cache / ".lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for folder in self.cache.glob(f"wheels-v*/*/*/{name}"):
                shutil.rmtree(folder)
            for folder in self.cache.glob(f"wheels-v*/*/{name}"):
                shutil.rmtree(folder)

    def link_by_hand(self, writer: int, number: int, chance: random.Random) -> None:
        """Link one environment's module in another, and set the folder's time back."""
        source, target = self.place(writer, number), self.place(writer, chance.randrange(PLACES))
        for link in source.glob("lib/*/site-packages/*.py"):
            for packages in target.glob("lib/*/site-packages"):
                name = packages / f"by_hand_{chance.randrange(3)}.py"
                before = packages.stat()
                name.unlink(missing_ok=True)
                name.symlink_to(os.readlink(link) if link.is_symlink() else link)
                os.utime(packages, ns=(before.st_atime_ns, before.st_mtime_ns))

    def uv(self, chance: random.Random, *arguments: object) -> None:
        run_uv(
            chance.choice(RELEASES),
            *(str(one) for one in arguments),
            cache=self.cache,
            home=self.home,
            index=self.index,
            link_mode="symlink",
        )

    # Those that read

    def scan(self, policy: Path) -> None:
        while not self.stopping.is_set():
            found = self.cacheadmin("scan", policy, "--format", "json")
            if found.code != DONE:
                self.failures.append(f"scan: {found}")
            self.scans += 1

    def prune(self, policy: Path) -> None:
        done = self.cacheadmin("prune", policy, "--format", "json")
        if done.code not in (DONE, BUSY):
            self.failures.append(f"prune: {done}")
        elif done.code == DONE:
            self.prunes += 1
            self.removed += sum(row["kind"] == "archive" for row in done.json["removals"])

    def look(self) -> None:
        """Follow every link of every environment, while its writer waits."""
        for writer, lock in enumerate(self.locks):
            with lock:
                for home in self.place(writer, 0).parent.iterdir():
                    for link, text in dangling_links(home).items():
                        if "/archive-v0/" in text:
                            self.failures.append(f"{link} -> {text} leads nowhere")

    def compare(self, policy: Path) -> None:
        """What is remembered in the end is what a look without memory sees."""
        rows = []
        for one in (policy, self.policy("anew")):
            found = self.cacheadmin("scan", one, "--deep", "--format", "json", code=DONE).json
            # What was there once is on record in the one alone.
            there = [row for row in found["venvs"] if row["status"] != "missing"]
            # Of an install that was looked at half-way the number of links is that of then.
            rows.append([(row["path"], row["archives"]) for row in there])
        assert rows[0] == rows[1]
