"""The command itself, which has the rights, opens no file that a user controls: readers do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.big_cache import build_cache
from tests.support.auditing import link_environment, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import filesystem
from tests.support.users import User, other_users
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

# With -y, strace says which folder a descriptor is.
_OPTIONS = ("-f", "-qq", "-y", "-s", "4096", "-e", "trace=%file")

# Process, call, the folder that a descriptor is (or AT_FDCWD), the first path, what follows it.
_CALL = re.compile(r'(\d+) +(\w+)\((?:\w+(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"(.*)')

# What cacheadmin keeps in a cache, and what every uv shares.
_OURS = ("/.lock", "/.cacheadmin", "/archive-v0/cacheadmin.trial", "/sdists-v10/cacheadmin")

# Folders of a cache in which a command that only looks sees what others have put there. What
# changes a cache opens more of them, to move, plant, remove and note in; never through a link,
# and no file in them but one that it has just made.
_FOLDERS = re.compile(
    r"/?|/(archive|sdists|built-wheels|git|wheels|environments|builds)-v\d+(/cacheadmin[^/]*)?"
    r"|/archive-v0/cacheadmin\.trial(/.*)?"
)

LOOKING = (
    ("scan",),
    ("preflight",),
    ("preflight", "--for-uv", NEWEST),
    ("plan",),
    ("doctor",),
    ("verify",),
    ("audit",),
    ("usage",),
    ("usage", "--by", "duplicates"),
    ("dedupe", "--dry-run"),
    ("simulate", "--uv", NEWEST),
    ("evict", "bench1", "--dry-run"),
    ("status",),
    ("report",),
    ("explain", "bench1"),
    ("schemas",),
    ("venv list",),
    ("pin list",),
)
CHANGING = (("prune",), ("protect",), ("evict", "bench1"), ("dedupe",))

# One of each way to look; `make test-long` runs all.
QUICK = frozenset({"scan", "preflight", "plan", "doctor", "verify", "audit", "usage", "report"})
COMMANDS = [
    pytest.param(
        words,
        id=" ".join(words),
        marks=[] if words in CHANGING or " ".join(words) in QUICK else [pytest.mark.long],
    )
    for words in (*LOOKING, *CHANGING)
]


@dataclass(frozen=True)
class Site:
    """A cache, homes and a registry that are all the users', and a policy of them."""

    folder: Path
    policy: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"


def build_site(folder: Path, eve: User, cacheadmin: Cacheadmin) -> Site:
    homes = folder / "homes"
    cache = build_cache(folder, 3, 6)
    archive = cache / "archive-v0" / f"bench{1:011d}"
    # So that there is something to remove, and something to share.
    shutil.rmtree(cache / "wheels-v7" / "pypi" / "bench2")
    for path in archive.rglob("*.py"):
        path.write_text("x = 1\n" * 3000)
    shutil.copytree(archive, archive.with_name("twin000000000001"))
    (cache / "interpreter-v5" / "x").mkdir()
    (cache / "interpreter-v5" / "x" / "y.msgpack").write_bytes(b"what is no record")
    (cache / "simple-v27" / "pypi").mkdir()
    (cache / "simple-v27" / "pypi" / "bench1.rkyv").write_bytes(b"metadata")
    (homes / "eve").mkdir(parents=True)
    for name in ("a", "b"):
        link_environment(homes / "eve" / name, archive, user=eve)
    site = homes / "eve" / "a" / "lib" / "python3.11" / "site-packages"
    (site / "x.pth").write_text("/b\n")
    (site / "bench1" / "gone.py").symlink_to(cache / "archive-v0" / "bench9" / "gone.py")
    # A copied distribution: is it a clone?
    shutil.copytree(archive, homes / "eve" / "b" / "lib" / "python3.11" / "site-packages" / "c")
    project = homes / "eve" / "project"
    (project / ".venv").mkdir(parents=True)
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    own(homes / "eve", eve)
    own(cache, eve)
    registry = folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    for name, target in (("e", homes / "eve" / "a"), ("wrong", project)):
        (registry / name).symlink_to(target)
        os.lchown(registry / name, eve.uid, eve.gid)
    (registry / "lease.pin").write_text("what is no lease")
    policy = cacheadmin.policy(
        cache,
        f"venvs:\n  registry: {registry}\n  include: ['{homes}/*/b']\n"
        f"  discover: [{{root: {homes}}}]\nprune: {{unused: {{after: 90d}}}}\n",
    )
    return Site(folder, policy)


