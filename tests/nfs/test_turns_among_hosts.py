"""Of two hosts that prune at once one works; one that is lost in the middle moves no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsHost, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

EXPECT = "hosts: {expect: [client1, client2], max_age: 1h}\n"


def policy_of(host: NfsHost, timeout: str) -> str:
    """A policy that finds this machine's own environments, and expects the other's word."""
    trees = f"venvs: {{discover: [{{root: '{host.own}'}}], complete: true}}\n"
    return host.policy(
        f"{trees}lock: {{timeout: {timeout}, held_at_most: 1m}}\n{EXPECT}", name=f"wait-{timeout}"
    )


def test_of_two_prunes_one_works_and_a_lost_host_is_followed_by_another(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("4.2")
    a, b = site.a, site.b
    mine = b.environment("mine", NEW, "six==1.16.0")
    used = b.archives(mine)
    unused = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {unused}/x && touch {unused}/x/y")
    site.forget_pointers()
    site.age()
    for host in (a, b):
        host.cacheadmin("observe", policy_of(host, "2s"), code=0)
    before = site.server.listed()

    # B has the turn, and waits for the lock of a uvx of C.
    running = site.c.long_running(NEW, "tool", "run", "--from", "cowsay==6.0")
    waiting = b.start_cacheadmin("prune", policy_of(b, "10m"))
    leases = "cache.cacheadmin/quarantine/run.lease.*"
    site.server.waits_for(f"grep -q client2 {leases} 2>/dev/null")
    busy = a.cacheadmin("prune", policy_of(a, "2s"), code=3)
    assert "on host client2" in busy.stderr, busy
    assert not waiting.done()

    # B is lost: the server frees its locks, and its lease is not over yet.
    b.guest.pause()
    try:
        running.end()
        busy = a.cacheadmin("prune", policy_of(a, "40s"), code=3)
        assert "on host client2" in busy.stderr, busy
        site.server.guest.sh(f"cd {site.server.shared} && touch -d '10 minutes ago' {leases}")
        done = a.json("prune", policy_of(a, "5m"))
        assert done["outcome"] == "committed", done
        gone = {row["path"] for row in done["removals"] if row["kind"] == "archive"}
        assert unused in gone
        assert not used & gone
        after = site.server.listed()
    finally:
        b.guest.resume()

    # B comes back, finds that it has no turn any more, and moves nothing.
    late = waiting.result()
    assert late.code == 3, late
    assert "does not have the turn on the cache any more" in late.stderr, late
    assert site.server.listed() == after
    assert before - after == {unused.partition("/")[2]}
    rows = a.json("runs", "list", policy_of(a, "2s"))["runs"]
    assert [row["run_id"] for row in rows if row["state"] == "committed"] == [done["run_id"]]
    assert b.imports(mine, "six").code == 0
    # The next one of B works.
    b.cacheadmin("prune", policy_of(b, "2m"), code=0)
