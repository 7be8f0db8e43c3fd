"""Roots in a shared cache: of all hosts, for all hosts, and given back after any host's prune."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, OLD, NfsHost, NfsSite
from tests.support.waiting import until

pytestmark = [pytest.mark.nfs, pytest.mark.root]

EXPECT = "hosts: {expect: [client1, client2], max_age: 1h}\n"


def policy_of(host: NfsHost) -> str:
    """A policy that finds this machine's own environments, and expects the other's word."""
    return host.policy(f"venvs: {{discover: [{{root: '{host.own}'}}], complete: true}}\n{EXPECT}")


def prune_by_a_user(host: NfsHost, release: str) -> None:
    """Run uv's own prune; once more where it stumbled over a file that NFS kept for it."""
    for _ in range(3):
        done = host.start_uv(release, "cache", "prune", "--quiet").result()
        if "/.nfs" not in done.stderr:
            break
    done.check()


def test_two_hosts_protect_what_both_use_and_a_guard_renews_it(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("3")
    a, b = site.a, site.b
    mine = a.environment("mine", OLD, "idna==3.7")
    theirs = b.environment("theirs", NEW, "six==1.16.0")
    left = b.environment("left", OLD, "cowsay==6.0")
    for host in (a, b):
        host.cacheadmin("observe", policy_of(host), code=0)

    first = b.json("protect", policy_of(b))
    assert first["archives"] == 3, first
    second = a.json("protect", policy_of(a))
    assert (second["archives"], second["planted"], second["removed"]) == (3, 0, 0), second
    # What the other host does not use any more is withdrawn by its newer word, not before.
    b.guest.sh(f"rm -r {left}")
    assert a.json("protect", policy_of(a))["removed"] == 0
    b.cacheadmin("observe", policy_of(b), code=0)
    third = a.json("protect", policy_of(a))
    assert (third["archives"], third["missing"]) == (2, 0), third
    assert third["removed"] > 0

    guard = a.guard(policy_of(a))
    kept = a.archives(mine) | b.archives(theirs)
    # One release's prune takes the roots of the others, the next would take the archives.
    for release in (NEW, OLD, NEW):
        before = guard.said()
        prune_by_a_user(b, release)
        guard.says("roots planted", after=before)
        # It may have said so amid that prune, and plants again what that took afterwards.
        until(lambda: a.cacheadmin("protect", policy_of(a), "--check").code == 0)
        assert kept <= {f"archive-v0/{name}" for name in b.listed()}
    assert a.imports(mine, "idna.core").code == 0
    assert b.imports(theirs, "six.moves.urllib").code == 0

    # A quarantine that is none of ours: said, and said once, however often it is met.
    beside = f"{site.server.shared}/cache.cacheadmin"
    site.server.guest.sh(f"mv {beside} {beside}.away; echo not a folder > {beside}")
    before = guard.said()
    prune_by_a_user(b, NEW)
    guard.says("cache.cacheadmin", after=before)
    a.guest.sh("sleep 8")
    said = guard.said()[len(before) :]
    assert len(said) == len(set(said)) <= 3, said
    guard.end()
