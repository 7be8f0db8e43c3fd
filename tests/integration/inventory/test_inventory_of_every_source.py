"""Every way to get a package, with real releases: nothing in the cache is overlooked."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from cacheadmin.inventory.entries import ArchiveContent, Inventory
from cacheadmin.inventory.reader import interpreter_prefixes, open_cache, read_inventory
from cacheadmin.uv.releases import buckets_of
from tests.support.running_uv import binary_for, python_for, run_uv, uv_environment
from tests.support.shared_cache import SharedCache, names_in
from tests.support.uv_releases import NEWEST

RELEASES = ["0.2.37", "0.5.10", "0.6.4", "0.8.5", "0.12.24", NEWEST]

PROJECT = """
[build-system]
requires = ["flit_core==3.12.0"]
build-backend = "flit_core.buildapi"
[project]
name = "thing"
version = "1.0"
description = "x"
"""

SCRIPT = """
# /// script
# dependencies = ["idna==3.7"]
# ///
import idna
"""


def fill(shared: SharedCache, release: str, folder: Path) -> Path:
    """Get packages from everywhere a release can get them; return an environment."""
    (folder / "thing").mkdir()
    (folder / "thing" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "script.py").write_text(SCRIPT)
    environment = shared.environment("proj", release, "six==1.16.0")
    served = shared.index.url.removesuffix("simple/")
    files = shared.index.folder
    python = environment / "bin" / "python"
    for requirements in (
        ["--no-binary", "idna", "idna==3.6"],
        ["--editable", folder],
        [f"{served}cowsay-6.1-py3-none-any.whl"],
        ["--reinstall", f"{served}idna-3.6.tar.gz"],
        [files / "pytz-2025.2-py2.py3-none-any.whl"],
        ["--find-links", files, "--no-index", "pathspec==0.12.1"],
        ["--reinstall", files / "idna-3.6.tar.gz"],
    ):
        shared.uv(release, "pip", "install", "--python", python, *requirements)
    shared.uv(release, "tool", "run", "cowsay", "-t", "hello")
    shared.uv(release, "run", "--python", python, folder / "script.py")
    return environment


def led_to(inventory: Inventory) -> set[str]:
    holders = (*inventory.wheel_pointers, *inventory.revisions)
    found = {archive for holder in holders for archive in holder.archives}
    return found | {entry.archive for entry in inventory.environments if entry.archive}


@pytest.mark.parametrize("release", RELEASES)
def test_packages_from_everywhere(shared: SharedCache, release: str, tmp_path: Path) -> None:
    environment = fill(shared, release, tmp_path)
    with open_cache(str(shared.path)) as cache:
        inventory = read_inventory(cache)
        named = interpreter_prefixes(cache)
    assert {bucket.name for bucket in inventory.buckets} <= buckets_of(release)
    assert inventory.strays == inventory.builds == inventory.unreadable == ()
    assert named.damaged == named.unseen == ()
    assert str(environment) in {prefix for prefix, _, _ in named.prefixes}

    sources = {(r.path.split("/")[1], r.package, r.version) for r in inventory.revisions}
    assert sources == {
        ("index", "idna", "3.6"),
        ("url", "idna", "3.6"),
        ("editable", "thing", "1.0"),
        ("path", "idna", "3.6"),
    }
    assert all(revision.current for revision in inventory.revisions)
    wheels = {(p.path.split("/")[1], p.package, p.version) for p in inventory.wheel_pointers}
    assert {
        ("index", "six", "1.16.0"),
        ("url", "cowsay", "6.1"),
        ("url", "pytz", "2025.2"),
    } < wheels
    assert ("index", "pathspec", "0.12.1") in wheels
    for pointer in inventory.wheel_pointers:
        assert pointer.understood
        assert pointer.archives == {pointer.linked_archive}
    for archive in inventory.archives.values():
        is_wheel = archive.content is ArchiveContent.WHEEL
        assert is_wheel == (archive.package is not None) == (archive.version is not None)
    assert led_to(inventory) <= set(inventory.archives)

    # What uv's own prune counts, every link anywhere, is counted here too.
    for path in names_in(shared.path):
        link = shared.path / path
        if link.is_symlink() and "archive-v0" in os.readlink(link) and path[:7] != "archive":
            inside = any(path.startswith(f"{e.path}/") for e in inventory.environments)
            assert inside or Path(os.readlink(link)).name in led_to(inventory), path


@pytest.mark.parametrize("release", ["0.1.5", "0.1.45"])
def test_the_oldest_releases(shared: SharedCache, release: str) -> None:
    """Pointers that hold a path, built wheels, a manifest where later a revision file is."""
    environment = shared.home() / "proj"
    room = {"cache": shared.path, "home": shared.home(), "user": shared.users[0]}
    served = shared.index.url.removesuffix("simple/")
    run_uv(release, "venv", "--python", python_for(shared.users[0]), environment, **room)
    for requirement in (f"cowsay @ {served}cowsay-6.1-py3-none-any.whl", "six", "docopt"):
        command = ["pip", "install", "--no-index", "--find-links", shared.index.folder]
        active = {"VIRTUAL_ENV": str(environment)}
        run_uv(release, *command, requirement, extra_environment=active, **room)
    with open_cache(str(shared.path)) as cache:
        inventory = read_inventory(cache)
        named = interpreter_prefixes(cache)
    assert {bucket.name for bucket in inventory.buckets} <= buckets_of(release)
    assert inventory.strays == inventory.unreadable == named.damaged == ()
    assert str(environment) in {prefix for prefix, _, _ in named.prefixes}
    versions = {pointer.package: pointer.version for pointer in inventory.wheel_pointers}
    assert {"cowsay": "6.1", "six": "1.17.0"}.items() <= versions.items()
    assert any(shared.path.glob("wheels-v*/url/*/cowsay/*.http"))
    for pointer in inventory.wheel_pointers:
        assert pointer.understood
        assert pointer.archives == {pointer.linked_archive}
    (revision,) = inventory.revisions
    assert (revision.package, revision.version) == ("docopt", "0.6.2")
    assert revision.current is not False
    assert led_to(inventory) == set(inventory.archives)


@pytest.mark.parametrize("release", ["0.5.10", "0.8.5", NEWEST])
def test_what_a_killed_uv_was_unpacking_is_a_temporary_folder(
    shared: SharedCache, release: str, tmp_path: Path
) -> None:
    environment = shared.environment("proj", release, "six==1.16.0")
    with open_cache(str(shared.path)) as cache:
        before = read_inventory(cache)
    left = _kill_while_unpacking(shared, release, environment, _large_source(tmp_path))
    with open_cache(str(shared.path)) as cache:
        inventory = read_inventory(cache)
    assert left <= {build.path for build in inventory.builds}
    assert inventory.unreadable == inventory.strays == ()
    assert inventory.wheel_pointers == before.wheel_pointers
    assert {r.path for r in inventory.revisions if r.archives} == set()
    assert not any(name in folder for name in left for folder in inventory.watched)


def _large_source(folder: Path) -> Path:
    """Return a source archive that takes a while to unpack, deep and with a link in it."""
    path = folder / "big-1.0.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        link = tarfile.TarInfo("big-1.0/a/link")
        link.type, link.linkname = tarfile.SYMTYPE, "b"
        archive.addfile(link)
        for name in ["PKG-INFO", *(f"a/b/c/d/e/f/g/h/m{number}.py" for number in range(20_000))]:
            entry = tarfile.TarInfo(f"big-1.0/{name}")
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"x=1\n"))
    return path


def _kill_while_unpacking(
    shared: SharedCache, release: str, environment: Path, source: Path
) -> set[str]:
    """Start an installation, kill it as soon as it unpacks; return what is left behind."""
    user = shared.users[0]
    variables = uv_environment(cache=shared.path, home=shared.home(), index=shared.index, user=user)
    source.chmod(0o644)
    command = [binary_for(release, user), "pip", "install", "--python"]
    with subprocess.Popen(
        [*command, environment / "bin" / "python", source],
        env=variables,
        cwd=shared.home(),
        stderr=subprocess.DEVNULL,
        **user.process_arguments(),
    ) as process:
        deadline = time.monotonic() + 30
        left: set[str] = set()
        while not left and process.poll() is None and time.monotonic() < deadline:
            unpacking = shared.path.glob("sdists-v*/.tmp*/*/a/b/c/d/e/f/g/h")
            left = {"/".join(p.relative_to(shared.path).parts[:2]) for p in unpacking}
        process.send_signal(signal.SIGKILL)
    assert left, "it was never seen unpacking"
    return left
