"""On the NFS server a prune waits for uv on the clients, and says who keeps it waiting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", ["4.2"])
def test_a_prune_on_the_server_waits_for_the_uvx_of_a_client(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    server = site.server
    running = site.b.long_running(NEW, "tool", "run", "--from", "cowsay==6.0")
    unused = "archive-v0/abcdefghijklmnopqrstu"
    server.guest.sh(f"cd {server.cache} && mkdir -p {unused}/x && touch {unused}/x/__init__.py")
    site.age()
    policy = server.policy("lock: {timeout: 2s}\n")

    busy = server.cacheadmin("prune", policy, code=3)
    assert "a client of this host's NFS server" in busy.stderr, busy
    assert ("nfsd" if version == "4.2" else "lockd") in busy.stderr
    assert "abcdefghijklmnopqrstu" in server.listed()
    assert not server.on_trial()
    told = server.cacheadmin("preflight", policy, code=4).stdout
    assert "a client of this host's NFS server" in told
    assert "this host exports /srv" in told
    assert "the cache is on a local filesystem" not in told

    assert running.asks("import cowsay.main") == "done"
    running.end()
    done = server.json("prune", policy)
    assert done["outcome"] == "committed", done
    assert unused in [row["path"] for row in done["removals"]]
    assert server.on_trial() == {unused}


def test_a_prune_on_a_client_waits_for_the_uvx_of_another(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("4.2")
    running = site.b.long_running(NEW, "tool", "run", "--from", "cowsay==6.0")
    unused = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {unused}/x")
    site.age()
    policy = site.a.policy("lock: {timeout: 2s}\n")
    busy = site.a.cacheadmin("prune", policy, code=3)
    assert "was not free within 2 s" in busy.stderr
    running.end()
    done = site.a.json("prune", policy)
    assert unused in [row["path"] for row in done["removals"]]
