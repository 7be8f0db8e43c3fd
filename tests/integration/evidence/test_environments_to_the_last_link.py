"""Environments that do not look like what uv made, and still lead into the cache.

Each is one that people really make: a larger disk, a slimmed image, an edited
file, a whole Python, a link by hand. The policy names it; nothing else in the
cache knows of its archives any more; a prune must leave it whole, and must not
do so by keeping everything.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.users import open_temporary_folder
from tests.support.uv_releases import NEWEST

RELEASES = ["0.8.5", NEWEST]
UNUSED = "unused-by-anybody"
PACKAGES = ("six==1.16.0", "pytz==2024.1")
USE = "import six, pytz; pytz.timezone('Europe/Berlin')"


@dataclass
class Room:
    """A cache, one environment with both packages, and how to start its Python."""

    shared: SharedCache
    release: str
    environment: Path
    python: list[str]
    variables: dict[str, str]

    @property
    def site(self) -> Path:
        found = [*self.environment.glob("lib*/python3*/site-packages"), self.environment]
        return found[0]

    def archive(self, package: str) -> Path:
        with looking_at(self.shared.path) as look:
            (one,) = [a for a in look.inventory.archives.values() if a.package == package]
        return self.shared.path / one.path

    def works(self) -> bool:
        """Whether its packages can be imported and read."""
        command = [*self.python, "-c", USE]
        return subprocess.run(command, env=self.variables, check=False).returncode == 0


Made = Callable[[SharedCache, str], Room]


def venv(shared: SharedCache, release: str) -> Room:
    environment = shared.environment("env", release, *PACKAGES)
    return Room(shared, release, environment, [f"{environment}/bin/python"], {})


def target(shared: SharedCache, release: str) -> Room:
    folder = shared.home() / "target"
    shared.uv(release, "pip", "install", "-q", "--target", folder, *PACKAGES)
    return Room(shared, release, folder, [sys.executable], {"PYTHONPATH": str(folder)})


def prefix(shared: SharedCache, release: str) -> Room:
    folder = shared.home() / "prefix"
    shared.uv(release, "pip", "install", "-q", "--prefix", folder, *PACKAGES)
    room = Room(shared, release, folder, [sys.executable], {})
    room.variables["PYTHONPATH"] = str(room.site)
    return room


@pytest.fixture(scope="module")
def bare_python() -> Iterator[Path]:
    """A whole Python, copied, with nothing installed."""
    if sys.base_prefix == "/usr":
        pytest.skip("the system's own Python can't be copied")
    folder = open_temporary_folder("cacheadmin-python-")
    copy = folder / "python"
    ignored = shutil.ignore_patterns("site-packages", "test", "config-*", "*.a")
    shutil.copytree(sys.base_prefix, copy, symlinks=True, ignore=ignored)
    next(copy.glob("lib/python3.*/os.py")).with_name("site-packages").mkdir()
    yield copy
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def whole_python(bare_python: Path) -> Made:
    def made(shared: SharedCache, release: str) -> Room:
        copy = shared.home() / "python"
        shutil.copytree(bare_python, copy, symlinks=True, copy_function=os.link)
        python = f"{copy}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
        shared.uv(release, "pip", "install", "-q", "--python", python, "--system", *PACKAGES)
        return Room(shared, release, copy, [python], {})

    return made


def nothing(room: Room) -> None:
    pass


def edit_metadata(room: Room) -> None:
    """What `sed -i` leaves: a file of its own in the place of a link."""
    for metadata in room.site.glob("*.dist-info/METADATA"):
        replace_by_copy(metadata)


def copy_dist_info(room: Room) -> None:
    for file in room.site.glob("*.dist-info/**/*"):
        if file.is_symlink():
            replace_by_copy(file)


def replace_by_copy(link: Path) -> None:
    content = link.read_bytes()
    link.unlink()
    link.write_bytes(content)


def trim_dist_info(room: Room) -> None:
    for folder in room.site.glob("*.dist-info"):
        shutil.rmtree(folder)


def move_site_packages(room: Room) -> None:
    edit_metadata(room)
    move_away(room, room.site)


def move_lib(room: Room) -> None:
    edit_metadata(room)
    move_away(room, room.environment / "lib")


def move_packages(room: Room) -> None:
    """Each package folder to the other disk; then the metadata goes."""
    trim_dist_info(room)
    for name in ("pytz", "six.py"):
        move_away(room, room.site / name)


def move_away(room: Room, folder: Path) -> None:
    disk = room.shared.homes / "disk"
    disk.mkdir(exist_ok=True)
    shutil.move(folder, disk / folder.name)
    folder.symlink_to(disk / folder.name)


def link_packages(room: Room) -> None:
    """What people do by hand: the package's folder in the archive, linked whole."""
    archives = {name: room.archive(name) for name in ("pytz", "six")}
    empty(room)
    (room.site / "pytz").symlink_to(archives["pytz"] / "pytz")
    (room.site / "six.py").symlink_to(archives["six"] / "six.py")


