"""A hundred accounts do all they can at once: they keep what they may use, and no more.

What can be read keeps what it leads to. What can't be read could use anything, and where
a name of ours is taken nothing can go on trial: that keeps what rests on absence, is
named with its account, and ends no run. Neither takes the memory of the machine, nor
uv's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.evidence.registry import entry_name
from tests.bench.big_cache import build_cache
from tests.support.auditing import link_environment, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.hanging import hanging_folder
from tests.support.users import SHARED_GROUP, User, other_users

pytestmark = [pytest.mark.root, pytest.mark.long]

ACCOUNTS = 100
MEMORY_KIB = 300 * 1024
# Two seconds by default; a machine that runs other tests at the same time is slow.
HELD_SECONDS = 20.0

# Of the wheels in the cache, those that nothing points to, and of those, the victim's.
WHEELS, UNREFERENCED, VICTIMS = 40, 20, 5

# One object of msgpack that takes long to parse, and is no pointer.
_NESTED = b"\x92\xa1x\xdc\x00\x64" + (b"\xdc\x04\x00" + b"\x90" * 1024) * 100


@dataclass
class Site:
    """A cache of a group, a victim with environments, and a registry that all can write to."""

    folder: Path
    cache: Path
    victim: User
    accounts: Sequence[User]

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    def home(self, user: User) -> Path:
        return self.folder / "homes" / str(user.uid)

    def archive(self, number: int) -> Path:
        return self.cache / "archive-v0" / f"bench{number:011d}"

    def register(self, name: str, target: str | Path, user: User) -> None:
        link = self.registry / name
        link.symlink_to(target)
        os.lchown(link, user.uid, user.gid)


@pytest.fixture
def site(open_folder: Path) -> Site:
    victim, *accounts = other_users(ACCOUNTS + 1)
    cache = build_cache(open_folder, WHEELS, 6)
    site = Site(open_folder, cache, victim, accounts)
    for number in range(UNREFERENCED):
        pointer = cache / "wheels-v7" / "pypi" / f"bench{number}"
        for file in pointer.iterdir():
            file.unlink()
        pointer.rmdir()
    for folder in (cache, *cache.glob("*-v*"), cache / "wheels-v7" / "pypi"):
        os.chown(folder, 0, SHARED_GROUP)
        folder.chmod(0o2775)
    for name in (".tmpold", "builds-v0/.tmpolder"):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (0, 0))
    site.registry.mkdir()
    site.registry.chmod(0o1777)
    for number in range(VICTIMS):
        environment = site.home(victim) / f"env{number}"
        environment.parent.mkdir(parents=True, exist_ok=True)
        link_environment(environment, site.archive(number), user=victim)
        site.register(entry_name(victim.uid, str(environment)), environment, victim)
    for user in accounts:
        site.home(user).mkdir(parents=True)
        own(site.home(user), user)
    return site


def policy_of(site: Site, cacheadmin: Cacheadmin, deadline: str) -> Path:
    return cacheadmin.policy(
        site.cache,
        f"venvs:\n  registry: {site.registry}\n  gaps: trial\n"
        f"scan: {{limits: {{deadline: {deadline}}}}}\nlock: {{held_at_most: {HELD_SECONDS:g}s}}\n",
    )


# What each account does that can be read


def flood_the_registry(site: Site, number: int, user: User) -> None:
    """Many ways to one large folder, to the root, and names that are the victim's."""
    large = site.home(user) / "large"
    large.mkdir()
    for inner in range(200):
        (large / str(inner)).touch()
    for inner in range(30):
        site.register(f"{user.uid}-large{inner}", large, user)
    site.register(f"{user.uid}-root", "/", user)
    taken = entry_name(site.victim.uid, str(site.home(site.victim) / f"new{number}"))
    site.register(taken, "/nonexistent", user)


