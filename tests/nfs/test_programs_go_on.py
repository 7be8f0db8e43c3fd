"""Programs of other hosts go on through prunes, purges and restores, in each lock mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, OLD, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("busy", ["concurrent", "wait"])
def test_running_uvx_import_what_they_had_not_imported(
    site_of: Callable[[str], NfsSite], busy: str
) -> None:
    site = site_of("4.2")
    old = site.b.long_running(OLD, "tool", "run", "--with", "pytz", "--from", "cowsay==6.0")
    # uv's lock makes a prune that waits end with 3: that story is told elsewhere.
    running = [old]
    if busy == "concurrent":
        words = ("tool", "run", "--with", "idna", "--from", "six==1.16.0")
        running.append(site.b.long_running(NEW, *words))
    rubbish = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {rubbish}/x")
    site.age()
    idle = "prune: {environments: {idle: 7d, keep_latest: false}}\n"
    policy = site.a.policy(f"lock: {{busy: {busy}, timeout: 5s}}\n{idle}")
    done = site.a.json("prune", policy)
    assert done["outcome"] == "committed", done
    for one, module in zip(running, ("cowsay.main", "six.moves.urllib.parse"), strict=False):
        assert one.asks(f"import {module}") == "done"
    site.a.cacheadmin("runs", "restore", policy, done["run_id"], code=0)
    site.a.cacheadmin("prune", policy, code=0)
    site.a.cacheadmin("runs", "purge", policy, "--all", code=0)
    for one, module in zip(running, ("pytz.lazy", "idna.core"), strict=False):
        assert one.asks(f"import {module}") == "done"
        one.end()
