"""Fixtures that all tests share; ``tests/support`` says what they give."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import again_alone, own_disk
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.failures import write_failures
from tests.support.filesystems import filesystem
from tests.support.incident import Incident, build_incident
from tests.support.packages import Index, serve_index
from tests.support.shared_cache import SharedCache
from tests.support.users import User, open_temporary_folder, other_users, python_for_everyone

os.umask(0o022)

# Who starts the tests in the background has it ignored, and so has every child.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)

# How long one example takes says how busy the machine is. `make test` tries the same examples
# each time, so that it fails for a change alone; `make test-long` tries others each time.
settings.register_profile("cacheadmin", deadline=None, derandomize=True)
settings.register_profile("by-chance", deadline=None)
settings.load_profile("cacheadmin")


def pytest_configure(config: pytest.Config) -> None:
    """Have tests take turns, on a disk of their own where they need one."""
    config.pluginmanager.register(again_alone)
    config.pluginmanager.register(own_disk)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root, and say why."""
    reason = ""
    if os.geteuid() != 0:
        reason = "needs root: starts programs as other users"
    elif python_for_everyone() is None:
        reason = "needs a Python of this version that other users can start"
    for item in items:
        if reason and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Leave what failed in a file, and say where; name what failed beside others alone."""
    kinds = ("failed", "error", "rerun")
    reports = {kind: terminalreporter.getreports(kind) for kind in kinds}
    if file := write_failures([one for kind in kinds for one in reports[kind]]):
        terminalreporter.write_line(f"what failed is written down in {file}")
    for report in reports["rerun"]:
        terminalreporter.write_line(f"failed beside others, asked again alone: {report.nodeid}")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Fail a test that leaves its worker in another state: tests after it would run in that."""
    before = _state_of_worker()
    yield
    assert _state_of_worker() == before


def _state_of_worker() -> dict[str, Any]:
    umask = os.umask(0o022)
    os.umask(umask)
    return {
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "umask": umask,
        "folder": os.getcwd(),
        "ids": (os.getresuid(), os.getresgid(), os.getgroups()),
        "variables": {name: text for name, text in os.environ.items() if "PYTEST" not in name},
        "handlers": {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)},
        "limits": {name: resource.getrlimit(name) for name in _LIMITS},
    }


@pytest.fixture(scope="session")
def index() -> Iterator[Index]:
    """The package index on loopback."""
    with serve_index() as serving:
        yield serving


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty folder that every user can enter; removed afterwards."""
    folder = open_temporary_folder("cacheadmin-test-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cacheadmin(open_folder: Path) -> Cacheadmin:
    """The command line, with state and policies of its own."""
    folder = open_folder / "cacheadmin"
    folder.mkdir()
    return Cacheadmin(folder)


@pytest.fixture
def shared(open_folder: Path, index: Index) -> SharedCache:
    """An empty shared cache of the user who runs the tests."""
    return SharedCache.create(open_folder, index)


@pytest.fixture
def three_users() -> list[User]:
    """Three users who are nobody else (needs root)."""
    return other_users(3)


@pytest.fixture(scope="module")
def xfs() -> Iterator[Path]:
    """A filesystem with shared extents, for one file of tests (needs root)."""
    folder = open_temporary_folder("cacheadmin-filesystem-")
    try:
        with filesystem("xfs", folder) as path:
            yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def built_incident(index: Index) -> Iterator[Incident]:
    """The incident of uv issue 15104 by one user; use ``incident``."""
    folder = open_temporary_folder("cacheadmin-incident-")
    incident = build_incident(folder / "work", index)
    subprocess.run(["cp", "-a", "--", folder / "work", folder / "kept"], check=True)
    yield incident
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def incident(built_incident: Incident) -> Incident:
    """The incident, as built, however the last test left it."""
    work = built_incident.folder
    shutil.rmtree(work)
    subprocess.run(["cp", "-a", "--", work.with_name("kept"), work], check=True)
    return replace(built_incident, environments=dict(built_incident.environments))
