"""What was built from a source goes with its source, when nobody uses it any more.

uv issue 10153, with a local project, a source distribution and a git dependency: after
the environment that had them is deleted, the cache is one of the other environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.mixed_cache import git_project
from tests.support.packages import Index
from tests.support.projects import library_in
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST

UNUSED = "prune:\n  unused:\n    after: 1s\n"
OFF = "prune:\n  budget:\n    max_size: 1KiB\n"


def size_of(cache: Path) -> int:
    return sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file())


def observe(cacheadmin: Cacheadmin, policy: Path) -> None:
    """Let a run see what is used, and enough time pass."""
    cacheadmin("prune", policy, code=0)
    # prune.unused.after is a second of real time, told in whole ones.
    time.sleep(2.1)


def sources_in(cache: Path) -> set[str]:
    """Return what there is of sources: kinds of revisions, and of git folders."""
    found = {
        path.relative_to(cache).parts[1] for path in cache.glob("sdists-v*/*/**/metadata.msgpack")
    }
    return found | {path.relative_to(cache).parts[1] for path in cache.glob("git-v*/*/*/*")}


def sources_of(shared: SharedCache, name: str) -> tuple[str, str]:
    """Write a local project and a repository; return the requirements for them."""
    home = shared.home()
    repository = git_project(home / f"{name}git")
    assert repository is not None
    return str(library_in(home / f"{name}lib")), f"{repository.name} @ git+file://{repository}"


def built(shared: SharedCache, name: str, release: str, *more: str, mode: str) -> Path:
    requirements = (*sources_of(shared, name), *more)
    return shared.environment(name, release, *requirements, link_mode=mode)


@pytest.mark.parametrize(
    ("release", "mode"),
    [
        (NEWEST, "symlink"),
        pytest.param("0.5.10", "symlink", marks=pytest.mark.long),
        pytest.param(NEWEST, "hardlink", marks=pytest.mark.long),
        pytest.param("0.8.5", "copy", marks=pytest.mark.long),
    ],
)
def test_the_cache_is_that_of_the_environment_that_is_left(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, release: str, mode: str
) -> None:
    shared = SharedCache.create(open_folder, index)
    kept = built(shared, "kept", release, "docopt==0.6.2", "pytz", mode=mode)
    gone = built(shared, "gone", release, "idna==3.6", "pytz", "cowsay", mode=mode)
    policy = cacheadmin.policy(
        shared.path, f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n{UNUSED}"
    )
    observe(cacheadmin, policy)
    # Nobody has a build backend installed; all else is used.
    removed = cacheadmin("prune", policy, "--format", "json", code=0).json["removals"]
    assert {row["package"] for row in removed} <= {"setuptools", "flit-core"}
    before = size_of(shared.path)
    shared.remove_environment(gone)
    observe(cacheadmin, policy)
    wanted = {"revision.unused", "git.unused", "archive.unused"}
    rules: set[str] = set()
    for _ in range(4):
        # Beside other tests an older uv may be seen at work: then all counts as used once more.
        said = cacheadmin("prune", policy, "--format", "json", code=0).json
        rules |= {row["rule"] for row in said["removals"]}
        if wanted <= rules:
            break
        # As long as above.
        time.sleep(2.1)
    assert wanted <= rules, said["limits"]
    assert size_of(shared.path) < before
    assert not dangling_links(kept)

    (open_folder / "alone").mkdir()
    alone = SharedCache.create(open_folder / "alone", index)
    built(alone, "kept", release, "docopt==0.6.2", "pytz", mode=mode)
    assert size_of(shared.path) < size_of(alone.path)
    found = f"venvs: {{discover: [{{root: {alone.homes}, depth: 3}}]}}\n{UNUSED}"
    policy = cacheadmin.policy(alone.path, found, name="alone")
    observe(cacheadmin, policy)
    cacheadmin("prune", policy, code=0)
    assert size_of(shared.path) == pytest.approx(size_of(alone.path), rel=0.01)
    # Every one of them is built again when somebody wants it.
    again = shared.environment(
        "again",
        release,
        str(shared.home() / "gonelib"),
        f"gonegit @ git+file://{shared.home() / 'gonegit'}",
        "idna==3.6",
        link_mode=mode,
    )
    assert not dangling_links(again)
    ask = "import gonelib, gonegit, idna; print(gonelib.VALUE)"
    found = subprocess.run(
        [again / "bin" / "python", "-c", ask], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "1", found.stderr


def test_a_budget_gives_up_what_is_dear_last_and_says_what_stays(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(open_folder, index)
    kept = built(shared, "kept", NEWEST, "docopt==0.6.2", mode="symlink")
    gone = built(shared, "gone", NEWEST, "idna==3.6", "cowsay", mode="symlink")
    shared.remove_environment(gone)
    found = f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    wheels = [path for path in shared.path.glob("sdists-v*/**/*.whl") if "/src/" not in str(path)]
    unpacked = list(shared.path.glob("sdists-v*/*/*/*/*/*/src"))
    assert wheels
    assert unpacked
    plain = cacheadmin.policy(shared.path, found, name="plain")
    total = cacheadmin("usage", plain, "--format", "json").json["total"]["bytes"]
    budget = f"prune:\n  budget:\n    max_size: {total - 20_000}B\n"
    some = cacheadmin.policy(shared.path, found + budget, name="some")
    # A little over: the least that anybody would miss.
    little = cacheadmin("plan", some, "--format", "json").json["removals"]
    assert {row["kind"] for row in little} == {"source"}
    assert {row["rule"] for row in little} == {"source.over_budget"}
    policy = cacheadmin.policy(shared.path, found + OFF)
    said = cacheadmin("prune", policy, "--format", "json", code=0).json
    rules = {row["rule"] for row in said["removals"]}
    assert {
        "source.over_budget",
        "revision.over_budget",
        "git.over_budget",
        "archive.over_budget",
    } <= rules
    (unmet,) = [one for one in said["limits"] if one["id"] == "budget.unmet"]
    assert "environments link to them" in unmet["detail"]
    assert "bytes of pointers and metadata" in unmet["detail"]
    left = [path for path in shared.path.glob("sdists-v*/**/*.whl") if "/src/" not in str(path)]
    assert left == []
    assert not dangling_links(kept)
    # What was installed is installed again without building, what is gone is built.
    words = ("pip", "install", "--offline", "--python")
    again = shared.home() / "again"
    shared.uv(NEWEST, "venv", again)
    offline = shared.uv(NEWEST, *words, again, "docopt==0.6.2")
    assert "Built" not in offline.stderr
    built(shared, "more", NEWEST, "docopt==0.6.2", "idna==3.6", mode="symlink")
    assert all(not dangling_links(one) for one in shared.environments)


def test_they_have_names_in_every_report(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(open_folder, index)
    gone = built(shared, "my", NEWEST, mode="copy")
    shared.remove_environment(gone)
    policy = cacheadmin.policy(shared.path)
    usage = cacheadmin("usage", policy, "--by", "package", "--format", "json", code=0).json
    sizes = {row["name"]: row["bytes"] for row in usage["groups"]}
    inodes = {
        (status := path.lstat()).st_ino: status.st_blocks * 512
        for top in ("checkouts/*", "db")
        for path in shared.path.glob(f"git-v*/{top}/*/**/*")
    }
    assert sizes["mygit"] >= sum(inodes.values())
    assert sizes["mylib"] > 0
    told = cacheadmin("explain", policy, "mygit", "--format", "json", code=0).json
    kinds = {row["kind"] for row in told["entries"]}
    assert {"archive", "revision", "source"} <= kinds
    # Also when the archives are gone, and no link tells of them.
    shutil.rmtree(shared.path / "archive-v0")
    for link in shared.path.glob("sdists-v*/**/*-none-any"):
        link.unlink()
    for name in ("mylib", "mygit"):
        assert cacheadmin("explain", policy, name, "--format", "json", code=0).json["entries"]


def test_what_a_process_works_in_and_what_is_kept_by_name_stays(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(open_folder, index)
    gone = built(shared, "my", NEWEST, "idna==3.6", "docopt==0.6.2", mode="copy")
    shared.remove_environment(gone)
    (source,) = shared.path.glob("sdists-v*/*/*/idna/3.6/*/src")
    text = "prune:\n  keep: [mygit]\n  budget: {max_size: 1KiB}\n"
    policy = cacheadmin.policy(shared.path, text)
    program = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(300)"],
        cwd=source,
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        program.stdout.readline()
        cacheadmin("prune", policy, code=0)
        assert source.exists()
        assert sources_in(shared.path) >= {"index", "git", "checkouts", "db"}
        assert "path" not in sources_in(shared.path)
        assert not list(shared.path.glob("sdists-v*/*/*/docopt/*/*/metadata.msgpack"))
    finally:
        program.kill()
        program.wait()
    cacheadmin("prune", policy, code=0)
    assert not source.exists()
    assert sources_in(shared.path) == {"git", "checkouts", "db"}


def test_a_pin_keeps_a_revision_and_the_file_that_names_it(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    shared = SharedCache.create(open_folder, index)
    gone = built(shared, "my", NEWEST, "docopt==0.6.2", mode="copy")
    shared.remove_environment(gone)
    policy = cacheadmin.policy(shared.path, OFF)
    cacheadmin("pin", "add", policy, "docopt", "--reason", "for the demo", code=0)
    cacheadmin("prune", policy, code=0)
    assert sources_in(shared.path) == {"index"}
    environment = shared.home() / "offline"
    shared.uv(NEWEST, "venv", environment)
    words = ("pip", "install", "--offline", "--python", environment, "docopt==0.6.2")
    assert "Built" not in shared.uv(NEWEST, *words).stderr