def name_in_path_file(room: Room) -> None:
    lines = [f"{room.archive(name)}\n" for name in ("pytz", "six")]
    empty(room)
    (room.site / "by-hand.pth").write_text("".join(lines))


def name_in_code_of_path_file(room: Room) -> None:
    paths = [str(room.archive(name)) for name in ("pytz", "six")]
    empty(room)
    lines = "".join(f"import sys; sys.path.append({path!r})\n" for path in paths)
    (room.site / "by-hand.pth").write_text(lines)


def name_a_folder_in_path_file(room: Room) -> None:
    """The packages lie in a folder elsewhere that nobody has registered."""
    elsewhere = room.shared.homes / "libraries"
    room.shared.uv(room.release, "pip", "install", "-q", "--target", elsewhere, *PACKAGES)
    for folder in elsewhere.glob("*.dist-info"):
        shutil.rmtree(folder)
    empty(room)
    (room.site / "by-hand.pth").write_text(f"{elsewhere}\n")


def empty(room: Room) -> None:
    for path in room.site.iterdir():
        if path.name.startswith(("pytz", "six")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def policy_naming(cacheadmin: Cacheadmin, shared: SharedCache, pattern: Path) -> Path:
    """Write a policy that names environments by a pattern, and has nothing else searched."""
    nothing = cacheadmin.folder / "nothing"
    nothing.mkdir()
    return cacheadmin.policy(
        shared.path,
        f"venvs:\n  from_cache: false\n  include: ['{pattern}']\n  discover: [root: {nothing}]\n",
    )


def prune_without_pointers(room: Room, cacheadmin: Cacheadmin, *, code: int = 0) -> dict:  # type: ignore[type-arg]
    """Prune when nothing but the environment tells that its archives are used."""
    shared = room.shared
    add_unused_archive(shared)
    for pattern in ("wheels-v*", "interpreter-v*", "built-wheels-v*"):
        for bucket in shared.path.glob(pattern):
            shutil.rmtree(bucket)
    for folder in (shared.path, shared.homes):
        age(folder, 40)
    policy = policy_naming(cacheadmin, shared, room.environment)
    return cacheadmin("prune", policy, "--format", "json", code=code).json  # type: ignore[no-any-return]


def add_unused_archive(shared: SharedCache) -> None:
    archives = shared.path / "archive-v0"
    (archives / UNUSED / "cowsay-6.0.dist-info").mkdir(parents=True)
    metadata = archives / UNUSED / "cowsay-6.0.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: cowsay\nVersion: 6.0\n")
    (archives / UNUSED / "cowsay.py").write_text("")


def assert_only_unused_went(document: dict) -> None:  # type: ignore[type-arg]
    archives = {row["path"] for row in document["removals"] if row["kind"] == "archive"}
    assert archives == {f"archive-v0/{UNUSED}"}


def assert_survives(room: Room, cacheadmin: Cacheadmin) -> None:
    assert room.works()
    document = prune_without_pointers(room, cacheadmin)
    assert_only_unused_went(document)
    assert dangling_links(room.shared.homes) == {}
    assert room.works()


@pytest.mark.parametrize(
    ("change", "release"),
    [
        *itertools.product([edit_metadata, trim_dist_info, move_site_packages], RELEASES),
        (copy_dist_info, "0.8.5"),
        (move_lib, NEWEST),
        (move_packages, "0.8.5"),
        (link_packages, NEWEST),
        (name_in_path_file, "0.8.5"),
        (name_in_code_of_path_file, NEWEST),
        (name_a_folder_in_path_file, "0.8.5"),
    ],
)
def test_a_changed_venv_survives_a_prune(
    shared: SharedCache, cacheadmin: Cacheadmin, release: str, change: Callable[[Room], None]
) -> None:
    room = venv(shared, release)
    change(room)
    assert_survives(room, cacheadmin)


