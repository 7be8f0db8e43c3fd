"""Not seen is not unused: environments that no source knows keep their packages.

Default policy, ordinary commands, no place named. One `uv sync` leaves no
record of its environment in the cache; neither does `--target`, nor a folder that
was moved. What they link to must not go, and what was not looked at is named.
The oracle is outside the product: every link is followed, packages are imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.projects import library_in, project_in, sync, uv_in
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST

OLD = "0.8.5"


@pytest.fixture
def elsewhere(open_folder: Path) -> Path:
    """A folder that is nobody's home, and that no policy names."""
    folder = open_folder / "elsewhere"
    folder.mkdir()
    return folder


def imports(environment: Path, statement: str) -> None:
    subprocess.run([environment / "bin" / "python", "-c", statement], check=True)


def prune(cacheadmin: Cacheadmin, policy: Path) -> dict:
    return cacheadmin("prune", policy, "--format", "json", code=0).json


def gap_ids(document: dict) -> set[str]:
    return {gap["id"] for gap in document["gaps"]}


def fall_silent(shared: SharedCache, *folders: Path) -> None:
    """Let 40 days pass, after which everybody works with the newest release."""
    for folder in (shared.path, *folders):
        age(folder, days=40)
    shared.environment("new", NEWEST, "cowsay==6.0", link_mode="copy")


@pytest.mark.parametrize("release", ["0.5.10", "0.8.5", "0.13.8", NEWEST])
def test_what_one_sync_linked_stays_when_a_library_changes(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path, release: str
) -> None:
    library = library_in(elsewhere / "mylib", 1)
    first = sync(shared, project_in(elsewhere / "a", library=library), release)
    library_in(library, 2)
    second = sync(shared, project_in(elsewhere / "b", library=library), release)
    policy = cacheadmin.policy(shared.path, complete=False)

    result = prune(cacheadmin, policy)

    assert dangling_links(first) == {}
    assert dangling_links(second) == {}
    imports(first, "import mylib; assert mylib.VALUE == 1")
    assert "sources.none" in gap_ids(result)
    archives = [row for row in result["removals"] if row["kind"] == "archive"]
    assert {row["rests_on"] for row in archives} == {"absence"}
    assert result["trial"]["planted"] == [row["path"] for row in archives]
    assert result["verdict"] == "limited"