@pytest.fixture
def site(open_folder: Path, cacheadmin: Cacheadmin) -> Site:
    (eve,) = other_users(1)
    return build_site(open_folder, eve, cacheadmin)


@dataclass(frozen=True)
class Call:
    """One call of the operating system with a path."""

    itself: bool
    """Whether the command itself made it, not a reader of its."""
    name: str
    path: str
    rest: str

    @property
    def opens(self) -> bool:
        # A file of its own, without a name, asks whether there is room.
        return self.name in ("open", "openat", "openat2") and "O_TMPFILE" not in self.rest

    @property
    def makes_it(self) -> bool:
        return "O_CREAT" in self.rest and "O_EXCL" in self.rest

    @property
    def of_a_folder(self) -> bool:
        return "O_DIRECTORY" in self.rest and "O_NOFOLLOW" in self.rest


def calls(site: Site, words: tuple[str, ...], cacheadmin: Cacheadmin) -> list[Call]:
    """Run a command; return its calls."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if words in CHANGING:
        # It could keep everything: then nothing would be moved.
        (site.folder / "registry" / "lease.pin").unlink()
    log = site.folder / "calls"
    # The policy comes after the command, before what it is asked.
    command = [sys.executable, "-m", "cacheadmin", *words[0].split(), site.policy, *words[1:]]
    done = subprocess.run(
        [strace, *_OPTIONS, "-o", log, *command],
        env=cacheadmin.environment(),
        capture_output=True,
        check=False,
    )
    if b"ptrace" in done.stderr:
        pytest.skip("processes can't be traced here")
    # It did what it is to do, however that ended.
    assert done.returncode in (0, 4, 5, 7, 8), done.stderr.decode()
    lines = log.read_text(errors="replace").splitlines()
    found = [match.groups() for match in map(_CALL.match, lines) if match]
    first = found[0][0]
    return [
        Call(pid == first, call, os.path.join(base or "", path).removesuffix("/."), rest)
        for pid, call, base, path, rest in found
    ]


def wrongly_opened(site: Site, words: tuple[str, ...], made: list[Call]) -> list[str]:
    """Return what the command itself opened in the cache, the registry and homes."""
    cache, registry = f"{site.cache}", f"{site.folder}/registry"
    wrong = []
    for one in made:
        if not (one.itself and one.opens):
            continue
        inside = one.path.removeprefix(cache)
        if one.path.startswith((f"{cache}/", f"{registry}/", f"{site.folder}/homes")):
            ours = inside.startswith(_OURS)
            expected = words in CHANGING or _FOLDERS.fullmatch(inside)
            if not (ours or (one.of_a_folder and expected) or one.makes_it):
                wrong.append(f"{one.name} {one.path}{one.rest}")
    return wrong


def looked_at_in_homes(site: Site, made: list[Call]) -> list[str]:
    homes = f"{site.folder}/homes"
    return [f"{one.name} {one.path}" for one in made if one.itself and one.path.startswith(homes)]


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_itself_opens_nothing_of_users(
    words: tuple[str, ...], site: Site, cacheadmin: Cacheadmin
) -> None:
    made = calls(site, words, cacheadmin)
    # The test sees what it is about: readers did look there.
    assert any(not one.itself and one.path.startswith(f"{site.folder}/") for one in made)
    assert looked_at_in_homes(site, made) == []
    assert wrongly_opened(site, words, made) == []


@pytest.mark.parametrize("words", [("usage",), ("dedupe",), ("prune",)], ids=" ".join)
def test_nor_where_files_share_blocks_and_each_is_asked_for_them(
    words: tuple[str, ...], open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    (eve,) = other_users(1)
    with filesystem("xfs", open_folder) as disk:
        disk.chmod(0o755)
        site = build_site(disk, eve, cacheadmin)
        made = calls(site, words, cacheadmin)
        # Readers did ask files of the cache for their blocks.
        assert any(
            not one.itself and one.opens and one.path.endswith(".py")
            for one in made
            if one.path.startswith(f"{site.cache}/")
        )
        assert looked_at_in_homes(site, made) == []
        assert wrongly_opened(site, words, made) == []
