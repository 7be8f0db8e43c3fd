"""The check after the moves finds every link that they broke, and each to what is on trial."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.prune.verification import Verified, verify
from cacheadmin.readers import Readers

GONE = "archive-v0/Gone"


@dataclass
class Ground:
    """A cache with archives in it, and a project beside it."""

    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def archive(self, name: str) -> Path:
        """Return an archive, made where it is missing, with one file."""
        path = self.cache / "archive-v0" / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "six.py").touch()
        return path

    def move_out(self, name: str) -> None:
        """Move an entry to quarantine."""
        (self.folder / "quarantine").mkdir(exist_ok=True)
        (self.cache / name).rename(self.folder / "quarantine" / Path(name).name)

    def links(self, target: str | Path, name: str = "six.py") -> None:
        """Make a link of the project."""
        self.project.mkdir(exist_ok=True)
        (self.project / name).symlink_to(target)

    def check(
        self,
        *paths: Path,
        removed: Iterable[str] = (GONE,),
        kind: EnvironmentKind = EnvironmentKind.TARGET,
        identity: tuple[int, int] | None = None,
    ) -> Verified:
        status = self.cache.stat()
        environments = [
            Environment(str(path), kind, EnvironmentStatus.OK, identity=identity)
            for path in paths or (self.project,)
        ]
        with Readers() as readers:
            return verify(
                environments,
                CacheIdentity(str(self.cache), status.st_dev, status.st_ino),
                removed,
                lambda inside: os.path.exists(self.folder / "quarantine" / Path(inside).parts[1]),
                readers,
            )


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    found = Ground(tmp_path)
    found.archive("Gone")
    found.archive("Stays")
    return found


def broken(found: Verified) -> set[str]:
    """Return what links broke by: each is put back, as what is used."""
    assert set(found.broken_entries) == set(found.used)
    return set(found.broken_entries)


def test_a_link_that_breaks_behind_an_archive_that_stayed_is_found(ground: Ground) -> None:
    """The archive is a whole environment, that of a tool."""
    whole = ground.archive("Whole")
    packages = whole / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "six.py").symlink_to(ground.cache / GONE / "six.py")
    ground.links(packages / "six.py")
    ground.move_out(GONE)
    found = ground.check(ground.project, whole, kind=EnvironmentKind.CACHED)
    assert broken(found) == {GONE}
    assert {one.environment for one in found.broken} == {str(ground.project), str(whole)}


def test_a_link_to_what_stayed_is_whole_and_one_that_was_dead_before_is_not_our_doing(
    ground: Ground,
) -> None:
    ground.links(ground.archive("Stays") / "six.py")
    ground.links(ground.cache / GONE / "never-there.py", "old.py")
    (ground.cache / GONE).rename(ground.folder / "deleted by another process")
    found = ground.check()
    assert found.broken == ()
    assert found.used == {}
    assert found.links == 2


@pytest.mark.parametrize(
    "text",
    [
        "{cache}/archive-v0/Gone/six.py",
        "../cache/archive-v0/Gone/six.py",
        # It passes an archive that stayed, and leaves it again.
        "{cache}/archive-v0/Stays/../Gone/six.py",
        # Another folder has such a name.
        "{folder}/alias/archive-v0/Stays/six.py",
    ],
)
def test_whatever_its_text_a_link_to_what_went_is_found(ground: Ground, text: str) -> None:
    (ground.folder / "alias").mkdir()
    (ground.folder / "alias" / "archive-v0").symlink_to(ground.cache / "archive-v0" / "Gone")
    ground.links(text.format(cache=ground.cache, folder=ground.folder))
    ground.move_out(GONE)
    assert broken(ground.check()) == {GONE}


@pytest.mark.parametrize("removed", [GONE, "archive-v0"])
def test_what_uv_has_made_again_in_the_place_of_what_went_makes_no_link_whole(
    ground: Ground, removed: str
) -> None:
    """The new one has not all of the old one's files, or not yet."""
    ground.links(ground.cache / GONE / "six.py")
    ground.move_out(removed)
    if removed == "archive-v0":
        (ground.folder / "quarantine" / "Gone").mkdir()
    (ground.cache / GONE).mkdir(parents=True)
    assert broken(ground.check(removed=(removed,))) == {removed}


def test_a_project_whose_own_folder_is_a_link_to_what_went_is_broken(ground: Ground) -> None:
    tool = ground.cache / "environments-v2" / "tool"
    tool.mkdir(parents=True)
    ground.project.symlink_to(tool)
    ground.move_out("environments-v2/tool")
    assert broken(ground.check(removed=("environments-v2/tool",))) == {"environments-v2/tool"}


def test_packages_on_another_disk_are_followed(ground: Ground) -> None:
    packages = ground.folder / "disk" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "six.py").symlink_to(ground.cache / GONE / "six.py")
    ground.links(packages, "lib")
    ground.move_out(GONE)
    assert broken(ground.check()) == {GONE}


def on_trial(ground: Ground, name: str) -> None:
    """Put an entry on trial by hand: its folder in ours, a link in its place."""
    place = ground.cache / "archive-v0" / "cacheadmin.trial"
    place.mkdir(exist_ok=True)
    (ground.cache / "archive-v0" / name).rename(place / name)
    (ground.cache / "archive-v0" / name).symlink_to(f"cacheadmin.trial/{name}")


def test_who_links_what_is_on_trial_is_a_user_and_nothing_is_broken(ground: Ground) -> None:
    ground.links(ground.archive("Trial_abcdefghij") / "six.py")
    on_trial(ground, "Trial_abcdefghij")
    found = ground.check(removed=())
    assert found.broken == ()
    assert dict(found.used) == {"archive-v0/Trial_abcdefghij": f"{ground.project}/six.py"}


def test_an_environment_that_goes_keeps_nothing_that_goes_with_it(ground: Ground) -> None:
    """Both are on trial: the environment is there by its tripwire, and no user's."""
    environment = ground.archive("Environment_abcd")
    ground.archive("Trial_abcdefghij")
    (environment / "linked.py").symlink_to(ground.archive("Trial_abcdefghij") / "six.py")
    on_trial(ground, "Trial_abcdefghij")
    on_trial(ground, "Environment_abcd")
    going = ("archive-v0/Trial_abcdefghij", "archive-v0/Environment_abcd")
    found = ground.check(environment, removed=going, kind=EnvironmentKind.CACHED)
    assert (found.environments, dict(found.used)) == (0, {})


def test_another_folder_in_an_environments_place_is_named(ground: Ground) -> None:
    ground.links(ground.archive("Stays") / "six.py")
    scanned = ground.project.stat()
    ground.project.rename(ground.folder / "moved")
    ground.project.mkdir()
    found = ground.check(identity=(scanned.st_dev, scanned.st_ino))
    assert [f"{ground.project}: another folder" in one for one in found.unread] == [True]
    assert ground.check(identity=None).unread == ()


@pytest.mark.root
def test_a_link_by_another_mount_of_the_cache_is_found(ground: Ground) -> None:
    elsewhere = ground.folder / "mounted"
    elsewhere.mkdir()
    ground.links(elsewhere / GONE / "six.py")
    ground.move_out(GONE)
    subprocess.run(["mount", "--bind", ground.cache, elsewhere], check=True)
    try:
        assert broken(ground.check()) == {GONE}
    finally:
        subprocess.run(["umount", elsewhere], check=True)
