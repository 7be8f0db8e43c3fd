"""A mount that shows an entry of the cache by itself is a use, by no name in the cache.

As a container with one archive for a volume, or a service with ``BindPaths=``: its user
goes on by the mount wherever the archive is moved to, and springs no tripwire.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.text.escapes import shell_word
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

_SHORT = "prune: {trial: {for: 0d, at_least: 0d}, environments: {idle: 0d, keep_latest: false}}\n"


@contextmanager
def service(words: str) -> Iterator[Path]:
    """Start a program with mounts of its own, made by ``words``; yield its root, seen from here."""
    script = f"{words} && echo ready && exec cat"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.skip("it can't be mounted in a namespace of its own here")
        try:
            yield Path(f"/proc/{process.pid}/root")
        finally:
            process.kill()


@pytest.fixture
def archive(shared: SharedCache) -> Path:
    """An archive that nothing in the cache or outside names."""
    shared.remove_environment(shared.environment("gone", NEWEST, "six==1.16.0"))
    for pattern in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(pattern):
            shutil.rmtree(folder)
    (found,) = (shared.path / "archive-v0").iterdir()
    return found


@pytest.fixture
def prunes(shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path) -> Iterator[list[dict]]:
    """What each prune of the cache says, as often as one asks."""
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    text = f"venvs: {{discover: [{{root: {elsewhere}}}]}}\n{_SHORT}"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    return iter(lambda: cacheadmin("prune", policy, "--format", "json", code=0).json, None)


def bind(source: Path, target: Path) -> str:
    return f"mount --bind {shell_word(str(source))} {shell_word(str(target))}"


def overlay(source: Path, target: Path) -> str:
    options = shell_word(f"lowerdir={source}:{target}")
    return f"mount -t overlay overlay -o {options} {shell_word(str(target))}"


@pytest.mark.parametrize("mounted", [bind, overlay])
def test_an_archive_that_is_mounted_alone_stays(
    prunes: Iterator[dict], archive: Path, open_folder: Path, mounted: object
) -> None:
    at = open_folder / "volume"
    at.mkdir()
    with service(mounted(archive, at)) as root:
        for _ in range(3):
            told = next(prunes)
            rules = {row["path"]: row["rule"] for row in told["kept"]}
            assert rules[f"archive-v0/{archive.name}"] == "entry.named"
        assert os.listdir(f"{root}{at}")
    assert next(prunes)["trial"]["planted"]


def test_an_archive_that_is_mounted_while_it_is_on_trial_comes_back(
    prunes: Iterator[dict], archive: Path, open_folder: Path
) -> None:
    at = open_folder / "volume"
    at.mkdir()
    entry = f"archive-v0/{archive.name}"
    assert next(prunes)["trial"]["planted"] == [entry]
    # By its place on trial, which springs nothing.
    place = archive.parent / "cacheadmin.trial" / archive.name
    with service(bind(place, at)) as root:
        assert entry in next(prunes)["trial"]["put_back"]
        assert archive.is_dir()
        assert not archive.is_symlink()
        assert os.listdir(f"{root}{at}")


def test_environments_whose_bucket_is_mounted_alone_stay(
    prunes: Iterator[dict], shared: SharedCache, archive: Path, open_folder: Path
) -> None:
    """Behind a tripwire they would lead to archives, which are not to be seen there."""
    environment = shared.path / "environments-v2" / "script-0123456789abcdef"
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    os.utime(environment, ns=(10**18, 10**18))
    os.utime(environment / "pyvenv.cfg", ns=(10**18, 10**18))
    at = open_folder / "volume"
    at.mkdir()
    with service(bind(environment.parent, at)) as root:
        next(prunes)
        assert (root / str(at).lstrip("/") / environment.name / "pyvenv.cfg").is_file()
        assert not environment.is_symlink()
    assert f"environments-v2/{environment.name}" in next(prunes)["trial"]["planted"]
