"""Whoever leads a way elsewhere, and back, neither hides an environment nor takes its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.candidates import DistinctCandidates, folder_at
from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_and_stamp
from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.questions import inodes_for, locator_for
from cacheadmin.fs.held_folder import below, below_unfollowed, hold_folder
from cacheadmin.fs.precise_times import Devices
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import Look, looking_at
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import User, other_users, python_for_everyone
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

# Swaps a link between a victim's home and a decoy for as long as it is let.
_FLIP = """
import os, sys
way, victim, decoy = sys.argv[1:]
while True:
    for target in (victim, decoy):
        os.symlink(target, way + ".new")
        os.rename(way + ".new", way)
"""


@pytest.fixture
def shared(open_folder: Path, index: Index) -> SharedCache:
    ana, eve = other_users(2)
    shared = SharedCache.create(open_folder, index, [ana, eve])
    shared.environment("proj", NEWEST, "six==1.16.0", user=ana)
    decoy = shared.home(eve) / "decoy" / "proj"
    decoy.mkdir(parents=True)
    (decoy / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return shared


@contextmanager
def flipping(way: Path, victim: Path, decoy: Path, user: User) -> Iterator[None]:
    python = python_for_everyone() or sys.executable
    command = [python, "-c", _FLIP, way, victim, decoy]
    process = subprocess.Popen(command, **user.process_arguments())
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_candidate_stays_where_it_was_found_whatever_its_way_does_then(
    shared: SharedCache,
) -> None:
    ana, eve = shared.users
    way = shared.home(eve) / "d"
    way.symlink_to(shared.home(ana))
    with looking_at(shared.path) as look:
        locator = locator_for(look.policy, look.inventory)
        found = DistinctCandidates(lambda named: [folder_at(one.path, locator) for one in named])
        found.add(
            (
                Candidate(f"{way}/proj", EnvironmentKind.VENV, ("registry",), eve.uid),
                Candidate(f"{shared.home(ana)}/proj", EnvironmentKind.VENV, ("include",)),
            )
        )
    way.unlink()
    way.symlink_to(shared.home(eve) / "decoy")
    (only,) = found.candidates()
    assert only.path == f"{shared.home(ana)}/proj"
    assert only.sources == ("registry", "include")


def test_an_environment_survives_prunes_while_a_stranger_flips_a_way_to_it(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    ana, eve = shared.users
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    way = shared.home(eve) / "d"
    way.symlink_to(shared.home(ana))
    for number in range(20):
        (registry / f"aaa{number}").symlink_to(way / "proj")
        os.lchown(registry / f"aaa{number}", eve.uid, eve.gid)
    # Nothing in the cache leads to the archive any more: the environment alone keeps it.
    for pointer in shared.path.glob("wheels-v*/pypi/six"):
        subprocess.run(["rm", "-rf", pointer], check=True)
    text = (
        f"venvs:\n  registry: {registry}\n  include: [{shared.home(ana)}/proj]\n"
        "  from_cache: false\n  complete: true\n"
    )
    policy = cacheadmin.policy(shared.path, text)
    with flipping(way, shared.home(ana), shared.home(eve) / "decoy", eve):
        for _ in range(6):
            assert cacheadmin("prune", policy).code in (0, 6)
            assert dangling_links(shared.home(ana) / "proj") == {}


# Exchanges two folders for as long as it is let, each time in one step.
_EXCHANGE = """
import ctypes, sys
one, other = (name.encode() for name in sys.argv[1:])
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, one, -100, other, 2)
"""


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", _EXCHANGE, one, other])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_below_a_held_folder_everything_is_that_folders(tmp_path: Path) -> None:
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "lib" / "own").touch()
    path = f"{tmp_path}/env"
    with hold_folder(path) as status:
        (tmp_path / "env").rename(tmp_path / "aside")
        (tmp_path / "env" / "lib").mkdir(parents=True)
        (tmp_path / "env" / "lib" / "decoy").touch()
        assert os.listdir(below(f"{path}/lib")) == ["own"]
        assert os.stat(below(path)).st_ino == status.st_ino
        # What is not below it is what it was.
        assert below(f"{path}s") == f"{path}s"
        assert below_unfollowed(path) == path
    assert os.listdir(below(f"{path}/lib")) == ["decoy"]
    assert Path.cwd() != tmp_path / "aside"


def scan(path: Path, identity: tuple[int, int] | None, look: Look) -> Environment:
    """Return what a reader would see of an environment that was found there."""
    locator = locator_for(look.policy, look.inventory)
    candidate = Candidate(f"{path}", EnvironmentKind.VENV, ("registry",))
    inodes = inodes_for(look.inventory)
    return scan_and_stamp(
        candidate, locator, inodes, ScanOptions(deep=True), Devices(), identity=identity
    ).environment


def test_a_scan_of_what_is_exchanged_meanwhile_sees_all_of_it_or_says_that_it_is_another(
    shared: SharedCache,
) -> None:
    ana, eve = shared.users
    real, decoy = shared.home(ana) / "proj", shared.home(eve) / "decoy" / "proj"
    (decoy / "lib").mkdir()
    status = real.stat()
    identity = (status.st_dev, status.st_ino)
    answers = set()
    with looking_at(shared.path) as look:
        seen = scan(real, identity, look)
        assert seen.complete
        assert seen.archives
        with exchanging(real, decoy):
            for _ in range(300):
                found = scan(real, identity, look)
                # Never a part of the one and a part of the other, and never the decoy.
                assert (found.archives, found.links) == (seen.archives, seen.links) or (
                    found.status is EnvironmentStatus.UNREADABLE and not found.complete
                ), found
                answers.add(found.status)
    assert answers <= {EnvironmentStatus.OK, EnvironmentStatus.UNREADABLE}
    assert EnvironmentStatus.OK in answers
