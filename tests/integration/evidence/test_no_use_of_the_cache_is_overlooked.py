"""Uses that are easy to miss: what a scan overlooks, a prune breaks.

Each story is an environment that works; its archives must be seen as used, or
what hides them must be said.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, links_of
from tests.support.users import User
from tests.support.uv_releases import NEWEST

SIX = "six==1.16.0"


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def archive_of(shared: SharedCache, package: str) -> Path:
    with looking_at(shared.path) as look:
        (archive,) = [a for a in look.inventory.archives.values() if a.package == package]
    return shared.path / archive.path


def relink(environment: Path, old: Path, new: Path | str) -> None:
    """Make links name a folder in another way."""
    for link, text in links_of(environment).items():
        if text.startswith(f"{old}/"):
            os.unlink(link)
            os.symlink(f"{new}{text.removeprefix(str(old))}", link)


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    target.mkdir()
    if subprocess.run(["mount", "--bind", source, target], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


def assert_six_is_used(shared: SharedCache, environment: Path, **how: object) -> None:
    for deep in (False, True):
        with looking_at(shared.path) as look:
            seen = look.scan(environment, deep=deep, **how)  # type: ignore[arg-type]
            assert look.packages(seen) == {"six"}, f"deep={deep}"
            assert seen.status is EnvironmentStatus.OK
            assert seen.broken_links == 0


def test_a_registered_target_folder_is_scanned_as_one(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    target = shared.home() / "target"
    shared.uv(NEWEST, "pip", "install", "--target", target, SIX)
    registry = open_folder / "registry"
    registry.mkdir()
    (registry / "mine").symlink_to(target)
    policy = cacheadmin.policy(
        shared.path, f"venvs:\n  registry: {registry}\n  from_cache: false\n"
    )
    (row,) = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert (row["path"], row["kind"]) == (str(target), "target")
    assert row["link_modes"]["symlink"] == 1


def test_a_folder_scanned_as_the_wrong_kind_still_counts(shared: SharedCache) -> None:
    target = shared.home() / "target"
    shared.uv(NEWEST, "pip", "install", "--target", target, SIX)
    assert_six_is_used(shared, target, kind=EnvironmentKind.VENV)
    environment = shared.environment("proj", NEWEST, SIX)
    assert_six_is_used(shared, environment, kind=EnvironmentKind.TARGET)


@pytest.mark.root
def test_a_bind_mount_of_the_archives_under_another_name(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    archives = archive_of(shared, "six").parent
    with bound(archives, shared.homes / "packages"):
        relink(environment, archives, shared.homes / "packages")
        assert_six_is_used(shared, environment)


@pytest.mark.root
def test_a_bind_mount_of_one_archive(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    archive = archive_of(shared, "six")
    with bound(archive, shared.homes / "six"):
        relink(environment, archive, shared.homes / "six")
        assert_six_is_used(shared, environment)


@pytest.mark.parametrize("odd", ["{archives}/./{id}", "{archives}/x/../{id}", "{archives}//{id}"])
def test_dots_after_the_name_of_the_bucket(shared: SharedCache, odd: str) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    archive = archive_of(shared, "six")
    (archive.parent / "x").mkdir()
    relink(environment, archive, odd.format(archives=archive.parent, id=archive.name))
    assert_six_is_used(shared, environment)


def test_another_cache_whose_archive_is_a_link_to_ours(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    archive = archive_of(shared, "six")
    other = shared.homes / "other" / "archive-v0"
    other.mkdir(parents=True)
    (other / archive.name).symlink_to(archive)
    relink(environment, archive, other / archive.name)
    assert_six_is_used(shared, environment)


def test_a_cache_below_a_folder_named_like_a_bucket(open_folder: Path, index: Index) -> None:
    (open_folder / "builds-v0").mkdir()
    shared = SharedCache.create(open_folder / "builds-v0", index)
    assert_six_is_used(shared, shared.environment("proj", NEWEST, SIX))


def test_a_dist_info_and_a_site_packages_that_are_links(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    archive = archive_of(shared, "six")
    site = site_packages(environment)
    (dist_info,) = site.glob("six-*.dist-info")
    shutil.rmtree(dist_info)
    dist_info.symlink_to(archive / dist_info.name)
    assert_six_is_used(shared, environment)
    shutil.rmtree(site)
    site.symlink_to(archive)
    assert_six_is_used(shared, environment)


def test_an_alias_of_another_host_is_no_broken_link(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    relink(environment, shared.path, "/net/elsewhere/uv")
    for deep in (False, True):
        with looking_at(shared.path, aliases=("/net/elsewhere/uv",)) as look:
            seen = look.scan(environment, deep=deep)
            assert look.packages(seen) == {"six"}
        assert (seen.broken_links, seen.status) == (0, EnvironmentStatus.OK)
    shutil.rmtree(archive_of(shared, "six"))
    with looking_at(shared.path, aliases=("/net/elsewhere/uv",)) as look:
        assert look.scan(environment).broken_packages == ("six",)


def test_folders_deeper_than_a_deep_scan_goes_are_said(shared: SharedCache) -> None:
    environment = shared.environment("proj", NEWEST, SIX)
    folder = environment / "deep"
    for _ in range(70):
        folder = folder / "d"
    folder.mkdir(parents=True)
    with looking_at(shared.path) as look:
        seen = look.scan(environment, deep=True)
    assert not seen.complete
    assert "deeper than" in seen.reason


def test_an_environment_in_the_cache_counts_when_somebody_registers_it(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    script = shared.home() / "script.py"
    script.write_text('# /// script\n# dependencies = ["six==1.16.0"]\n# ///\nimport six\n')
    shared.uv(NEWEST, "run", script)
    (environment,) = (shared.path / "environments-v2").glob("script-*")
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  registry: {registry}\n"
        "prune:\n  environments: {idle: 0s, keep_latest: false}\n",
    )
    relative = str(environment.relative_to(shared.path))

    def removed() -> set[str]:
        plan = cacheadmin("plan", policy, "--format", "json").json
        return {row["path"] for row in plan["removals"]}

    assert relative in removed()
    for number, spelled in enumerate((shared.path, shared.homes / "lnk")):
        if number:
            spelled.symlink_to(shared.path)
        link = registry / "mine"
        link.symlink_to(spelled / relative)
        assert relative not in removed()
        link.unlink()


def test_an_interpreter_entry_alone_does_not_keep_a_cached_environment(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    spelled = shared.homes / "lnk"
    spelled.symlink_to(shared.path)
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello", cache=spelled)
    policy = cacheadmin.policy(shared.path)
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert [row["kind"] for row in rows] == ["cached"]


@pytest.mark.parametrize("decoy", ["pyvenv.cfg", "six-1.0.dist-info"])
def test_discovery_looks_below_folders_that_look_like_environments(
    shared: SharedCache, cacheadmin: Cacheadmin, decoy: str
) -> None:
    environment = shared.environment("proj/.venv", NEWEST, SIX)
    (environment.parent / decoy).mkdir()
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  from_cache: false\n  discover:\n    - root: {shared.homes}\n      depth: 4\n",
    )
    rows = cacheadmin("scan", policy, "--format", "json").json["venvs"]
    assert str(environment) in {row["path"] for row in rows}


def closed_home(open_folder: Path, index: Index, users: list[User]) -> SharedCache:
    shared = SharedCache.create(open_folder, index, users[:2])
    ana, ben = shared.users
    shared.environment("open", NEWEST, SIX, user=ana)
    shared.environment("secret", NEWEST, "idna==3.7", user=ben)
    return shared


def preflight(shared: SharedCache, cacheadmin: Cacheadmin, extra: str) -> str:
    ana = shared.users[0]
    state = f"sqlite:///{cacheadmin.folder}/home-{ana.name}/state.sqlite"
    policy = cacheadmin.policy(shared.path, f"venvs:\n  from_cache: false\n{extra}state: {state}\n")
    answer = cacheadmin("plan", policy, "--format", "json", user=ana, code=4).json
    assert [row for row in answer["removals"] if row["kind"] == "archive"] == []
    checks = cacheadmin("preflight", policy, "--format", "json", user=ana, code=4).json["checks"]
    return json.dumps(checks)


@pytest.mark.root
@pytest.mark.parametrize(
    "where",
    [
        "include: ['{homes}/*/*']",
        "include: ['{homes}/*/secret']",
        "discover: [{{root: '{homes}/*'}}]",
    ],
)
def test_a_closed_home_behind_a_pattern_is_said(
    open_folder: Path, index: Index, three_users: list[User], cacheadmin: Cacheadmin, where: str
) -> None:
    shared = closed_home(open_folder, index, three_users)
    home = shared.home(shared.users[1])
    home.chmod(0o700)
    checks = preflight(shared, cacheadmin, f"  {where.format(homes=shared.homes)}\n")
    assert str(home) in checks


@pytest.mark.root
@pytest.mark.parametrize("closed", ["", "lib", "site-packages", "dist-info"])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_closed_folder_in_an_environment_is_said(
    open_folder: Path,
    index: Index,
    three_users: list[User],
    cacheadmin: Cacheadmin,
    closed: str,
    mode: int,
) -> None:
    shared = closed_home(open_folder, index, three_users)
    environment = shared.home(shared.users[1]) / "secret"
    site = site_packages(environment)
    folders = {
        "": environment,
        "lib": environment / "lib",
        "site-packages": site,
        "dist-info": next(site.glob("idna-*.dist-info")),
    }
    folders[closed].chmod(mode)
    checks = preflight(shared, cacheadmin, f"  include: ['{shared.homes}/*/*']\n")
    assert str(environment) in checks
