"""A link counts when it leads into the cache, however the cache is spelled."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus, LinkMode
from cacheadmin.evidence.tools import tools_of
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, age, dangling_links, links_of
from tests.support.uv_releases import NEWEST

PACKAGES = {"six", "idna"}


def install(shared: SharedCache, name: str, release: str = NEWEST, **options) -> Path:
    return shared.environment(name, release, "six==1.16.0", "idna==3.7", **options)


@pytest.mark.parametrize("release", ["0.2.37", "0.5.10", "0.8.5", NEWEST])
@pytest.mark.parametrize("deep", [False, True])
def test_every_release_in_symlink_mode(shared: SharedCache, release: str, deep: bool) -> None:
    environment = install(shared, "proj", release)
    with looking_at(shared.path) as look:
        seen = look.scan(environment, deep=deep)
        assert look.packages(seen) == PACKAGES
    assert seen.uv_version == release
    assert seen.status is EnvironmentStatus.OK
    assert seen.link_modes == {LinkMode.SYMLINK: 2}
    inside = [text for text in links_of(environment).values() if "/archive-v0/" in text]
    assert seen.links == (len(inside) if deep else 2)


@pytest.mark.parametrize(("mode", "expected"), [("hardlink", "hardlink"), ("copy", "copy")])
def test_hardlinks_and_copies_need_no_archive(
    shared: SharedCache, mode: str, expected: str
) -> None:
    environment = install(shared, "proj", link_mode=mode)
    with looking_at(shared.path) as look:
        seen = look.scan(environment)
        hardlinked = {look.inventory.archives[one].package for one in seen.hardlinked_archives}
    assert seen.link_modes == {LinkMode(expected): 2}
    assert seen.archives == frozenset()
    assert hardlinked == (PACKAGES if expected == "hardlink" else set())


def test_a_link_in_a_home_folder_leads_to_the_same_cache(shared: SharedCache) -> None:
    spelled = shared.homes / "lnk"
    spelled.symlink_to(shared.path)
    environment = install(shared, "proj", cache=spelled)
    assert any(str(spelled) in text for text in links_of(environment).values())
    with looking_at(shared.path) as look:
        assert look.packages(look.scan(environment)) == PACKAGES
        assert look.packages(look.scan(environment, deep=True)) == PACKAGES


@pytest.mark.root
def test_a_bind_mount_is_the_same_cache(shared: SharedCache) -> None:
    elsewhere = shared.homes / "mounted"
    elsewhere.mkdir()
    mounting = subprocess.run(["mount", "--bind", shared.path, elsewhere], check=False)
    if mounting.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        environment = install(shared, "proj", cache=elsewhere)
        with looking_at(shared.path) as look:
            assert look.packages(look.scan(environment)) == PACKAGES
    finally:
        subprocess.run(["umount", elsewhere], check=True)


def relink(environment: Path, old: str, new: str) -> None:
    """Make an environment's links name the cache in another way."""
    for path, text in links_of(environment).items():
        if old in text:
            os.unlink(path)
            os.symlink(text.replace(old, new), path)


def test_a_name_of_another_host_counts_by_alias_and_by_the_archives_it_names(
    shared: SharedCache,
) -> None:
    environment = install(shared, "proj")
    relink(environment, str(shared.path), "/net/other/host/uv")
    with looking_at(shared.path, aliases=("/net/other/host/uv",)) as look:
        assert look.packages(look.scan(environment)) == PACKAGES
    # Without the alias too: the ids exist here, and the place does not.
    with looking_at(shared.path) as look:
        assert look.packages(look.scan(environment)) == PACKAGES


def test_links_into_a_copy_of_the_cache_are_foreign(shared: SharedCache) -> None:
    environment = install(shared, "proj")
    other = shared.homes / "copied-cache"
    shutil.copytree(shared.path, other, symlinks=True)
    relink(environment, str(shared.path), str(other))
    with looking_at(shared.path) as look:
        seen = look.scan(environment)
    assert seen.archives == frozenset()
    assert seen.status is EnvironmentStatus.FOREIGN


