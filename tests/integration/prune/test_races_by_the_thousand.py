"""Ten thousand rounds of what root does, against a member who swaps names all the while.

Whatever is swapped when: nothing outside is changed, no private folder is given
away, and an environment in use is seen. The shorter tests of the same races are
with what they are about; these are for the windows that hardly ever open.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cacheadmin.evidence.collection import scan_candidates
from cacheadmin.evidence.environments import Candidate, ScanOptions
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.look import Look, Moment
from cacheadmin.fs.new_folders import make_folder
from cacheadmin.fs.removal import remove_tree
from cacheadmin.fs.rights import Rights
from cacheadmin.inventory.reader import open_cache, read_inventory
from cacheadmin.policy.model import Policy
from cacheadmin.protect.planted_roots import plant, withdraw
from cacheadmin.protect.roots import WantedRoots
from cacheadmin.prune.moves import make_folders, move_out
from cacheadmin.prune.open_folders import Parents
from cacheadmin.prune.restoration import put_back
from cacheadmin.readers import Readers
from tests.support.auditing import ARCHIVE, link_environment, make_cache, own
from tests.support.shared_cache import tree_snapshot
from tests.support.users import SHARED_GROUP, User, other_users

pytestmark = [pytest.mark.root, pytest.mark.long]

ROUNDS = 10_000

# What the member moves about, in the cache.
PLACES = (
    "archive-v0/A",
    "archive-v0/A/sub",
    "archive-v0",
    "sdists-v9",
    "sdists-v9/cacheadmin",
)
WANTED = WantedRoots(("sdists-v9", "sdists-v8"), frozenset({"A" * 16}))  # type: ignore[arg-type]


class Ground:
    """A cache that a group shares, a canary outside it, and a private folder in it."""

    def __init__(self, folder: Path, ana: User, eve: User) -> None:
        self.ana, self.eve = ana, eve
        self.cache, self.quarantine = folder / "cache", folder / "quarantine"
        self.canary, self.home = folder / "canary", folder / "home"
        for bucket in ("archive-v0", "sdists-v9"):
            (self.cache / bucket).mkdir(parents=True)
        for shared in (self.cache, self.cache / "archive-v0", self.cache / "sdists-v9"):
            os.chown(shared, 0, SHARED_GROUP)
            shared.chmod(0o2775)
        self.quarantine.mkdir(mode=0o700)
        (self.canary / "archive-v0" / "A" / "sub").mkdir(parents=True)
        (self.canary / "cacheadmin").mkdir()
        for name in ("archive-v0/A/sub/f", "archive-v0/A/f", "f"):
            (self.canary / name).write_text("canary")
        self.canary.chmod(0o700)
        self.home.mkdir()
        own(self.home, eve)
        private = self.cache / "private"
        private.mkdir(mode=0o700)
        (private / "secret").write_text("secret")
        own(private, ana)
        self._before = tree_snapshot(self.canary)
        # By descriptor: where it is moved does not matter, only what becomes of it.
        self._private = os.open(private, os.O_RDONLY)
        self._status = os.fstat(self._private)
        self.cache_fd = os.open(self.cache, os.O_RDONLY)
        self.quarantine_fd = os.open(self.quarantine, os.O_RDONLY)

    def close(self) -> None:
        for fd in (self._private, self.cache_fd, self.quarantine_fd):
            os.close(fd)

    def check_private(self) -> None:
        """Raise AssertionError where the private folder was given away."""
        now = os.fstat(self._private)
        before = self._status
        assert (now.st_mode, now.st_uid, now.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )

    def check(self) -> None:
        """Raise AssertionError where anything that is not the cache's was changed."""
        self.check_private()
        assert tree_snapshot(self.canary) == self._before


@pytest.fixture
def ground(open_folder: Path) -> Iterator[Ground]:
    ana, eve = other_users(2)
    ground = Ground(open_folder, ana, eve)
    yield ground
    ground.close()


