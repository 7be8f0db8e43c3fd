"""Whoever leads a way elsewhere, and back, neither hides an environment nor takes its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.candidates import Found, folder_at
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.questions import locator_for
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
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
        found = Found(lambda named: [folder_at(one.path, locator) for one in named])
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
