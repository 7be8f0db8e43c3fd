"""Three virtual machines for all tests on NFS, started once; ``make test-nfs`` runs these."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.support.nfs_images import Images, nfs_images, why_no_images
from tests.support.nfs_lab import Lab
from tests.support.nfs_sites import NfsSite

#: Where the clients have mounted the share, by the version of the protocol; the server's
#: machine is the third of them.
MOUNTED = {
    "4.2": ("/shared", "/mnt/b/shared", "/mnt/c/shared"),
    "3": ("/shared3", "/mnt/b/shared3", "/mnt/c/shared3"),
}

_NUMBERS = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip them, unless they were asked for: they take minutes to start."""
    if "nfs" in config.getoption("markexpr").split():
        return
    for item in items:
        if item.get_closest_marker("nfs"):
            item.add_marker(pytest.mark.skip(reason="on virtual machines: make test-nfs"))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A server and two clients, which have mounted its share ``data`` by NFS 4.2 and 3."""
    problem = why_no_images()
    if problem:
        pytest.skip(f"tests on NFS: {problem}")
    try:
        images = nfs_images()
    except (RuntimeError, OSError) as error:
        pytest.skip(f"tests on NFS: images of the machines can't be built: {error}")
    try:
        machines = _started(images)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        if not os.environ.get("CACHEADMIN_NFS_MAY_SKIP"):
            raise
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        pytest.skip(f"tests on NFS: the machines do not start here: {last[:200]}")
    with machines:
        yield machines


def _started(images: Images) -> Lab:
    machines = Lab(images)
    try:
        machines.share("data")
        for version, targets in MOUNTED.items():
            for client, target in zip(machines.users, targets, strict=True):
                machines.mount(client, "data", target, f"vers={version}")
    except BaseException:
        machines.close()
        raise
    return machines


@pytest.fixture
def site_of(lab: Lab, request: pytest.FixtureRequest) -> Callable[[str], NfsSite]:
    """Make an empty cache for one test, used by one version of NFS."""
    # Short: the name is part of paths and of the names of pipes. The number keeps parameters apart.
    name = request.node.originalname.removeprefix("test_")[:30].strip("_")

    def make(version: str = "4.2") -> NfsSite:
        return NfsSite(lab, f"{name}-{next(_NUMBERS)}", MOUNTED[version])

    return make
