"""On NFS a file that is open on the host that deletes it stays until it is closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

_HOLD = "import sys, time; f = open(sys.argv[1]); open(sys.argv[2], 'w'); time.sleep(600)"


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_a_purge_names_the_process_that_has_a_file_open_and_ends_later(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    host = site.a
    archive = f"{host.cache}/archive-v0/abcdefghijklmnopqrstu"
    host.guest.sh(
        f"mkdir -p {archive}/pkg && echo 1 > {archive}/pkg/__init__.py && echo 2 > {archive}/b"
        f" && touch {host.cache}/CACHEDIR.TAG {host.cache}/.gitignore"
    )
    site.age()
    policy = host.policy("venvs: {complete: true}\nhosts: {only: this}\n")
    run = host.json("prune", policy)["run_id"]
    quarantined = f"{host.shared}/cache.cacheadmin/quarantine/{run}/entries/archive-v0"
    opened = f"{quarantined}/abcdefghijklmnopqrstu/pkg/__init__.py"
    ready = f"/tmp/{site.name}-held"
    holding = host.guest.start("/usr/bin/python3", "-c", _HOLD, opened, ready)
    host.guest.sh(f"until test -e {ready}; do sleep 0.2; done")

    for _ in range(2):
        done = host.cacheadmin("runs", "purge", policy, run, code=7)
        assert "of root on this host has it open" in done.stderr, done
        assert "/usr/bin/python3 -c" in done.stderr
        assert "0 runs deleted for good" in done.stderr
        (listed,) = host.json("runs", "list", policy)["runs"]
        assert listed["state"] == "purging"

    host.guest.sh(f"pkill -f {ready}")
    holding.result()
    done = host.cacheadmin("runs", "purge", policy, run, code=0)
    assert "1 run deleted for good" in done.stderr
    (listed,) = host.json("runs", "list", policy)["runs"]
    assert listed["state"] == "purged"
    assert host.guest.run("test", "-e", quarantined).code == 1
