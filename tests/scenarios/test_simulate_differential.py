"""Simulated set == deleted set, path by path, for real releases on mixed caches.

The very copy that is simulated is then pruned by the real release: pointers
of releases before 0.11.17 are absolute and name the original's path, and the
release follows them there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.inventory.reader import open_cache
from cacheadmin.simulate.release_choice import package_names
from cacheadmin.simulate.simulation import Simulation, simulate_prune
from tests.support.incident import reinstall_a_changed_tool
from tests.support.mixed_cache import build_mixed_cache, deleted_tops, paths_of, spoiled_copy
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, copy_in_place_of
from tests.support.users import open_temporary_folder
from tests.support.uv_releases import NEWEST

RELEASES = (
    "0.2.37",
    "0.4.30",
    "0.5.10",
    "0.6.4",
    "0.7.22",
    "0.8.5",
    "0.8.24",
    "0.9.0",
    "0.10.12",
    "0.11.19",
    "0.11.33",
    "0.12.24",
    "0.13.8",
    "0.13.9",
)

# One or two of every minor that nothing else here uses: what holds between the releases of the
# list above should hold for these. 0.11.10 can't read ids of 21 characters, 0.12.0 writes
# revisions that older ones can't read.
OTHER_RELEASES = ("0.11.10", "0.12.10", "0.13.4")
LONG_OTHER_RELEASES = (
    "0.1.40",
    "0.2.30",
    "0.3.2",
    "0.4.20",
    "0.5.18",
    "0.6.14",
    "0.7.8",
    "0.8.14",
    "0.9.13",
    "0.10.5",
    "0.11.5",
    "0.11.9",
    "0.12.0",
    "0.13.2",
)

# One or two of every minor that nothing else names, held out until all behaviours were written
# down: each plain, with `--ci`, and with every preview on. One is enough for everyday.
HELD_OUT = ("0.5.25", "0.11.28", "0.13.6")
LONG_HELD_OUT = (
    "0.1.30",
    "0.2.15",
    "0.3.5",
    "0.4.15",
    "0.6.10",
    "0.7.13",
    "0.8.10",
    "0.9.22",
    "0.10.8",
    "0.11.15",
    "0.12.16",
)
WAYS = ("plain", "ci", "preview")

# One of them in one way; `make test-long` runs all fourteen in all ways.
HELD_OUT_WAYS = [
    pytest.param(
        release,
        way,
        id=f"{release}-{way}",
        marks=[] if (release, way) == ("0.13.6", "preview") else [pytest.mark.long],
    )
    for release in (*HELD_OUT, *LONG_HELD_OUT)
    for way in WAYS
]

# `uv cache clean PACKAGE` changed at 0.4.2, 0.7.9, 0.11.20 and 0.12.8.
CLEANING_RELEASES = ("0.2.37", "0.5.10", "0.8.5", "0.11.33", "0.12.10", "0.13.9")
CLEANED = (("six",), ("tool", "docopt"), ("gitted", "pytz", "cowsay"), ("idna", "Packaging"))

QUICKLY_CLEANED = ("0.5.10", "0.13.9")

# One list of packages for two releases; `make test-long` runs every pair.
CLEANINGS = [
    pytest.param(
        release,
        packages,
        id=f"{release}-{'+'.join(packages)}",
        marks=[]
        if release in QUICKLY_CLEANED and number % len(CLEANED) == place
        else [pytest.mark.long],
    )
    for number, release in enumerate(CLEANING_RELEASES)
    for place, packages in enumerate(CLEANED)
]

# What `--ci` does changed seldom: one release of each kind. `make test-long` runs the others.
CI_RELEASES = ("0.5.10", "0.11.33", "0.13.9")

# Each rule that changed stands between two of these; the releases between them are `long`.
QUICK_RELEASES = (*CI_RELEASES, "0.2.37", "0.6.4", "0.8.5", "0.12.24")

PRUNES = [
    pytest.param(
        release,
        ci,
        id=f"{release}-{'ci' if ci else 'plain'}",
        marks=[pytest.mark.long] if release not in (CI_RELEASES if ci else QUICK_RELEASES) else [],
    )
    for release in RELEASES
    for ci in (False, True)
]


@pytest.fixture(scope="module")
def mixed(index: Index) -> Iterator[SharedCache]:
    folder = open_temporary_folder("cacheadmin-mixed-")
    yield build_mixed_cache(folder / "mixed", index)
    shutil.rmtree(folder, ignore_errors=True)


def simulated(cache: Path, release: str, *, ci: bool) -> Simulation:
    with open_cache(str(cache)) as opened:
        return simulate_prune(opened.identity, release, ci=ci)


def compare(
    mixed: SharedCache,
    folder: Path,
    release: str,
    seed: int,
    *,
    ci: bool,
    preview: bool = False,
) -> None:
    """Simulate a copy, prune it for real, and compare; ``preview`` has every preview on."""
    copy = spoiled_copy(mixed.path, folder, seed)
    outside = folder / f"outside-{seed}"
    expected = simulated(copy, release, ci=ci)
    before, before_outside = paths_of(copy), paths_of(outside)
    finished = mixed.uv(
        release,
        "cache",
        "prune",
        *(["--ci"] if ci else []),
        cache=copy,
        check=False,
        extra_environment={"UV_PREVIEW": "1"} if preview else None,
    )
    after = paths_of(copy)
    deleted = deleted_tops(before, after)
    deleted_outside = [
        os.fspath(outside / path) for path in deleted_tops(before_outside, paths_of(outside))
    ]
    what = f"uv {release}, seed {seed}, ci {ci}: {finished.stderr}"
    assert bool(expected.failure) is (finished.returncode != 0), f"{what} {expected.failure}"
    if expected.failure:
        # Which of a folder's entries came before the failing one is the
        # filesystem's order; nothing but what was simulated may be gone.
        assert set(deleted) <= set(expected.removals), what
    else:
        assert deleted == list(expected.removals), what
        assert deleted_outside == list(expected.outside), what
    shutil.rmtree(copy)
    shutil.rmtree(outside)


@pytest.mark.parametrize(("release", "ci"), PRUNES)
def test_what_is_simulated_is_what_is_deleted(
    mixed: SharedCache, tmp_path: Path, release: str, ci: bool
) -> None:
    compare(mixed, tmp_path, release, RELEASES.index(release) * 2 + ci + 1, ci=ci)


@pytest.mark.parametrize(
    "seed", [200, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(201, 204))]
)
@pytest.mark.parametrize(
    "release",
    [
        *OTHER_RELEASES,
        *(pytest.param(release, marks=pytest.mark.long) for release in LONG_OTHER_RELEASES),
    ],
)
def test_releases_that_nobody_looked_at_behave_as_those_beside_them(
    mixed: SharedCache, tmp_path: Path, release: str, seed: int
) -> None:
    compare(mixed, tmp_path, release, seed, ci=bool(seed % 2) and release != "0.1.40")


@pytest.mark.parametrize(("release", "way"), HELD_OUT_WAYS)
def test_held_out_releases_delete_what_is_simulated_in_every_way(
    mixed: SharedCache, tmp_path: Path, release: str, way: str
) -> None:
    if way == "ci" and tuple(map(int, release.split("."))) < (0, 2, 29):
        pytest.skip("it has no --ci")
    for seed in (0, 300 + WAYS.index(way)):
        compare(mixed, tmp_path, release, seed, ci=way == "ci", preview=way == "preview")


@pytest.mark.parametrize(("release", "packages"), CLEANINGS)
def test_what_clean_would_delete_is_what_it_deletes(
    mixed: SharedCache, tmp_path: Path, release: str, packages: tuple[str, ...]
) -> None:
    seed = CLEANED.index(packages) * 10 + CLEANING_RELEASES.index(release)
    with copy_in_place_of(mixed.path) as cache:
        # Pointers before 0.11.17 name the cache's own path: the spoiled copy takes it.
        spoiled = spoiled_copy(cache, tmp_path, seed)
        shutil.rmtree(cache)
        shutil.move(spoiled, cache)
        names = package_names(packages)
        with open_cache(str(cache)) as opened:
            expected = simulate_prune(opened.identity, release, clean=names)
        before = paths_of(cache)
        finished = mixed.uv(release, "cache", "clean", *packages, check=False)
        assert (finished.returncode != 0) is bool(expected.failure), finished.stderr
        deleted = deleted_tops(before, paths_of(cache))
        if expected.failure:
            assert set(deleted) <= set(expected.removals)
        else:
            assert deleted == list(expected.removals)


@pytest.mark.parametrize("release", ["0.12.20", "0.12.24", NEWEST])
def test_a_prune_that_fails_has_emptied_the_builds_already(
    index: Index, open_folder: Path, release: str
) -> None:
    shared = SharedCache.create(open_folder, index)
    shared.environment("env", release, "six==1.16.0")
    (shared.path / "builds-v0" / ".tmpBuild").mkdir(parents=True)
    (shared.path / "archive-v0" / "dangling").symlink_to("nowhere")
    expected = simulated(shared.path, release, ci=False)
    before = paths_of(shared.path)
    assert shared.uv(release, "cache", "prune", check=False).returncode != 0
    assert expected.failure
    assert deleted_tops(before, paths_of(shared.path)) == list(expected.removals)


@pytest.fixture(scope="module")
def reinstalled(index: Index, request: pytest.FixtureRequest) -> Iterator[SharedCache]:
    """A cache in which one release has built a project twice, changed in between."""
    folder = open_temporary_folder("cacheadmin-reinstalled-")
    shared = SharedCache.create(folder, index)
    environment = shared.environment("env", request.param)
    assert reinstall_a_changed_tool(shared, environment, request.param)
    yield shared
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("pruner", ["0.8.5", "0.11.10", "0.11.33", "0.12.24"])
@pytest.mark.parametrize(
    "reinstalled", ["0.8.5", "0.11.33", "0.12.0", "0.12.24"], indirect=True, scope="module"
)
def test_only_a_revision_file_that_the_release_can_read_supersedes_the_others(
    reinstalled: SharedCache, pruner: str
) -> None:
    with copy_in_place_of(reinstalled.path) as cache:
        expected = simulated(cache, pruner, ci=False)
        before = paths_of(cache)
        reinstalled.uv(pruner, "cache", "prune")
        assert deleted_tops(before, paths_of(cache)) == list(expected.removals)


@pytest.mark.long
@pytest.mark.parametrize(("release", "ci"), PRUNES)
def test_what_is_simulated_is_what_is_deleted_of_an_unspoiled_cache(
    mixed: SharedCache, tmp_path: Path, release: str, ci: bool
) -> None:
    compare(mixed, tmp_path, release, 0, ci=ci)


@pytest.mark.parametrize("release", ["0.2.37", "0.8.5", "0.13.9"])
def test_an_empty_cache(index: Index, open_folder: Path, release: str) -> None:
    shared = SharedCache.create(open_folder, index)
    shared.uv(release, "venv", shared.home() / "env")
    for folder in shared.path.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    expected = simulated(shared.path, release, ci=False)
    before = paths_of(shared.path)
    shared.uv(release, "cache", "prune")
    assert deleted_tops(before, paths_of(shared.path)) == list(expected.removals)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 160))
@pytest.mark.parametrize("release", RELEASES)
def test_many_generated_caches(mixed: SharedCache, tmp_path: Path, release: str, seed: int) -> None:
    compare(mixed, tmp_path, release, seed, ci=bool(seed % 2))