@contextmanager
def at_work(user: User, work: Callable[[], None]) -> Iterator[None]:
    """Let a user do something again and again, until the end."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(user.groups))
            os.setgid(user.gid)
            os.setuid(user.uid)
            os.umask(0)
            while True:
                work()
        finally:
            os._exit(1)
    try:
        yield
        # A member who had died would race nobody.
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


class Swapper:
    """Renames, links and exchanges, by path and by folders that were opened before they moved."""

    def __init__(self, ground: Ground) -> None:
        self.cache, self.canary = str(ground.cache), str(ground.canary)
        self.home = str(ground.home)
        self.open: list[int] = []
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self._make()
        for place in PLACES:
            with suppress(OSError):
                self.open.append(os.open(f"{self.cache}/{place}", os.O_RDONLY | os.O_DIRECTORY))
        while len(self.open) > 200:
            os.close(self.open.pop(0))
        self._swap_by_path(random.choice(PLACES), f"{self.home}/x{self.count % 50}")
        for fd in random.sample(self.open, min(12, len(self.open))):
            self._swap_in(fd)
        for bucket in ("archive-v0", "sdists-v9"):
            with suppress(OSError):
                os.mkdir(f"{self.cache}/{bucket}", 0o2775)

    def _make(self) -> None:
        for archive in ("A", "B"):
            for inner in ("", "/sub", "/sub/deep"):
                with suppress(OSError):
                    os.mkdir(f"{self.cache}/archive-v0/{archive}{inner}", 0o777)
            with suppress(OSError):
                open(f"{self.cache}/archive-v0/{archive}/sub/f", "w").close()

    def _swap_by_path(self, place: str, aside: str) -> None:
        path, private = f"{self.cache}/{place}", f"{self.cache}/private"
        chance = random.random()
        with suppress(OSError):
            os.rename(path, aside)
        with suppress(OSError):
            os.symlink(f"{self.canary}/{place}" if chance < 0.5 else self.canary, path)
        if chance < 0.3:
            with suppress(OSError):
                os.rename(private, path)
            with suppress(OSError):
                os.rename(path, private)
        with suppress(OSError):
            os.unlink(path)
        with suppress(OSError):
            os.rename(aside, path)
        shutil.rmtree(aside, ignore_errors=True)

    def _swap_in(self, fd: int) -> None:
        """As above, in a folder that may lie in quarantine by now."""
        with suppress(OSError):
            os.rename("sub", "other", src_dir_fd=fd, dst_dir_fd=fd)
        with suppress(OSError):
            os.symlink(f"{self.canary}/archive-v0/A/sub", "sub", dir_fd=fd)
        with suppress(OSError):
            os.unlink("sub", dir_fd=fd)
        with suppress(OSError):
            os.rename("other", "sub", src_dir_fd=fd, dst_dir_fd=fd)
        with suppress(OSError):
            os.mkdir("sub", 0o777, dir_fd=fd)
        with suppress(OSError):
            os.symlink(self.canary, "deep", dir_fd=fd)


def _move(ground: Ground, run: str) -> int:
    """Move two archives into a run's folder, as a prune does; return how many went."""
    os.mkdir(run, 0o700, dir_fd=ground.quarantine_fd)
    entries = os.open(run, os.O_RDONLY, dir_fd=ground.quarantine_fd)
    paths = ["archive-v0/A", "archive-v0/B"]
    try:
        make_folders(entries, paths)
        with Parents(ground.cache_fd) as source, Parents(entries) as target:
            return len(move_out(paths, source, target, {}).moved)
    except OSError:
        return 0
    finally:
        os.close(entries)


def _purge(ground: Ground, run: str) -> int:
    device = os.fstat(ground.quarantine_fd).st_dev
    return remove_tree(ground.quarantine_fd, run, device=device).files