def hard_link_pointers(site: Site, number: int, user: User) -> None:
    """One file that takes long to parse, under many names."""
    folder = site.cache / "wheels-v7" / "pypi" / f"evil{user.uid}"
    folder.mkdir()
    first = folder / "evil-0-py3-none-any.http"
    first.write_bytes(_NESTED)
    for inner in range(1, 50):
        os.link(first, folder / f"evil-{inner}-py3-none-any.http")
    records = site.cache / "interpreter-v5" / str(user.uid)
    records.mkdir()
    for inner in range(50):
        os.link(first, records / f"{inner}.msgpack")
    own(folder, user)
    own(records, user)


def use_one_archive(site: Site, number: int, user: User) -> None:
    """An environment like anybody's: it keeps the archive that it links to."""
    if number % 20 == 0:
        path = link_environment(
            site.home(user) / "env", site.archive(UNREFERENCED - 1 - number // 20), user=user
        )
        site.register(entry_name(user.uid, str(path)), path, user)


READABLE = (flood_the_registry, hard_link_pointers, use_one_archive)


@contextmanager
def processes_of(site: Site) -> Iterator[None]:
    """Of each account one that flips ways to the victim's home, holds locks, and lies of itself."""
    pids = []
    try:
        for user in site.accounts:
            pid = os.fork()
            if pid == 0:
                try:
                    _be_hostile(site, user)
                finally:
                    os._exit(1)
            pids.append(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _be_hostile(site: Site, user: User) -> None:
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)
    home = site.home(user)
    (home / "locks").mkdir()
    for inner in range(50):
        fd = os.open(home / "locks" / str(inner), os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_SH)
    (home / "decoy").mkdir()
    while True:
        for target in (site.home(site.victim), home / "decoy"):
            os.symlink(target, home / "way.new")
            os.rename(home / "way.new", home / "way")
        # All of them share two cores with the run.
        time.sleep(0.2)


# What can't be read, and what stands in the way of a trial


def chain_links(site: Site, number: int, user: User) -> None:
    """An environment whose packages lie behind a chain of links."""
    site_packages = site.home(user) / "chained" / "lib" / "python3.11" / "site-packages"
    site_packages.mkdir(parents=True)
    (site.home(user) / "chained" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    chain = site.home(user) / "chain"
    chain.mkdir()
    for inner in range(1100):
        (chain / str(inner)).symlink_to(str(inner + 1))
    (site_packages / "x").symlink_to(chain / "0")
    own(site.home(user) / "chained", user)
    site.register(f"{user.uid}-chained", site.home(user) / "chained", user)


def hang(site: Site, number: int, user: User) -> None:
    """A link to a filesystem that never answers."""
    site.register(f"{user.uid}-hangs", site.folder / "hangs" / str(user.uid), user)


def nest_too_deep(site: Site, number: int, user: User) -> None:
    """Folders among the pointers, deeper than any release makes them."""
    path = site.cache / "wheels-v7" / "pypi" / f"deep{user.uid}"
    (path / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h").mkdir(parents=True)
    own(path, user)


def take_a_name_of_ours(site: Site, number: int, user: User) -> None:
    """A folder that has the name of what cacheadmin makes: no roots hold off a user's prune."""
    bucket = site.cache / f"sdists-v{number % 10}"
    bucket.mkdir(exist_ok=True)
    try:
        (bucket / "cacheadmin").mkdir(mode=0o700)
    except FileExistsError:
        return
    own(bucket / "cacheadmin", user)


UNREADABLE = (chain_links, hang, nest_too_deep, take_a_name_of_ours)


@dataclass(frozen=True)
class Ran:
    """How a prune went."""

    code: int
    document: Any
    memory_kib: int
    cpu_seconds: float
    seconds: float

    @property
    def removals(self) -> set[str]:
        return {one["path"] for one in self.document["removals"]}

    @property
    def why_kept(self) -> set[str]:
        return {one["reason"] for one in self.document["kept"] if one["kind"] == "archive"}


def prune(policy: Path, cacheadmin: Cacheadmin, folder: Path, *options: str) -> Ran:
    """Prune in a process of its own, and measure it, with all its readers."""
    begun = time.monotonic()
    with (folder / "out").open("wb") as out, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            cacheadmin.command("prune", policy, "--format", "json", *options),
            env=cacheadmin.environment(),
            stdout=out,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = (folder / "out").read_text()
    assert text, (folder / "errors").read_text()
    cpu = usage.ru_utime + usage.ru_stime
    took = time.monotonic() - begun
    return Ran(process.returncode, json.loads(text), usage.ru_maxrss, cpu, took)


def without_them(policy: Path, cacheadmin: Cacheadmin, folder: Path) -> Ran:
    """Return what a prune would do, and take, if nobody were hostile; nothing is changed."""
    return prune(policy, cacheadmin, folder, "--dry-run")


def told(alone: Ran, ran: Ran) -> None:
    """Say what it took; a failing test shows it."""
    for name, one in (("alone", alone), ("among them", ran)):
        words = f"{one.seconds:.1f} s, {one.cpu_seconds:.2f} s of CPU, {one.memory_kib} KiB"
        print(f"{name}: {words}, lock {one.document.get('lock')}")


def do(acts: Sequence[Callable[[Site, int, User], None]], site: Site) -> None:
    for number, user in enumerate(site.accounts):
        for act in acts:
            act(site, number, user)


def is_whole(site: Site) -> bool:
    """Whether every link of the victim's environments leads to something."""
    return all(
        path.exists()
        for number in range(VICTIMS)
        for path in (site.home(site.victim) / f"env{number}" / "lib").rglob("*.py")
    )


def test_what_can_be_read_keeps_what_it_uses_and_no_more(
    site: Site, cacheadmin: Cacheadmin
) -> None:
    # A busy machine is slow to answer: here nothing hangs.
    policy = policy_of(site, cacheadmin, "60s")
    alone = without_them(policy, cacheadmin, site.folder)
    without = alone.removals
    archives = {f"archive-v0/{site.archive(number).name}" for number in range(UNREFERENCED)}
    theirs = {
        f"archive-v0/{site.archive(UNREFERENCED - 1 - n).name}" for n in range(ACCOUNTS // 20)
    }
    victims = {f"archive-v0/{site.archive(number).name}" for number in range(VICTIMS)}
    assert archives & without == archives - victims
    do(READABLE, site)
    with processes_of(site):
        ran = prune(policy, cacheadmin, site.folder)
    assert ran.removals & without == without - theirs, ran.why_kept
    # Beyond what went without them, only what is theirs goes.
    assert all("evil" in path for path in ran.removals - without)
    assert ran.document["lock"]["held_seconds"] <= HELD_SECONDS
    assert ran.memory_kib < MEMORY_KIB
    told(alone, ran)
    assert ran.code == 0
    assert is_whole(site)


def test_what_cannot_be_read_is_named_and_ends_no_run(site: Site, cacheadmin: Cacheadmin) -> None:
    policy = policy_of(site, cacheadmin, "1s")
    alone = without_them(policy, cacheadmin, site.folder)
    without = alone.removals
    with ExitStack() as stack:
        stack.enter_context(hanging_folder(site.folder))
        do((*READABLE, *UNREADABLE), site)
        stack.enter_context(processes_of(site))
        ran = prune(policy, cacheadmin, site.folder)
    resting = {path for path in without if path.startswith("archive-v0/")}
    # It could use any archive; what rests on proof goes all the same.
    assert without - resting <= ran.removals
    assert ran.removals & resting == set()
    assert ran.document["lock"]["held_seconds"] <= HELD_SECONDS
    assert ran.memory_kib < MEMORY_KIB
    told(alone, ran)
    assert is_whole(site)
    said = json.dumps(ran.document)
    unnamed = [user.uid for user in site.accounts if f"uid {user.uid}" not in said]
    assert unnamed == []