def test_what_an_older_release_linked_stays_after_an_upgrade(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    project = sync(shared, project_in(elsewhere / "p", "six==1.16.0"), OLD)
    tools = {"UV_TOOL_DIR": f"{elsewhere}/tools", "UV_TOOL_BIN_DIR": f"{elsewhere}/bin"}
    uv_in(shared, elsewhere, OLD, "tool", "install", "cowsay==6.0", more=tools)
    target, prefix = elsewhere / "target", elsewhere / "prefix"
    uv_in(shared, elsewhere, OLD, "pip", "install", "--target", target, "six==1.16.0")
    uv_in(shared, elsewhere, OLD, "pip", "install", "--prefix", prefix, "six==1.16.0")
    built = shared.environment("built", OLD, "six==1.16.0")
    moved = built.rename(elsewhere / "moved")
    fall_silent(shared, elsewhere)
    policy = cacheadmin.policy(shared.path, complete=False)

    result = prune(cacheadmin, policy)

    assert dangling_links(elsewhere) == {}
    imports(project, "import six")
    imports(moved, "import six")
    imports(elsewhere / "tools" / "cowsay", "import cowsay")
    archives = [row for row in result["removals"] if row["kind"] == "archive"]
    assert {row["rests_on"] for row in archives} == {"absence"}


def test_named_places_are_searched_and_then_the_rest_goes_by_the_sites_word(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    project = sync(shared, project_in(elsewhere / "deep" / "er" / "p", "six==1.16.0"), OLD)
    target, prefix = elsewhere / "target", elsewhere / "prefix"
    uv_in(shared, elsewhere, OLD, "pip", "install", "--target", target, "idna==3.7")
    uv_in(shared, elsewhere, OLD, "pip", "install", "--prefix", prefix, "pytz==2024.1")
    gone = sync(shared, project_in(elsewhere / "gone", "python-dateutil==2.9.0.post0"), OLD)
    shutil.rmtree(gone)
    fall_silent(shared, elsewhere)
    places = f"venvs:\n  include: ['{prefix}']\n  discover: [{{root: '{elsewhere}'}}]\n"
    policy = cacheadmin.policy(shared.path, places)

    result = prune(cacheadmin, policy)

    assert dangling_links(elsewhere) == {}
    imports(project, "import six")
    rows = [row for row in result["removals"] if row["kind"] == "archive"]
    removed = {f"{row['package']}=={row['version']}" for row in rows}
    assert "python-dateutil==2.9.0.post0" in removed
    assert not removed & {"six==1.16.0", "idna==3.7", "pytz==2024.1"}
    assert {row["rests_on"] for row in result["removals"]} == {"proof"}
    assert result["gaps"] == []


def test_a_folder_that_lost_what_marks_it_is_found_by_its_links(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    """An image builder trims `*.dist-info`; somebody links one package folder by hand."""
    target = elsewhere / "target"
    uv_in(shared, elsewhere, OLD, "pip", "install", "--target", target, "idna==3.7")
    for trimmed in target.glob("*.dist-info"):
        shutil.rmtree(trimmed)
    by_hand = elsewhere / "by hand"
    by_hand.mkdir()
    uv_in(shared, elsewhere, OLD, "pip", "install", "--target", elsewhere / "t", "pytz==2024.1")
    archive = os.path.dirname(os.path.realpath(elsewhere / "t" / "pytz" / "__init__.py"))
    shutil.rmtree(elsewhere / "t")
    (by_hand / "pytz").symlink_to(archive)
    fall_silent(shared, elsewhere)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  discover: [{{root: '{elsewhere}'}}]\n")

    prune(cacheadmin, policy)

    assert dangling_links(elsewhere) == {}


def test_a_projects_environment_in_the_cache_stays_while_its_project_is_not_known(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    central = {"UV_PREVIEW_FEATURES": "centralized-project-envs"}
    for name in ("a", "b"):
        sync(shared, project_in(elsewhere / name, "six==1.16.0"), NEWEST, more=central)
    assert (elsewhere / "a" / ".venv").is_symlink()
    policy = cacheadmin.policy(shared.path, "prune: {environments: {idle: 0s}}\n", complete=False)

    prune(cacheadmin, policy)

    for name in ("a", "b"):
        imports(elsewhere / name / ".venv", "import six")


def test_a_search_that_ends_at_its_depth_says_so_and_finds_tools_below(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    home = elsewhere / "ana"
    project = sync(shared, project_in(home / "work" / "team" / "2026" / "p", "six==1.16.0"), OLD)
    tools = {"UV_TOOL_BIN_DIR": f"{elsewhere}/bin", "XDG_DATA_HOME": f"{home}/.local/share"}
    uv_in(shared, elsewhere, OLD, "tool", "install", "cowsay==6.0", more=tools)
    tool = home / ".local" / "share" / "uv" / "tools" / "cowsay"
    fall_silent(shared, elsewhere)
    places = f"venvs:\n  discover: [{{root: '{elsewhere}', depth: 1}}]\n"
    policy = cacheadmin.policy(shared.path, places, complete=False)

    result = prune(cacheadmin, policy)

    assert dangling_links(elsewhere) == {}
    imports(project, "import six")
    assert "search.depth" in gap_ids(result)
    scanned = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert str(tool) in {one["path"] for one in scanned}
    assert str(project) not in {one["path"] for one in scanned}


@pytest.mark.parametrize("complete", [False, True])
def test_environments_below_the_cache_are_somebodys(
    shared: SharedCache, cacheadmin: Cacheadmin, complete: bool
) -> None:
    below = {"UV_TOOL_DIR": f"{shared.path}/tools", "UV_TOOL_BIN_DIR": f"{shared.path}/bin"}
    uv_in(shared, shared.path, OLD, "tool", "install", "cowsay==6.0", more=below)
    venv = shared.path / "venv"
    uv_in(shared, shared.path, OLD, "venv", venv)
    uv_in(shared, shared.path, OLD, "pip", "install", "--python", venv, "six==1.16.0")
    fall_silent(shared)
    policy = cacheadmin.policy(shared.path, complete=complete)

    prune(cacheadmin, policy)

    assert dangling_links(shared.path / "tools") == {}
    assert dangling_links(venv) == {}
    imports(venv, "import six")
    scanned = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert {str(venv), f"{shared.path}/tools/cowsay"} <= {one["path"] for one in scanned}


def test_a_venv_that_is_a_file_is_followed(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    project = project_in(elsewhere / "p", "six==1.16.0")
    real = elsewhere / "out of sight" / "env"
    uv_in(shared, elsewhere, OLD, "venv", real)
    uv_in(shared, elsewhere, OLD, "pip", "install", "--python", real, "six==1.16.0")
    shutil.rmtree(next(shared.path.glob("interpreter-v4")))
    (project / ".venv").write_text(str(real))
    fall_silent(shared, elsewhere)
    places = f"venvs:\n  discover: [{{root: '{project}'}}]\n"
    policy = cacheadmin.policy(shared.path, places)

    prune(cacheadmin, policy)

    assert dangling_links(real) == {}
    imports(real, "import six")


def test_a_venv_that_is_a_file_keeps_the_cached_environment_that_it_names(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    """uv keeps projects' environments in the cache (preview), and goes where such a file leads."""
    central = {"UV_PREVIEW_FEATURES": "centralized-project-envs"}
    environments = []
    for name in ("a", "b"):
        venv = sync(shared, project_in(elsewhere / name, "six==1.16.0"), NEWEST, more=central)
        environment = Path(os.path.realpath(venv))
        venv.unlink()
        venv.write_text(f"{environment}\n")
        age(environment, days=20)
        environments.append(environment)
    uv_in(shared, elsewhere / "a", NEWEST, "sync", "--check")
    places = f"venvs:\n  discover: [{{root: '{elsewhere}'}}]\n"
    policy = cacheadmin.policy(shared.path, places)

    result = prune(cacheadmin, policy)

    for environment in environments:
        imports(environment, "import six")
    rows = {row["path"]: row for row in result["kept"] if row["kind"] == "environment"}
    users = {user.split(" (")[0] for row in rows.values() for user in row["used_by"]}
    assert {f"{elsewhere}/a/.venv", f"{elsewhere}/b/.venv"} <= users
    # One that leads nowhere is broken, and said so.
    shutil.rmtree(environments[0])
    scanned = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    status = {one["path"]: one["status"] for one in scanned}
    assert status[f"{elsewhere}/a/.venv"] == "broken"
    assert status[f"{elsewhere}/b/.venv"] == "ok"
    checkup = cacheadmin("doctor", policy, "--format", "json", code=8).json
    (finding,) = checkup["findings"]
    assert finding["subject"] == f"{elsewhere}/a/.venv"


def test_another_uv_cache_below_a_searched_tree_is_no_place_of_environments(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    private = elsewhere / ".cache" / "uv"
    uv_in(shared, elsewhere, OLD, "--cache-dir", private, "tool", "run", "cowsay", "-t", "hi")
    assert (private / "CACHEDIR.TAG").exists()
    # tox tags the folder of its environments, which are environments all the same.
    tox = elsewhere / ".tox"
    uv_in(shared, elsewhere, OLD, "venv", tox / "py311")
    uv_in(shared, elsewhere, OLD, "pip", "install", "--python", tox / "py311", "six==1.16.0")
    shutil.copy(private / "CACHEDIR.TAG", tox / "CACHEDIR.TAG")
    shutil.rmtree(next(shared.path.glob("interpreter-v4")))
    places = f"venvs:\n  discover: [{{root: '{elsewhere}'}}]\n"
    policy = cacheadmin.policy(shared.path, places)

    scanned = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]

    paths = {one["path"] for one in scanned}
    assert str(tox / "py311") in paths
    assert not [path for path in paths if path.startswith(os.fspath(private))]


def test_the_first_prune_forgets_no_environment_that_the_second_breaks(
    shared: SharedCache, cacheadmin: Cacheadmin, elsewhere: Path
) -> None:
    built = shared.environment("built", OLD, "six==1.16.0")
    fall_silent(shared, built)
    policy = cacheadmin.policy(shared.path)

    for _ in range(2):
        prune(cacheadmin, policy)
        assert dangling_links(built) == {}
        # A container without a volume for the state, a disk that was replaced.
        shutil.rmtree(cacheadmin.folder / "state")
        (cacheadmin.folder / "state").mkdir()
    imports(built, "import six")


def test_what_any_command_saw_is_looked_at_again(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    built = shared.environment("built", OLD, "six==1.16.0")
    policy = cacheadmin.policy(shared.path)
    cacheadmin("preflight", policy, code=4)
    # The prune of another release deletes the only record of the environment.
    for records in shared.path.glob("interpreter-v*"):
        shutil.rmtree(records)
    fall_silent(shared, built)

    prune(cacheadmin, policy)

    assert dangling_links(built) == {}
    imports(built, "import six")