def restore_and_purge(ground: Ground, number: int) -> int:
    """A prune's moves; every other one is put back, and what is left is deleted."""
    run = f"run{number}"
    done = _move(ground, run)
    if number % 2:
        entries = os.open(run, os.O_RDONLY, dir_fd=ground.quarantine_fd)
        try:
            paths = ["archive-v0/A", "archive-v0/B"]
            done += len(put_back(ground.cache_fd, entries, paths, {}, {}).moved)
        except OSError:
            pass
        finally:
            os.close(entries)
    return done + _purge(ground, run)


def protect(ground: Ground, number: int) -> int:
    """Plant roots, and every third time take them away."""
    done = 0
    with suppress(OSError):
        done = sum(one.planted for one in plant(ground.cache_fd, WANTED, removable=()))
    if number % 3 == 0:
        with suppress(OSError):
            withdraw(ground.cache_fd)
    return done


def make_a_folder(ground: Ground, number: int) -> int:
    """Make a folder in the cache, and a parent that is missing."""
    done = 0
    with suppress(OSError):
        os.close(make_folder(ground.cache_fd, "wheels-v7", Rights(0, SHARED_GROUP, 0o2775)))
        done = 1
    with suppress(OSError), Parents(ground.cache_fd, make_missing=True) as parents:
        parents.of(f"wheels-v{number % 3 + 4}/x")
    for name in ("wheels-v4", "wheels-v5", "wheels-v6", "wheels-v7"):
        with suppress(OSError):
            os.rmdir(name, dir_fd=ground.cache_fd)
    return done


@pytest.mark.parametrize("work", [restore_and_purge, protect, make_a_folder])
def test_nothing_of_others_is_changed(ground: Ground, work: Callable[[Ground, int], int]) -> None:
    done = 0
    with at_work(ground.eve, Swapper(ground)):
        for number in range(ROUNDS):
            done += work(ground, number)
            ground.check_private()
            if number % 500 == 0:
                ground.check()
    ground.check()
    # The race was for something: root's work got through now and then.
    assert done > 0


def test_an_environment_is_seen_in_every_round_whatever_a_way_to_it_does(
    open_folder: Path,
) -> None:
    ana, eve = other_users(2)
    cache = open_folder / "cache"
    make_cache(cache)
    for name, user in (("ana", ana), ("eve", eve)):
        (open_folder / name).mkdir()
        own(open_folder / name, user)
    victim = link_environment(
        open_folder / "ana" / "proj", cache / "archive-v0" / ARCHIVE, user=ana
    )
    decoy = open_folder / "eve" / "decoy" / "proj"
    decoy.mkdir(parents=True)
    (decoy / "pyvenv.cfg").write_text("home = /usr/bin\n")
    way = f"{open_folder}/eve/way"
    os.symlink(victim.parent, way)
    own(open_folder / "eve", eve)

    def flip() -> None:
        for target in (victim.parent, decoy.parent):
            with suppress(OSError):
                os.symlink(target, f"{way}.new")
            with suppress(OSError):
                os.rename(f"{way}.new", way)

    candidates = (
        Candidate(f"{way}/proj", EnvironmentKind.VENV, ("registry",), eve.uid),
        Candidate(str(victim), EnvironmentKind.VENV, ("include",)),
    )
    policy = Policy(version=1, name="test", cache=str(cache))
    with (
        open_cache(str(cache)) as opened,
        Readers(keep=(opened.fd,)) as readers,
        at_work(eve, flip),
    ):
        look = Look(policy, opened, read_inventory(opened, readers), readers=readers)
        readers.learn(look.questions.all())
        led: set[str] = set()
        for _ in range(ROUNDS):
            look = look.later(Moment.BEFORE_LOCK)
            seen = {one.path: one for _, one in scan_candidates(candidates, look, ScanOptions())}
            assert ARCHIVE in seen[str(victim)].archives
            led |= {path for path in seen if path != str(victim)}
    # Both ways were taken: now and then the decoy was there.
    assert led
