"""What everybody shares in a soak: the cache, who works on it, and what they made.

site = Site.create(folder, index, seed=1)
with site.at_work(): ...            # a uv command that others may run beside
with site.alone(): ...              # a user's own prune: no other uv is at work
site.environments()                 # what users have now
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, links_of
from tests.support.users import SHARED_GROUP, User, other_users
from tests.support.uv_releases import NEWEST

#: Releases and how often each is taken: two take uv's lock, two take none.
RELEASES = {NEWEST: 10, "0.9.0": 8, "0.8.5": 3, "0.5.10": 2}
USERS = 6
LOCK_MODES = ("wait", "skip", "concurrent")

_ROOTS_FOLDER = "cacheadmin"


@dataclass
class Environment:
    """One environment of a user's, and what has to be importable in it."""

    path: Path
    owner: User
    modules: tuple[str, ...]
    python: Path
    """What imports them; with ``--target`` folders it is everybody's Python."""

    known: bool
    """Whether a source of the policy can find it."""

    changes: threading.RLock = field(default_factory=threading.RLock)
    """Held by whoever changes it, or looks at it."""

    is_gone: bool = False

    def archives(self) -> set[str]:
        """Return the ids of the archives that it links to."""
        found = {
            text.partition("/archive-v0/")[2].partition("/")[0]
            for text in links_of(self.path).values()
        }
        return found - {""}


@dataclass
class Site:
    """Everything that a soak's threads share."""

    folder: Path
    shared: SharedCache
    cacheadmin: Cacheadmin
    seed: int
    disk: Path
    """A filesystem of their own, that cache and homes are on."""

    failures: list[str] = field(default_factory=list)
    """What may not happen, in words."""

    counts: dict[str, int] = field(default_factory=dict)
    """How often each thing was done."""

    stopping: threading.Event = field(default_factory=threading.Event)
    begun: float = field(default_factory=time.monotonic)
    _environments: list[Environment] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _working: int = 0
    _alone: bool = False
    _full: bool = False
    _full_until: float = 0.0

    @classmethod
    def create(cls, folder: Path, disk: Path, index: Index, seed: int) -> Site:
        """Lay it out in empty folders that everybody can enter."""
        users = other_users(USERS)
        shared = SharedCache.create(disk, index, users)
        runner = Cacheadmin(folder / "cacheadmin")
        runner.folder.mkdir()
        site = cls(folder, shared, runner, seed, disk)
        for user in users:
            for place in (shared.home(user), site.attic(user)):
                place.mkdir(parents=True, exist_ok=True)
                os.chown(place, user.uid, user.gid)
        site.registry.mkdir()
        site.registry.chmod(0o1777)
        os.chown(shared.path, 0, SHARED_GROUP)
        return site

    @property
    def registry(self) -> Path:
        """Where users register environments."""
        return self.disk / "registry"

    def attic(self, user: User) -> Path:
        """Return a folder of a user's that no source of the policy looks at."""
        return self.disk / "attic" / user.name

    def chance(self, name: str) -> random.Random:
        """Return the chance of one thread."""
        return random.Random(f"{self.seed} {name}")

    # What users have

    def environments(self) -> list[Environment]:
        """Return what there is now."""
        with self._guard:
            return [one for one in self._environments if not one.is_gone]

    def add(self, environment: Environment) -> None:
        """Let the oracle look at it from now on."""
        with self._guard:
            self._environments = [one for one in self._environments if not one.is_gone]
            self._environments.append(environment)

    # What happened

    def fail(self, words: str) -> None:
        """Note what may not happen."""
        moment = time.monotonic() - self.begun
        with self._guard:
            self.failures.append(f"[{moment:6.1f} s] {words}")
        print(f"  FAILED {self.failures[-1]}", flush=True)

    def count(self, what: str, number: int = 1) -> None:
        """Note what was done."""
        with self._guard:
            self.counts[what] = self.counts.get(what, 0) + number

    # What goes wrong around it

    @property
    def knows_the_time(self) -> bool:
        """Whether a prune has noted what the true time is."""
        return self.counts.get("prunes", 0) > 0

    def full_from_now_on(self) -> None:
        """Note that the disk is about to be full."""
        with self._guard:
            self._full = True

    def full_no_more(self) -> None:
        """Note that there is room again."""
        with self._guard:
            self._full, self._full_until = False, time.monotonic()

    def was_full_since(self, moment: float) -> bool:
        """Whether the disk is full, or was at some time since a moment (monotonic)."""
        with self._guard:
            return self._full or self._full_until > moment

    # Turns

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Run a uv command; not beside a user's own prune, which breaks installs without us."""
        with self._turn:
            self._turn.wait_for(lambda: not self._alone)
            self._working += 1
        try:
            yield
        finally:
            with self._turn:
                self._working -= 1
                self._turn.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run a user's own prune: no other uv is at work."""
        with self._turn:
            self._turn.wait_for(lambda: not self._alone)
            self._alone = True
            self._turn.wait_for(lambda: not self._working)
        try:
            yield
        finally:
            with self._turn:
                self._alone = False
                self._turn.notify_all()

    # The policy

    def write_policy(
        self,
        *,
        busy: str = "wait",
        budget: str = "",
        trial: str = "{for: 60s, at_least: 15s}",
        builds: str = "5m",
        active: str = "45s",
    ) -> Path:
        """Write the policy, whole, in place of the last one; return its path."""
        budget = f"budget: {budget}, " if budget else ""
        text = (
            f"venvs: {{registry: {self.registry}, discover: [{{root: {self.shared.homes}}}]}}\n"
            f"uv: {{active_within: {active}}}\n"
            f"prune: {{{budget}environments: {{idle: 5s, keep_latest: false}}, "
            f"trial: {trial}, builds: {{after: {builds}}}}}\n"
            f"lock: {{busy: {busy}, timeout: 20s}}\n"
            "quarantine: {keep: 30s}\nprotect: {enabled: true}\nhosts: {only: this}\n"
        )
        path = self.cacheadmin.folder / "policies" / "soak.yaml"
        unfinished = self.cacheadmin.policy(self.shared.path, text, "unfinished", complete=False)
        content = unfinished.read_text().replace("unfinished", "soak")
        unfinished.write_text(content)
        unfinished.rename(path)
        return path

    # Protection, as the disk has it

    def rooted(self) -> set[str]:
        """Return the ids of archives that have a root in every bucket that has roots."""
        found: set[str] | None = None
        for folder in self.shared.path.glob(f"*/{_ROOTS_FOLDER}"):
            try:
                names = {link.rpartition("/")[2] for link in links_of(folder).values()}
            except FileNotFoundError:
                # A prune is deleting it, or the guard is at it.
                names = set()
            found = names if found is None else found & names
        return found or set()


def is_whole(path: Path) -> bool:
    """Whether an archive is there, at its place or where its tripwire leads."""
    return path.is_dir()


def size_of(folder: Path) -> int:
    """Return what the files below a folder occupy; no link is looked through."""
    seen: dict[tuple[int, int], int] = {}
    folders = [os.fspath(folder)]
    while folders:
        try:
            listing = list(os.scandir(folders.pop()))
        except FileNotFoundError:
            continue
        for one in listing:
            status = one.stat(follow_symlinks=False)
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
            if one.is_dir(follow_symlinks=False):
                folders.append(one.path)
    return sum(seen.values())
