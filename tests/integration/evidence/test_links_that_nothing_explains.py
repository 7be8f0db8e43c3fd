"""Links into a cache that no distribution's metadata leads to: a fast scan finds them, too.

By hand, since it is the shape that matters: ``linked`` is an environment with
one wheel as uv installs it, and each test adds what uv would not.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import Environment, EnvironmentStatus
from tests.support.looking import looking_at
from tests.support.wheel_archives import empty_cache, write_archive


@dataclass
class Room:
    """A cache and one environment."""

    cache: Path
    environment: Path

    @property
    def site(self) -> Path:
        return self.environment / "lib" / "python3.11" / "site-packages"

    def wheel(self, name: str, *files: str) -> Path:
        """Add a wheel with these files to the cache; return its archive."""
        return write_archive(self.cache, name, dict.fromkeys(files, b""))

    def install(self, archive: Path, *, metadata: bool = True, mode: str = "symlink") -> None:
        """Install a wheel; without ``metadata`` as if its dist-info had been trimmed."""
        for file in archive.rglob("*"):
            here = self.site / file.relative_to(archive)
            if file.is_dir() or (".dist-info" in str(here) and not metadata):
                continue
            here.parent.mkdir(parents=True, exist_ok=True)
            if mode == "symlink" and file.name != "RECORD":
                here.symlink_to(file)
            elif mode == "hardlink":
                os.link(file, here)
            else:
                shutil.copyfile(file, here)

    def scan(self) -> Environment:
        with looking_at(self.cache) as look:
            return look.scan(self.environment)

    def assert_used(self, *archives: Path) -> None:
        seen = self.scan()
        assert seen.archives == {archive.name for archive in archives}
        assert (seen.status, seen.complete) == (EnvironmentStatus.OK, True)


@pytest.fixture
def room(open_folder: Path) -> Room:
    made = Room(empty_cache(open_folder / "cache"), open_folder / "env")
    made.site.mkdir(parents=True)
    (made.environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return made


@pytest.fixture
def linked(room: Room) -> Path:
    archive = room.wheel("linked", "linked/__init__.py", "linked/a.py", "linked/inner/b.py")
    room.install(archive)
    return archive


def test_a_trimmed_wheel_in_a_namespace_that_others_share(room: Room) -> None:
    auth = room.wheel("auth", "google/auth/a.py")
    core = room.wheel("core", "google/cloud/core/c.py")
    storage = room.wheel("storage", "google/cloud/storage/s.py")
    room.install(auth)
    room.install(core)
    room.install(storage, metadata=False)
    room.assert_used(auth, core, storage)


def test_a_trimmed_wheel_deep_in_a_namespace_of_one_other(room: Room) -> None:
    core = room.wheel("core", "google/cloud/core/c.py")
    storage = room.wheel("storage", "google/cloud/storage/s.py")
    room.install(core)
    room.install(storage, metadata=False)
    room.assert_used(core, storage)


def test_a_folder_linked_by_hand_into_an_installed_package(room: Room, linked: Path) -> None:
    plugin = room.wheel("plugin", "plugin/p.py")
    (room.site / "linked" / "plugin").symlink_to(plugin / "plugin")
    room.assert_used(linked, plugin)


def test_an_installed_package_whose_files_come_from_another_archive(
    room: Room, linked: Path
) -> None:
    other = room.wheel("other", "linked/__init__.py", "linked/a.py", "linked/inner/b.py")
    for file in ("__init__.py", "a.py", "inner/b.py"):
        here = room.site / "linked" / file
        here.unlink()
        here.symlink_to(other / "linked" / file)
    room.assert_used(linked, other)


def test_a_program_that_is_all_of_a_wheel(room: Room, linked: Path) -> None:
    tool = room.wheel("tool", "tool-1.0.data/scripts/tool")
    (room.environment / "bin").mkdir()
    program = room.environment / "bin" / "tool"
    program.symlink_to(tool / "tool-1.0.data" / "scripts" / "tool")
    room.assert_used(linked, tool)


def test_a_link_into_the_archive_of_a_hardlinked_wheel(room: Room) -> None:
    archive = room.wheel("demo", "demo/a.py", "demo/b.py")
    room.install(archive, mode="hardlink")
    assert room.scan().archives == frozenset()
    (room.site / "demo" / "a.py").unlink()
    (room.site / "demo" / "a.py").symlink_to(archive / "demo" / "a.py")
    room.assert_used(archive)


def test_a_link_deep_in_a_package_that_pip_copied(room: Room, linked: Path) -> None:
    copied = room.wheel("copied", "copied/__init__.py", "copied/x/y/z.py")
    room.install(copied, mode="copy")
    deep = room.site / "copied" / "x" / "y" / "z.py"
    deep.unlink()
    deep.symlink_to(copied / "copied" / "x" / "y" / "z.py")
    room.assert_used(linked, copied)


def test_packages_below_more_folders_than_a_fast_look_opens(room: Room) -> None:
    package = room.wheel("demo", "demo/a.py")
    for number in range(600):
        (room.site / "many" / f"empty{number}" / "inner").mkdir(parents=True)
    (room.site / "many" / "empty77" / "inner" / "a.py").symlink_to(package / "demo" / "a.py")
    room.assert_used(package)


def test_files_of_other_schemes_are_explained_by_their_wheel(room: Room) -> None:
    archive = room.wheel("demo", "demo/a.py", "demo-1.0.data/purelib/extra/e.py")
    room.install(archive)
    shutil.move(room.site / "demo-1.0.data" / "purelib" / "extra", room.site / "extra")
    shutil.rmtree(room.site / "demo-1.0.data")
    seen = room.scan()
    # One a distribution: nothing made the scan look at every file.
    assert (seen.archives, seen.links) == ({archive.name}, 1)


def test_an_environment_as_uv_makes_it_is_looked_at_once_a_distribution(
    room: Room, linked: Path
) -> None:
    room.install(room.wheel("second", "second/a.py", "shared/s.py"))
    room.install(room.wheel("third", "third.py", "shared/t.py"))
    (room.site / "_virtualenv.py").write_text("")
    (room.site / "_virtualenv.pth").write_text("import _virtualenv")
    assert room.scan().links == 3


def test_folders_that_lead_round_and_to_everything_end(room: Room, linked: Path) -> None:
    (room.site / "round").symlink_to(room.site)
    (room.site / "up").symlink_to("..")
    (room.site / "proc").symlink_to("/proc")
    (room.site / "self").symlink_to("self")
    assert room.scan().archives == {linked.name}


@pytest.mark.parametrize(
    "text",
    ["{0}\n", "# words\n{0}", "\ufeff{0}\n", "import sys; sys.path[:0] = ['{0}']\n"],
)
def test_a_path_file_leads_into_an_archive(room: Room, linked: Path, text: str) -> None:
    archive = room.wheel("demo", "demo/a.py")
    (room.site / "x.pth").write_text(text.format(archive))
    room.assert_used(linked, archive)


def test_a_finder_of_an_editable_install_names_an_archive(room: Room, linked: Path) -> None:
    archive = room.wheel("demo", "demo/a.py")
    finder = room.site / "__editable___demo_1_0_finder.py"
    finder.write_text(f"MAPPING: dict[str, str] = {{'demo': '{archive}/demo'}}\n")
    room.assert_used(linked, archive)


def test_a_path_file_that_can_not_be_read_whole_hides_what_it_names(
    room: Room, linked: Path
) -> None:
    (room.site / "x.pth").write_text("# nothing yet\n" * 100_000)
    seen = room.scan()
    assert not seen.complete
    assert "x.pth" in seen.reason


def test_the_weights_of_a_model_are_no_path_file(room: Room, linked: Path) -> None:
    with (room.site / "model.pth").open("wb") as file:
        file.write(b"PK\3\4\0\0")
        file.truncate(1 << 40)
    room.assert_used(linked)


def test_a_path_file_that_is_a_link_is_read_where_it_leads(room: Room, linked: Path) -> None:
    archive = room.wheel("demo", "demo/a.py")
    (room.environment / "real.txt").write_text(f"{archive}\n")
    (room.site / "x.pth").symlink_to(room.environment / "real.txt")
    (room.site / "device.pth").symlink_to("/dev/zero")
    (room.site / "gone.pth").symlink_to("/nonexistent")
    seen = room.scan()
    assert seen.archives == {linked.name, archive.name}
    assert "device.pth" in seen.reason
    assert "gone.pth" not in seen.reason
