"""A program that runs shows where it has its packages from, whatever it was called.

No source but the process names these environments, the site gives its word that all are
known, and nothing else keeps what they link.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.titles import overwriting

OLD = "0.8.5"

# It has left its first working directory, as daemons do.
_PROGRAM = "import os, six, sys; os.chdir('/'); print('up', flush=True); sys.stdin.read()"


@contextmanager
def running(
    called: str,
    variables: Mapping[str, str],
    *more: str,
    program: Path,
    folder: Path,
    code: str = _PROGRAM,
) -> Iterator[None]:
    process = subprocess.Popen(
        [called, "-c", code, *more],
        executable=program,
        env={"PATH": "/usr/bin:/bin", **variables},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
    finally:
        process.kill()
        process.communicate()


def prune(cacheadmin: Cacheadmin, shared: SharedCache) -> dict:
    policy = cacheadmin.policy(shared.path)
    return cacheadmin("prune", policy, "--format", "json", code=0).json


def test_without_the_program_nothing_names_the_environment(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    """So that the other tests here can fail."""
    prune(cacheadmin, shared)
    assert dangling_links(hidden)


def test_a_program_that_was_found_through_path_keeps_its_environment(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    """uv's recipe for containers: `ENV PATH="/app/.venv/bin:$PATH"`, `CMD ["python", ...]`."""
    path = {"PATH": f"/nowhere:{hidden}/bin:/usr/bin:/bin"}
    with running("python", path, program=hidden / "bin" / "python", folder=hidden):
        prune(cacheadmin, shared)
    assert dangling_links(hidden) == {}


def test_a_program_that_was_called_by_a_relative_path_keeps_its_environment(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    variables = {"PWD": str(hidden)}
    with running("bin/python", variables, program=hidden / "bin" / "python", folder=hidden):
        prune(cacheadmin, shared)
    assert dangling_links(hidden) == {}


@pytest.mark.parametrize("where", ["of its own", "of an environment", "below an environment"])
def test_a_program_keeps_what_pythonpath_names(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path, where: str
) -> None:
    packages = next(hidden.glob("lib/*/site-packages"))
    if where == "of its own":
        packages = packages.rename(open_folder / "vendor")
    elif where == "below an environment":
        own = hidden / "my" / "app" / "site-packages"
        own.parent.mkdir(parents=True)
        packages = packages.rename(own)
    python = Path(sys.base_prefix) / "bin" / "python3"
    variables = {"PYTHONPATH": f"{open_folder}:{packages}"}
    with running(str(python), variables, program=python, folder=open_folder):
        prune(cacheadmin, shared)
    assert dangling_links(packages) == {}


@pytest.mark.parametrize("option", ["--virtualenv={}", "{}", "--python={}/bin/python"])
def test_a_server_keeps_the_environment_that_it_was_told_of(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, option: str
) -> None:
    """As `uwsgi --virtualenv` is: a program of the system's that takes packages from there."""
    python = Path(sys.base_prefix) / "bin" / "python3"
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    told = option.format(hidden)
    with running(str(python), {}, told, program=python, folder=hidden, code=code):
        prune(cacheadmin, shared)
    assert dangling_links(hidden) == {}


def test_a_python_that_runs_keeps_what_was_installed_into_it(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path
) -> None:
    """`uv pip install --system`."""
    whole = a_python(open_folder / "opt")
    packages = next(hidden.glob("lib/*/site-packages"))
    own = whole / "lib" / packages.parent.name / "site-packages"
    packages.rename(own)
    (python,) = (whole / "bin").iterdir()
    with running("service", {}, program=python, folder=open_folder):
        prune(cacheadmin, shared)
    assert dangling_links(own) == {}


def a_python(prefix: Path) -> Path:
    """Make a Python that is no venv, of this one's standard library, without any packages."""
    real = Path(os.path.realpath(sys.executable))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = prefix / "lib" / version
    library.mkdir(parents=True)
    (prefix / "bin").mkdir()
    shutil.copy(real, prefix / "bin" / version)
    for one in (Path(sys.base_prefix) / "lib" / version).iterdir():
        if one.name not in ("site-packages", "dist-packages"):
            (library / one.name).symlink_to(one)
    return prefix


@pytest.mark.parametrize("title", ["gunicorn: worker [app]", "ray::IDLE " + "=" * 300])
def test_a_program_that_shows_a_title_keeps_its_environment(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, title: str
) -> None:
    """As gunicorn, celery and ray do where `setproctitle` is installed."""
    python = str(hidden / "bin" / "python")
    variables = {"VIRTUAL_ENV": str(hidden)}
    code = f"{overwriting(title)}; {_PROGRAM}"
    with running(python, variables, program=hidden / "bin" / "python", folder=hidden, code=code):
        prune(cacheadmin, shared)
    assert dangling_links(hidden) == {}


def test_a_program_that_shows_a_title_and_nothing_else_may_run_from_anywhere(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    """Called by a relative path; that it left, with all else that tells of it, is overwritten."""
    relative = Path("bin/python")
    code = f"{overwriting('worker')}; {_PROGRAM}"
    with running("bin/python", {"PWD": str(hidden)}, program=relative, folder=hidden, code=code):
        result = prune(cacheadmin, shared)
        assert dangling_links(hidden) == {}
    assert {gap["id"] for gap in result["gaps"]} == {"unseen.process"}
    assert len(result["trial"]["planted"]) == 1
