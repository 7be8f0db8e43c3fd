"""Facts about uv that giving up sources rests on: what is missing, it makes again.

Nothing that a prune takes of sources makes a uv command fail online. Offline, a part
that is missing costs nothing while what it is for is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.mixed_cache import git_project
from tests.support.packages import Index
from tests.support.projects import library_in
from tests.support.shared_cache import SharedCache, copy_in_place_of, dangling_links
from tests.support.uv_releases import NEWEST

Choose = Callable[[Path], list[Path]]


def revisions(cache: Path) -> list[Path]:
    found = cache.glob("sdists-v*/**/metadata.msgpack")
    return [path.parent for path in found if "/src/" not in str(path)]


def links(cache: Path) -> list[Path]:
    return [path for one in revisions(cache) for path in one.iterdir() if path.is_symlink()]


def archives(cache: Path) -> list[Path]:
    return [path.resolve() for path in links(cache)]


def wheels(cache: Path) -> list[Path]:
    return [path for one in revisions(cache) for path in one.glob("*.whl")]


def unpacked(cache: Path) -> list[Path]:
    return [one / "src" for one in revisions(cache) if (one / "src").exists()]


def revision_files(cache: Path) -> list[Path]:
    return list(cache.glob("sdists-v*/**/revision.*"))


def checkouts(cache: Path) -> list[Path]:
    return list(cache.glob("git-v*/checkouts/*/*"))


def databases(cache: Path) -> list[Path]:
    return list(cache.glob("git-v*/db/*"))


# What is missing, and whether an install offline needs nothing else.
MISSING: dict[str, tuple[Choose, bool]] = {
    "the wheel file beside its archive": (wheels, True),
    "the unpacked source": (unpacked, True),
    "both": (lambda cache: [*wheels(cache), *unpacked(cache)], True),
    "the archive, with a link to it": (archives, True),
    "the link to the archive": (links, True),
    "the wheel and its archive": (lambda cache: [*wheels(cache), *archives(cache)], True),
    "the checkout, its mark left": (
        lambda cache: [path for path in checkouts(cache) if path.is_dir()],
        True,
    ),
    "the checkout": (checkouts, True),
    "the database": (databases, True),
    "the file that names the revision": (revision_files, False),
    "the revision, its file left": (lambda cache: [*archives(cache), *revisions(cache)], False),
    "the revision and its file": (
        lambda cache: [*revision_files(cache), *archives(cache), *revisions(cache)],
        False,
    ),
    "all of it": (
        lambda cache: [
            *checkouts(cache),
            *databases(cache),
            *revision_files(cache),
            *archives(cache),
            *revisions(cache),
        ],
        False,
    ),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("0.5.10", marks=pytest.mark.long),
        pytest.param("0.8.5", marks=pytest.mark.long),
        NEWEST,
    ],
)
def built(
    request: pytest.FixtureRequest, index: Index, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SharedCache, str, tuple[str, ...]]:
    """A cache with a source distribution, a local project and a repository, all built."""
    release = request.param
    shared = SharedCache.create(tmp_path_factory.mktemp(f"built-{release}"), index)
    library = library_in(shared.home() / "mylib")
    repository = git_project(shared.home() / "gitted")
    requirements = ("docopt==0.6.2", str(library), f"gitted @ git+file://{repository}")
    shared.environment("first", release, *requirements)
    return shared, release, requirements


def remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def install(
    shared: SharedCache, release: str, requirements: tuple[str, ...], *more: str
) -> tuple[int, Path]:
    environment = shared.home() / "again"
    shutil.rmtree(environment, ignore_errors=True)
    shared.uv(release, "venv", environment)
    words = ("pip", "install", *more, "--python", environment, *requirements)
    return shared.uv(release, *words, check=False).returncode, environment


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_made_again(
    built: tuple[SharedCache, str, tuple[str, ...]], what: str
) -> None:
    shared, release, requirements = built
    choose, is_enough_offline = MISSING[what]
    with copy_in_place_of(shared.path) as cache:
        remove(choose(cache))
        code, _ = install(shared, release, requirements, "--offline")
        assert (code == 0) is is_enough_offline
        if is_enough_offline:
            return
        code, environment = install(shared, release, requirements)
        assert code == 0
        assert not dangling_links(environment)
