"""How many operations a look takes for each archive and each distribution, by strace's count.

On a network each call that names a path is a question to the server, and the looks of
five thousand archives wait for each. What is counted is the difference between two
sizes, divided by how much more there was: what every look costs is left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.farms import Farm
from tests.support.uv_releases import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

SIZES = (20, 60)
MORE = SIZES[1] - SIZES[0]

# Calls that name a path; those of an open descriptor name none.
CALL = re.compile(
    r'^\d+ +(?:openat|newfstatat|statx|readlinkat|faccessat2?)\((?:AT_FDCWD|\d+), "([^"]+)"', re.M
)
PLAIN = re.compile(r'^\d+ +(?:open|stat|lstat|readlink|access)\("([^"]+)"', re.M)

INVENTORY = """
import sys
from cacheadmin.inventory.reader import open_cache, read_inventory
with open_cache(sys.argv[1]) as cache:
    assert len(read_inventory(cache).archives) == int(sys.argv[2])
"""

AGAIN = """
import sys, time
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.readers import Readers
from cacheadmin.state.remembered_inventory import read_inventory_with_memory
with open_cache(sys.argv[1]) as cache, Readers(keep=(cache.fd,)) as readers:
    inventory = read_inventory_with_memory(
        cache, readers, f"sqlite:///{sys.argv[1]}-state/state.db",
        now_ns=time.time_ns(), every_ns=7 * 86400 * 10**9,
    )
    assert len(inventory.archives) == int(sys.argv[2])
"""

SCAN = """
import sys
from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_environment
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.questions import inodes_for
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.inventory.reader import open_cache, read_inventory
with open_cache(sys.argv[1]) as cache:
    inventory = read_inventory(cache)
locator = CacheLocator(inventory.cache, ["archive-v0"], archives=set(inventory.archives))
inodes = inodes_for(inventory)
for path in sys.argv[3:]:
    found = scan_environment(
        Candidate(path, EnvironmentKind.VENV, ("test",)), locator, inodes, ScanOptions()
    )
    assert len(found.archives) == int(sys.argv[2])
"""


def operations(folder: Path, script: str, *arguments: str) -> list[str]:
    """Return the paths that a script's calls name, one a call."""
    trace = folder / "trace"
    subprocess.run(
        ["strace", "-f", "-qq", "-s", "200", "-o", trace, sys.executable, "-c", script, *arguments],
        check=True,
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
    )
    text = trace.read_text(errors="replace")
    return CALL.findall(text) + PLAIN.findall(text)


def farm_of(folder: Path, archives: int, *, links: bool) -> Farm:
    folder.mkdir()
    farm = Farm(folder)
    farm.grow_cache(archives)
    if not links:
        for link in (farm.cache / "wheels-v7/pypi").glob("*/*"):
            if link.is_symlink():
                link.unlink()
    return farm


@pytest.mark.parametrize(
    ("script", "links", "most"),
    [
        # Its folder, the folder of its pointer, the pointer, and the link where uv made one.
        pytest.param(INVENTORY, False, 3, id="first"),
        pytest.param(INVENTORY, True, 4, id="first, with links"),
        # A comparison for each of these.
        pytest.param(AGAIN, True, 4, id="again, with links"),
    ],
)
def test_reading_a_cache(tmp_path: Path, script: str, links: bool, most: int) -> None:
    counts = []
    for size in SIZES:
        farm = farm_of(tmp_path / str(size), size, links=links)
        if script is AGAIN:
            # The clock's tick has to be over before anything is remembered.
            subprocess.run(["sleep", "0.1"], check=True)
            operations(tmp_path, script, str(farm.cache), str(size))
        counts.append(len(operations(tmp_path, script, str(farm.cache), str(size))))
    # A reader more, where the machine is busy, opens a few files of its own.
    assert (counts[1] - counts[0]) / MORE <= most + 0.2


def test_scanning_an_environment(tmp_path: Path) -> None:
    alone, beside_another = [], []
    for size in SIZES:
        farm = farm_of(tmp_path / f"farm{size}", size, links=False)
        farm.grow_environments(2, size)
        homes = [str(farm.environments / f"group0/environment{number}") for number in range(2)]
        inside = [
            sum("packages" in path or "dist-info" in path for path in calls)
            for calls in (
                operations(tmp_path, SCAN, str(farm.cache), str(size), *scanned)
                for scanned in (homes[:1], homes)
            )
        ]
        alone.append(inside[0])
        beside_another.append(inside[1] - inside[0])
    # The link in its metadata, whether it leads to something, and the link of its module.
    assert (alone[1] - alone[0]) / MORE <= 3
    # What one link leads to, that of another environment with the same text leads to as well.
    assert (beside_another[1] - beside_another[0]) / MORE <= 2
