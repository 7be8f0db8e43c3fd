"""`--system-site-packages`: what is installed into its Python belongs to an environment, too.

The environment lies where the policy looks, its Python elsewhere, as in /opt. The site
gives its word that all environments are known, and nothing else keeps what they link.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, dangling_links

OLD = "0.8.5"


@pytest.fixture
def searched(open_folder: Path) -> Path:
    """The only tree that the policy names."""
    folder = open_folder / "searched"
    folder.mkdir()
    return folder


@pytest.fixture
def python(open_folder: Path) -> Path:
    """A Python of its own, as in /opt; the standard library is links."""
    library = Path(os.__file__).parent
    program = Path(os.path.realpath(sys.executable))
    prefix = open_folder / "opt" / "python"
    packages = prefix / "lib" / library.name / "site-packages"
    packages.mkdir(parents=True)
    for name in sorted(os.listdir(library)):
        if name != "site-packages":
            (packages.parent / name).symlink_to(library / name)
    (prefix / "bin").mkdir()
    return Path(shutil.copy2(program, prefix / "bin" / program.name))


def packages_of(python: Path) -> Path:
    return next(python.parent.parent.glob("lib/*/site-packages"))


def install(shared: SharedCache, *into: object) -> None:
    uv_in(shared, shared.home(), OLD, "pip", "install", *into)


def forget(shared: SharedCache) -> None:
    """Leave nothing in the cache but archives, as users' prunes do where roots are planted."""
    for pattern in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(pattern):
            shutil.rmtree(folder)


def make(shared: SharedCache, environment: Path, python: Path, *options: str) -> None:
    uv_in(shared, shared.home(), OLD, "venv", *options, "--python", python, environment)


def prune(cacheadmin: Cacheadmin, shared: SharedCache, searched: Path) -> None:
    forget(shared)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  discover: [{{root: '{searched}'}}]\n")
    cacheadmin("prune", policy, "--format", "json", code=0)


def imports(environment: Path, package: str) -> bool:
    call = [environment / "bin" / "python", "-c", f"import {package}"]
    return subprocess.run(call, capture_output=True, check=False).returncode == 0


def test_packages_of_its_python_stay_for_an_environment_that_includes_them(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path
) -> None:
    install(shared, "--system", "--python", python, "six==1.16.0")
    environment = searched / "project" / ".venv"
    make(shared, environment, python, "--system-site-packages")
    assert imports(environment, "six")

    prune(cacheadmin, shared, searched)

    assert imports(environment, "six")


def test_packages_stay_where_the_environment_names_a_link_to_its_python(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path, open_folder: Path
) -> None:
    """As `/usr/local/bin/python3` is: a Python that was built for /opt finds its own packages."""
    install(shared, "--system", "--python", python, "six==1.16.0")
    environment = searched / "project" / ".venv"
    make(shared, environment, python, "--system-site-packages")
    config = environment / "pyvenv.cfg"
    config.write_text(config.read_text().replace(str(python.parent), f"{open_folder}/local/bin"))

    prune(cacheadmin, shared, searched)

    assert (packages_of(python) / "six.py").exists()


def test_what_path_files_of_its_python_name_stays(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path, open_folder: Path
) -> None:
    vendor = open_folder / "vendor"
    install(shared, "--target", vendor, "six==1.16.0")
    (packages_of(python) / "vendor.pth").write_text(f"{vendor}\n")
    environment = searched / "project" / ".venv"
    make(shared, environment, python, "--system-site-packages")
    assert imports(environment, "six")

    prune(cacheadmin, shared, searched)

    assert imports(environment, "six")


def test_what_is_installed_into_its_python_later_stays(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path
) -> None:
    """Nothing in the environment itself has changed since it was looked at."""
    environment = searched / "project" / ".venv"
    make(shared, environment, python, "--system-site-packages")
    prune(cacheadmin, shared, searched)
    install(shared, "--system", "--python", python, "six==1.16.0")

    prune(cacheadmin, shared, searched)

    assert imports(environment, "six")


def test_an_environment_whose_python_is_gone_keeps_nothing_but_its_own(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path
) -> None:
    environment = searched / "project" / ".venv"
    make(shared, environment, python, "--system-site-packages")
    install(shared, "--python", environment / "bin" / "python", "six==1.16.0")
    install(shared, "--target", searched.parent / "unknown", "pytz==2024.1")
    shutil.rmtree(python.parent.parent)

    prune(cacheadmin, shared, searched)

    assert dangling_links(environment / "lib") == {}
    assert dangling_links(searched.parent / "unknown")


def test_packages_of_its_python_go_where_an_environment_does_not_include_them(
    shared: SharedCache, cacheadmin: Cacheadmin, searched: Path, python: Path
) -> None:
    """So that the other tests here can fail."""
    install(shared, "--system", "--python", python, "six==1.16.0")
    make(shared, searched / "project" / ".venv", python)
    packages = packages_of(python)

    prune(cacheadmin, shared, searched)

    assert not (packages / "six.py").exists()