@pytest.mark.parametrize(
    ("made", "change", "release"),
    [
        *itertools.product([target, prefix], [trim_dist_info], RELEASES),
        (target, edit_metadata, NEWEST),
        (prefix, nothing, "0.8.5"),
    ],
)
def test_a_target_and_a_prefix_survive_a_prune(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    release: str,
    made: Made,
    change: Callable[[Room], None],
) -> None:
    room = made(shared, release)
    change(room)
    assert_survives(room, cacheadmin)


@pytest.mark.parametrize(
    ("change", "release"), [(edit_metadata, "0.8.5"), (trim_dist_info, NEWEST)]
)
def test_a_whole_python_survives_a_prune(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    whole_python: Made,
    release: str,
    change: Callable[[Room], None],
) -> None:
    room = whole_python(shared, release)
    change(room)
    assert_survives(room, cacheadmin)


def test_an_environment_that_only_a_process_knows_survives_a_prune(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    room = venv(shared, "0.8.5")
    edit_metadata(room)
    moved = shared.homes / "live"
    room.environment.rename(moved)
    room.environment, room.python = moved, [f"{moved}/bin/python"]
    script = "import sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [*room.python, "-c", script],
        env={"VIRTUAL_ENV": str(moved)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        room.environment = shared.homes / "nowhere"
        document = prune_without_pointers(room, cacheadmin)
        room.environment = moved
        process.stdin.close()
    assert_only_unused_went(document)
    assert dangling_links(moved) == {}
    assert room.works()


def test_what_no_fast_look_finds_is_found_after_the_moves(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    room = venv(shared, NEWEST)
    zones = room.archive("pytz") / "pytz" / "zoneinfo" / "Europe"
    # Copied whole, but for one folder deep in it, all behind a linked lib.
    for link in [*dangling_or_not(room.site)]:
        replace_by_copy(link)
    berlin = room.site / "pytz" / "zoneinfo" / "Europe" / "Berlin"
    berlin.unlink()
    berlin.symlink_to(zones / "Berlin")
    move_away(room, room.environment / "lib")
    assert room.works()
    document = prune_without_pointers(room, cacheadmin)
    assert document["outcome"] == "committed"
    (kept,) = [one for one in document["dropped"] if "Europe/Berlin" in one["reason"]]
    assert kept["path"] == f"archive-v0/{room.archive('pytz').name}"
    assert room.works()


def dangling_or_not(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink():
            yield path


def test_deep_finds_one_link_behind_linked_folders(shared: SharedCache) -> None:
    room = venv(shared, NEWEST)
    archive = room.archive("pytz")
    empty(room)
    far = shared.homes / "a" / "b"
    far.mkdir(parents=True)
    (far / "link").symlink_to(archive / "pytz" / "__init__.py")
    (far / "round").symlink_to(shared.homes / "a")
    (room.environment / "share").symlink_to(shared.homes / "a")
    with looking_at(shared.path) as look:
        seen = look.scan(room.environment, deep=True)
        assert look.packages(seen) == {"pytz"}
    assert seen.complete
    assert seen.links == 1


def test_a_folder_that_two_environments_share_is_counted_once(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    room = venv(shared, NEWEST)
    move_away(room, room.site)
    second = shared.environment("second", NEWEST)
    site = next(second.glob("lib/python3*/site-packages"))
    shutil.rmtree(site)
    site.symlink_to(shared.homes / "disk" / site.name)
    add_unused_archive(shared)
    for bucket in shared.path.glob("wheels-v*"):
        shutil.rmtree(bucket)
    age(shared.path, 40)
    policy = policy_naming(cacheadmin, shared, shared.home() / "*")
    document = cacheadmin("prune", policy, "--format", "json", code=0).json
    links = sum(1 for _ in dangling_or_not(shared.homes))
    # Environments of running programs, such as these tests, are looked at as well.
    assert document["verified"]["venvs"] >= 2
    assert links <= document["verified"]["links"] < 2 * links


@pytest.mark.parametrize("kind", ["prefix", "python", "target"])
def test_scan_says_what_sort_of_environment_it_is(
    shared: SharedCache, cacheadmin: Cacheadmin, whole_python: Made, kind: str
) -> None:
    room = {"prefix": prefix, "python": whole_python, "target": target}[kind](shared, NEWEST)
    trim_dist_info(room)
    policy = policy_naming(cacheadmin, shared, room.environment)
    (row,) = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert (row["path"], row["kind"]) == (str(room.environment), kind)
    assert len(row["archives"]) == len(PACKAGES)
