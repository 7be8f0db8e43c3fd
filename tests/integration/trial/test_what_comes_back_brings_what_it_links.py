"""A cached environment that comes back from trial for a user who is known comes back whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.trial_sites import ENTRY, lay_out

SCRIPT = "environments-v2/script-0123456789abcdef"
# Trials are over as soon as a look has seen them silent.
SHORT = (
    "prune: {environments: {idle: 0d, keep_latest: false}, trial: {for: 0d, at_least: 0d}}\n"
    "hosts: {only: this}\n"
)


def script_environment(cache: Path) -> Path:
    """Make the environment of a script, which links all files of the archive."""
    environment = cache / SCRIPT
    packages = environment / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    for file in [one for one in (cache / ENTRY).rglob("*") if one.is_file()]:
        link = packages / file.relative_to(cache / ENTRY)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file)
    return environment


@contextmanager
def use(how: str, cacheadmin: Cacheadmin, policy: Path, environment: Path) -> Iterator[None]:
    if how == "pin":
        cacheadmin("pin", "add", policy, SCRIPT, code=0)
    elif how == "registry":
        (cacheadmin.folder / "registry" / "mine").symlink_to(environment)
    else:
        program = subprocess.Popen(["sleep", "600"], env={"VIRTUAL_ENV": str(environment)})
        try:
            yield
        finally:
            program.kill()
            program.wait()
        return
    yield


@pytest.mark.parametrize("how", ["pin", "registry", "process"])
def test_what_an_environment_links_does_not_end_in_the_run_that_finds_its_user(
    open_folder: Path, cacheadmin: Cacheadmin, how: str
) -> None:
    lay_out(open_folder)
    cache = open_folder / "cache"
    shutil.rmtree(open_folder / "env")
    environment = script_environment(cache)
    age(cache, days=60)
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    registry = cacheadmin.folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    sources = f"venvs: {{registry: {registry}, discover: [{{root: {elsewhere}}}]}}\n"
    policy = cacheadmin.policy(cache, sources + SHORT, complete=False)
    first = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert set(first["trial"]["planted"]) == {ENTRY, SCRIPT}
    with use(how, cacheadmin, policy, environment):
        for _ in range(2):
            trial = cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]
            assert trial["ended"] == []
            links = [one for one in environment.rglob("*") if one.is_symlink()]
            assert links
            assert [one for one in links if not one.exists()] == []
