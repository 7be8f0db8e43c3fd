"""Programs of other hosts go on through prunes, purges and restores, in each lock mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, OLD, LongRunning, NfsHost, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

# Each reads files that the program had not opened before.
_MODULES = ("idna.core", "idna.codec", "idna.compat", "idna.uts46data")


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_running_uvx_import_what_they_had_not_imported(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)

    def uvx(host: NfsHost, release: str, tool: str, version: str) -> LongRunning:
        words = ("tool", "run", "--from", tool, "--with", f"idna=={version}")
        return host.long_running(release, *words)

    # On hosts that A can't see into. Releases before 0.8.19 take no lock.
    lockless = [
        uvx(site.b, OLD, "six==1.16.0", "3.7"),
        uvx(site.c, OLD, "six==1.16.0", "3.10"),
    ]
    locking = [
        uvx(site.b, NEW, "six==1.15.0", "3.10"),
        uvx(site.c, NEW, "six==1.15.0", "3.7"),
    ]
    rubbish = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {rubbish}/x")
    site.age()
    idle = "prune: {environments: {idle: 7d, keep_latest: false}}\n"
    policies = {
        busy: site.a.policy(f"lock: {{busy: {busy}, timeout: 2s}}\n{idle}", name=busy)
        for busy in ("wait", "skip", "concurrent")
    }
    modules = iter(_MODULES)

    def all_go_on(programs: list[LongRunning]) -> None:
        module = next(modules)
        for program in programs:
            assert program.asks(f"import {module}") == "done"

    # A lock of B and one of C: who waits leaves, and who does not keeps what they may know.
    for busy in ("wait", "skip"):
        site.a.cacheadmin("prune", policies[busy], code=3)
    assert not site.server.on_trial()
    beside = site.a.json("prune", policies["concurrent"])
    all_go_on(lockless + locking)
    if beside["run_id"]:
        site.a.cacheadmin("runs", "restore", policies["concurrent"], beside["run_id"], code=0)
        site.a.cacheadmin("prune", policies["concurrent"], code=0)
    site.a.cacheadmin("runs", "purge", policies["concurrent"], "--all", code=0)
    all_go_on(lockless + locking)
    for running in locking:
        running.end()

    # Now the lock is free, though uv is at work on both.
    site.age()
    done = site.a.json("prune", policies["wait"])
    assert done["outcome"] == "committed", done
    assert rubbish in site.server.on_trial()
    all_go_on(lockless)
    site.a.cacheadmin("runs", "restore", policies["wait"], done["run_id"], code=0)
    site.a.cacheadmin("prune", policies["skip"], code=0)
    site.a.cacheadmin("runs", "purge", policies["skip"], "--all", code=0)
    all_go_on(lockless)
    for running in lockless:
        running.end()


def test_what_uv_run_starts_on_another_host_goes_on(site_of: Callable[[str], NfsSite]) -> None:
    """It runs from a folder of builds; its uv takes no lock, or has been killed."""
    site = site_of("4.2")
    running = site.b.long_running(OLD, "run", "--no-project", "--with", "idna==3.7")
    # No test can make the change time of a folder a day old.
    policy = site.a.policy("prune: {builds: {after: 0s}}\n")
    site.a.cacheadmin("prune", policy, code=0)
    overlays = f"ls -d {site.server.cache}/builds-v0/.tmp*/bin/python"
    assert site.server.guest.sh(overlays)
    assert running.asks("import idna.core") == "done"
    running.end()
