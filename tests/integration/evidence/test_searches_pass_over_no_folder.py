"""No folder of a searched tree is passed over in silence: what hides there keeps what it links.

Each environment here links an archive that nothing else keeps, and the site gives its word
that the trees it names hold all environments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.automounter import automounter
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, dangling_links

OLD = "0.8.5"


@pytest.fixture
def tree(open_folder: Path) -> Path:
    """The only tree that the policy names."""
    folder = open_folder / "tree"
    folder.mkdir()
    return folder


def pruned(cacheadmin: Cacheadmin, shared: SharedCache, tree: Path) -> dict:
    policy = cacheadmin.policy(shared.path, f"venvs:\n  discover: [{{root: '{tree}'}}]\n")
    return cacheadmin("prune", policy, "--format", "json", code=0).json


def test_projects_in_a_folder_that_is_a_uv_cache_as_well_are_found(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    """As after `uv --cache-dir .`, or with a cache in a scratch folder that holds projects too."""
    scratch = tree / "ana"
    scratch.mkdir()
    uv_in(shared, scratch, OLD, "--cache-dir", scratch, "pip", "install", "--target", "t", "idna")
    assert {"CACHEDIR.TAG", "archive-v0"} <= set(os.listdir(scratch))
    project = scratch / "project"
    project.mkdir()
    hidden.rename(project / ".venv")

    pruned(cacheadmin, shared, tree)

    assert dangling_links(project) == {}


@pytest.mark.parametrize("names", ["an archive", "packages elsewhere"])
def test_path_files_in_a_users_own_packages_are_read(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    hidden: Path,
    tree: Path,
    open_folder: Path,
    names: str,
) -> None:
    """`~/.local/lib/python3.11/site-packages`, with nothing in it but a path file."""
    packages = next(hidden.glob("lib/*/site-packages"))
    if names == "an archive":
        named = (packages / "six.py").resolve().parent
    else:
        named = packages.rename(open_folder / "elsewhere")
    shutil.rmtree(hidden)
    own = tree / "ana" / ".local" / "lib" / "python3.11" / "site-packages"
    own.mkdir(parents=True)
    (own / "more.pth").write_text(f"{named}\n")

    pruned(cacheadmin, shared, tree)

    assert (named / "six.py").exists()


@pytest.mark.parametrize("level", [(), ("red",)])
def test_homes_that_are_links_are_searched(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    hidden: Path,
    tree: Path,
    open_folder: Path,
    level: tuple[str, ...],
) -> None:
    """`/home/ana -> /data/home/ana`, as where one disk became too small."""
    home = open_folder / "data" / "ana"
    home.mkdir(parents=True)
    hidden.rename(home / "project")
    tree.joinpath(*level).mkdir(exist_ok=True)
    tree.joinpath(*level, "ana").symlink_to(home)

    assert pruned(cacheadmin, shared, tree)["gaps"] == []

    assert dangling_links(home) == {}


def test_a_home_that_is_a_link_to_a_disk_that_is_not_mounted_is_told(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path, open_folder: Path
) -> None:
    (tree / "ana").symlink_to(open_folder / "data" / "ana")

    result = pruned(cacheadmin, shared, tree)

    assert [(gap["id"], gap["subject"]) for gap in result["gaps"]] == [
        ("unseen.discover", f"{tree}/ana")
    ]
    # On trial: it works on.
    assert len(result["trial"]["planted"]) == 1
    assert dangling_links(hidden) == {}


def test_links_to_what_lies_above_or_is_no_persons_place_are_let_be(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    (tree / "ana").mkdir()
    for name, target in {"all": "/", "up": "..", "self": ".", "beside": "ana"}.items():
        (tree / name).symlink_to(target)
    (tree / "kernel").symlink_to("/proc/self")
    (tree / "file").symlink_to("/etc/passwd")

    assert pruned(cacheadmin, shared, tree)["gaps"] == []

    assert dangling_links(hidden)


@pytest.mark.root
def test_links_of_users_at_the_top_of_a_tree_of_roots_are_not_followed(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    """Where any account may make names, as in /tmp, one could have the whole disk searched."""
    (tree / "eve").symlink_to(hidden.parent)
    os.chown(tree / "eve", 61001, 61001, follow_symlinks=False)

    pruned(cacheadmin, shared, tree)

    assert dangling_links(hidden)


def test_one_link_by_hand_among_many_is_found(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    programs = tree / "bin"
    programs.mkdir()
    for number in range(300):
        (programs / f"program{number}").symlink_to("/bin/true")
    module = os.path.realpath(next(hidden.glob("lib/*/site-packages/six.py")))
    (programs / "six.py").symlink_to(module)
    shutil.rmtree(hidden)

    pruned(cacheadmin, shared, tree)

    assert dangling_links(programs) == {}


def test_a_link_to_a_cached_environment_is_found_whatever_it_is_called(
    shared: SharedCache, cacheadmin: Cacheadmin, tree: Path
) -> None:
    script = tree.parent / "script.py"
    script.write_text('# /// script\n# dependencies = ["six==1.16.0"]\n# ///\nimport six\n')
    uv_in(shared, tree.parent, OLD, "run", "--quiet", "--script", script)
    (environment,) = (shared.path / "environments-v2").glob("script-*")
    (tree / "of-the-script").symlink_to(environment)
    idle = "prune: {environments: {idle: 0s, keep_latest: false}}\n"
    places = f"venvs:\n  discover: [{{root: '{tree}'}}]\n"

    cacheadmin("prune", cacheadmin.policy(shared.path, idle + places), code=0)

    python = tree / "of-the-script" / "bin" / "python"
    subprocess.run([python, "-c", "import six"], check=True)


def test_a_target_folder_called_site_packages_is_no_part_of_what_lies_above(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    """`--target /opt/app/site-packages`: three folders up, `/` has `lib/python3` of the system."""
    packages = tree / "opt" / "app" / "site-packages"
    packages.parent.mkdir(parents=True)
    next(hidden.glob("lib/*/site-packages")).rename(packages)
    (tree / "lib" / "python3" / "dist-packages").mkdir(parents=True)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  discover: [{{root: '{tree}'}}]\n")

    scanned = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]

    kinds = {one["path"]: one["kind"] for one in scanned}
    assert kinds[str(packages)] == "target"
    assert str(tree) not in kinds
    pruned(cacheadmin, shared, tree)
    assert dangling_links(packages) == {}


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
@pytest.mark.parametrize("where", ["in its place", "below"])
def test_what_an_automounter_has_mounted_is_searched(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path, where: str
) -> None:
    """`x-systemd.automount` in /etc/fstab leaves two mounts in one place."""
    projects = tree / "projects"
    projects.mkdir()
    with automounter(projects):
        place = projects if where == "in its place" else projects / "other"
        with mounted(place):
            environment = place / "environment"
            shutil.copytree(hidden, environment, symlinks=True)
            shutil.rmtree(hidden)

            pruned(cacheadmin, shared, tree)

            assert dangling_links(environment) == {}


@pytest.mark.root
def test_what_an_automounter_can_not_mount_is_told_and_keeps_what_it_may_link(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, tree: Path
) -> None:
    projects = tree / "projects"
    projects.mkdir()
    with automounter(projects):
        assert os.listdir(projects) == ["other"]

        result = pruned(cacheadmin, shared, tree)

    assert dangling_links(hidden) == {}
    (gap,) = result["gaps"]
    assert gap["subject"] == f"{projects}/other"
    assert "automounter" in gap["detail"]
