"""Whatever of an account lies in a cache, or leads there, is a trace: its home is looked for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.wheel_archives import empty_cache, write_archive

pytestmark = pytest.mark.root

# An account without a name, so without a home that is known.
STRANGER = 61234


def give(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def archive(cache: Path) -> None:
    give(write_archive(cache, "six", {"six.py": b""}))


def pointer(cache: Path) -> None:
    target = write_archive(cache, "six", {"six.py": b""})
    folder = cache / "wheels-v7" / "pypi" / "six"
    folder.mkdir(parents=True)
    link = folder / "six-1.0-py3-none-any"
    link.symlink_to(target)
    give(link)


def build(cache: Path) -> None:
    folder = cache / "builds-v0" / ".tmpabcdef"
    folder.mkdir(parents=True)
    give(folder)


def environment(cache: Path) -> None:
    folder = cache / "environments-v2" / "script-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    for path in (folder, folder / "pyvenv.cfg"):
        give(path)


def rubbish(cache: Path) -> None:
    (cache / "archive-v0" / "rubbish").touch()
    give(cache / "archive-v0" / "rubbish")


def registry_link(cache: Path) -> None:
    """A link to an environment of another account's."""
    place = cache.parent / "env"
    place.mkdir()
    (place / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    link = cache.parent / "registry" / "mine"
    link.symlink_to(place)
    give(link)


def unknown_uids(cacheadmin: Cacheadmin, policy: Path) -> set[str]:
    gaps = cacheadmin("plan", policy, "--format", "json").json["gaps"]
    return {gap["subject"] for gap in gaps if gap["id"] == "homes.unknown"}


@pytest.fixture
def cache(open_folder: Path) -> Path:
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    (open_folder / "elsewhere").mkdir()
    return empty_cache(open_folder / "cache")


@pytest.fixture
def policy(cache: Path, cacheadmin: Cacheadmin) -> Path:
    folder = cache.parent
    sources = f"registry: {folder}/registry, discover: [{{root: {folder}/elsewhere}}]"
    return cacheadmin.policy(
        cache, f"venvs: {{{sources}}}\nhosts: {{only: this}}\n", complete=False
    )


@pytest.mark.parametrize("leave", [archive, pointer, build, environment, rubbish, registry_link])
def test_each_is_one_by_itself(
    cache: Path, policy: Path, cacheadmin: Cacheadmin, leave: Callable[[Path], None]
) -> None:
    assert unknown_uids(cacheadmin, policy) == set()
    leave(cache)
    assert unknown_uids(cacheadmin, policy) == {f"uid {STRANGER}"}


def test_what_is_on_trial_is_one(cache: Path, policy: Path, cacheadmin: Cacheadmin) -> None:
    archive(cache)
    age(cache, 60)
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["planted"]
    assert unknown_uids(cacheadmin, policy) == {f"uid {STRANGER}"}


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    program = subprocess.Popen(["sleep", "600"], cwd=folder, user=STRANGER, group=STRANGER)
    try:
        yield
    finally:
        program.kill()
        program.wait()


def test_a_program_that_works_in_an_archive_is_one(
    cache: Path, policy: Path, cacheadmin: Cacheadmin
) -> None:
    folder = write_archive(cache, "six", {"six.py": b""})
    folder.chmod(0o755)
    with working_in(folder):
        assert unknown_uids(cacheadmin, policy) == {f"uid {STRANGER}"}
    with working_in(cache.parent):
        assert unknown_uids(cacheadmin, policy) == set()
