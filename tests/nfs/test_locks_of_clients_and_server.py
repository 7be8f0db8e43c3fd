"""On the NFS server a prune waits for uv on the clients, and says who keeps it waiting."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.nfs_lab import Lab
from tests.support.nfs_sites import NEW, NfsHost, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", ["4.2", "3"])
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
    assert unused in server.on_trial()


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_a_prune_on_a_client_waits_for_the_uvx_of_another(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    running = site.b.long_running(NEW, "tool", "run", "--from", "cowsay==6.0")
    unused = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {unused}/x")
    site.age()
    policy = site.a.policy("lock: {timeout: 2s}\n")
    busy = site.a.cacheadmin("prune", policy, code=3)
    assert "was not free within 2 s" in busy.stderr
    patient = site.a.policy("lock: {timeout: 10m}\n")
    waiting = site.a.start_cacheadmin("prune", patient, "--format", "json")
    # It waits for the lock once it has made what it will plant.
    site.server.waits_for(
        f"test -L cache/archive-v0/cacheadmin.trial/.new-{unused.partition('/')[2]}"
    )
    assert not waiting.done()
    assert running.asks("import cowsay.main") == "done"
    running.end()
    done = json.loads(waiting.result().check().stdout)
    assert unused in [row["path"] for row in done["removals"]]
    assert done["lock"]["wait_seconds"] > 0


def test_under_locks_that_end_at_this_host_nothing_counts_as_proven(
    lab: Lab, site_of: Callable[[str], NfsSite]
) -> None:
    site = site_of("3")
    running = site.b.long_running(NEW, "tool", "run", "--from", "cowsay==6.0")
    unused = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(f"cd {site.server.cache} && mkdir -p {unused}/x")
    site.age()
    text = "venvs: {complete: true}\nhosts: {expect: [client2, server], max_age: 1h}\n"
    for host in (site.b, site.server):
        host.cacheadmin("observe", host.policy(text), code=0)
    for option, said in (("local_lock=flock", "local_lock=flock"), ("nolock", "local_lock=all")):
        mounted = f"/mnt/{option.partition('=')[0]}"
        lab.mount(site.a.guest, "data", mounted, f"vers=3,{option}")
        deaf = NfsHost(site.a.guest, f"{mounted}/{site.name}", site.name)
        (gap,) = deaf.json("preflight", deaf.policy(text), code=4)["gaps"]
        assert gap["id"] == "hosts.locks"
        assert said in gap["detail"]
    # The lock of B keeps nobody on A from anything: what goes must go on working.
    done = deaf.json("prune", deaf.policy(text))
    assert done["trial"]["planted"] == [unused], done
    archives = [row for row in done["removals"] if row["kind"] == "archive"]
    assert {row["rests_on"] for row in archives} == {"absence"}
    assert running.asks("import cowsay.main") == "done"
    running.end()
    site.a.guest.sh("umount /mnt/nolock /mnt/local_lock")