def test_where_this_host_has_another_cache_under_the_same_name_archives_tell_which_is_meant(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    """A container has the shared cache at /root/.cache/uv, and so has root a private one here."""
    name = open_folder / "root" / ".cache" / "uv"
    name.parent.mkdir(parents=True)
    name.symlink_to(shared.path)
    environment = install(shared, "proj", cache=name)
    name.unlink()
    uv_in(shared, open_folder, NEWEST, "--cache-dir", name, "pip", "install", "-t", "t", "pytz")
    texts = [text for text in links_of(environment).values() if "/uv/" in text]
    assert texts and not any(map(os.path.exists, texts))
    age(shared.path, days=40)
    for bucket in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(bucket):
            shutil.rmtree(folder)
    places = f"venvs:\n  discover: [{{root: '{shared.homes}'}}]\n"

    cacheadmin("prune", cacheadmin.policy(shared.path, places), code=0)

    shutil.rmtree(name)
    name.symlink_to(shared.path)
    assert dangling_links(environment) == {}
    with looking_at(shared.path) as look:
        # Whichever name it goes by: what is there is meant.
        assert look.packages(look.scan(environment)) == PACKAGES


def test_relative_links_dots_and_shortcuts_into_an_archive(shared: SharedCache) -> None:
    environment = install(shared, "proj")
    with looking_at(shared.path) as look:
        six, idna = sorted(look.inventory.archives.values(), key=lambda a: a.package != "six")
    for archive, make in ((six, "relative"), (idna, "shortcut")):
        path = shared.path / archive.path
        shortcut = shared.homes / "shortcut"
        for link, text in links_of(environment).items():
            if archive.id not in text:
                continue
            os.unlink(link)
            inner = text.split(f"{archive.id}/")[1]
            if make == "relative":
                target = os.path.relpath(path / inner, os.path.dirname(link))
                os.symlink(f"./{target}", link)
            else:
                if not shortcut.is_symlink():
                    shortcut.symlink_to(path)
                os.symlink(shortcut / inner, link)
    with looking_at(shared.path) as look:
        assert look.packages(look.scan(environment)) == PACKAGES


def test_a_dangling_link_is_broken_and_names_its_package(shared: SharedCache) -> None:
    environment = install(shared, "proj")
    with looking_at(shared.path) as look:
        (six,) = [a for a in look.inventory.archives.values() if a.package == "six"]
    shutil.rmtree(shared.path / six.path)
    with looking_at(shared.path) as look:
        seen = look.scan(environment)
    assert (seen.status, seen.broken_links) == (EnvironmentStatus.BROKEN, 1)
    assert seen.broken_packages == ("six",)


def test_target_folders_tools_and_projects_are_environments_too(
    shared: SharedCache, cacheadmin
) -> None:
    home = shared.home()
    target = home / "target"
    shared.uv(NEWEST, "pip", "install", "--target", target, "six==1.16.0")
    shared.uv(NEWEST, "tool", "install", "cowsay==6.0")
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  from_cache: false\n  discover:\n    - root: {shared.homes}\n      depth: 8\n",
    )
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    kinds = {row["kind"]: row for row in rows}
    assert kinds["target"]["path"] == str(target)
    assert kinds["tool"]["path"].endswith("/uv/tools/cowsay")
    assert all(kinds[kind]["link_modes"]["symlink"] == 1 for kind in ("target", "tool"))


def test_a_cached_environment_is_a_consumer_and_tells_its_tool(
    shared: SharedCache, cacheadmin
) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    policy = cacheadmin.policy(shared.path)
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    (row,) = [row for row in rows if row["kind"] == EnvironmentKind.CACHED]
    assert row["link_modes"]["symlink"] == 1
    plan = cacheadmin("plan", policy, "--format", "json").json
    (kept,) = [row for row in plan["kept"] if row["kind"] == "environment"]
    assert kept["rule"] == "environment.recent"
    with looking_at(shared.path) as look:
        assert tools_of(row["path"]) == {"cowsay": "6.1"}
        assert {a.package for a in look.inventory.archives.values()} == {"cowsay", None}
