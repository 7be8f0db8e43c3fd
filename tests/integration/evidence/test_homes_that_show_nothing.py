"""A home that is mounted or decrypted at login shows nothing while its user is away."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import mounted_tmpfs, moved_away
from tests.support.passing_time import let_days_pass
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import with_account
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

UID = 61_237


class Zoe:
    """A user of this machine, whose home is a mount of its own."""

    def __init__(self, shared: SharedCache, cacheadmin: Cacheadmin, folder: Path) -> None:
        self._shared, self._cacheadmin = shared, cacheadmin
        self.home = shared.home() / "zoe"
        self.home.mkdir()
        self._with_account = with_account("zoe", self.home, UID, folder)
        self.policy = cacheadmin.policy(shared.path, complete=False)

    def environment(self, name: str) -> tuple[Path, list[str]]:
        """Return an environment of hers, and the archives of hers that it alone tells of."""
        made = self._shared.environment(name, NEWEST, "six==1.16.0")
        cache = self._shared.path
        subprocess.run(["chown", "-R", str(UID), cache / "archive-v0"], check=True)
        for folder in (*cache.glob("wheels-v*"), *cache.glob("interpreter-v*")):
            shutil.rmtree(folder)
        return made, [f"archive-v0/{one.name}" for one in (cache / "archive-v0").iterdir()]

    def prune(self) -> Any:
        """Prune where she has an account; return the document."""
        words = self._cacheadmin.command("prune", self.policy, "--format", "json")
        done = subprocess.run(
            [*self._with_account, *words],
            env=self._cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def zoe(shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path) -> Zoe:
    return Zoe(shared, cacheadmin, open_folder)


def as_ecryptfs_leaves_it(home: Path) -> None:
    """Put into a home what ecryptfs-setup-private makes where nothing is mounted."""
    kept = home.parent / ".ecryptfs" / home.name
    for name in (".ecryptfs", ".Private"):
        (kept / name).mkdir(parents=True)
        (home / name).symlink_to(kept / name)
    (home / "README.txt").write_text("log in first\n")
    (home / "Access-Your-Private-Data.desktop").touch()


@pytest.mark.parametrize(
    "below", [lambda home: None, as_ecryptfs_leaves_it], ids=["empty", "ecryptfs"]
)
def test_what_a_home_that_showed_nothing_links_comes_back_when_it_is_there(
    zoe: Zoe, below: Callable[[Path], None]
) -> None:
    below(zoe.home)
    with mounted_tmpfs(zoe.home):
        environment, archives = zoe.environment("zoe/.venv")
        with moved_away(zoe.home):
            said = zoe.prune()
            assert said["trial"]["planted"] == archives
            # Nothing else of hers is in the cache: what is on trial tells of her.
            for _ in range(2):
                (gap,) = [gap for gap in said["gaps"] if gap["id"] == "homes.away"]
                assert gap["subject"] == str(zoe.home)
                said = zoe.prune()
        said = zoe.prune()
        assert "homes.away" not in {gap["id"] for gap in said["gaps"]}
        assert said["trial"]["put_back"] == archives
        assert dangling_links(environment) == {}


def test_no_trial_ends_while_a_home_shows_nothing(
    zoe: Zoe, shared: SharedCache, open_folder: Path
) -> None:
    with mounted_tmpfs(zoe.home):
        (zoe.home / "notes").write_text("mine\n")
        made, archives = zoe.environment("made")
        environment = open_folder / "no source looks here" / "made"
        environment.parent.mkdir()
        made.rename(environment)
        assert zoe.prune()["trial"]["planted"] == archives
        let_days_pass(shared.path, 15, "ran")
        with moved_away(zoe.home):
            zoe.prune()
            let_days_pass(shared.path, 20, "ran")
            said = zoe.prune()
            assert said["trial"]["ended"] == []
            assert "silence proves nothing: zoe left traces" in " ".join(said["warnings"])
        # She can come now, for as long as was left.
        zoe.prune()
        let_days_pass(shared.path, 16, "ran")
        assert zoe.prune()["trial"]["ended"] == archives
