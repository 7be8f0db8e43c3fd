"""Where root of a client is nobody (root_squash), the message says where to run it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_lab import Lab
from tests.support.nfs_sites import NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

OWNER = 2000


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_squashed_root_is_told_what_to_do_and_the_owner_can_prune(
    lab: Lab, site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    rubbish = "archive-v0/abcdefghijklmnopqrstu"
    site.server.guest.sh(
        f"cd {site.server.cache} && mkdir -p {rubbish}/x && touch CACHEDIR.TAG .gitignore .lock"
        f" && chown -R {OWNER}:{OWNER} {site.server.shared} && chmod 755 {site.server.shared}"
    )
    site.age()
    policy = site.a.policy("venvs: {complete: true}\nhosts: {only: this}\n")
    site.a.guest.sh(f"useradd -u {OWNER} -m keeper 2>/dev/null || id {OWNER}")
    lab.share("data", "rw,sync,no_subtree_check,root_squash")
    try:
        refused = site.a.cacheadmin("prune", policy)
        assert refused.code == 77, refused
        said = refused.stderr
        assert "keeper" in said, said
        assert "NFS server" in said, said
        assert "run it as root" not in said, said

        home = f"{site.a.own}/home-{OWNER}"
        own = f"{home}/policy.yaml"
        site.a.guest.sh(
            f"mkdir -p {home} && sed 's/^state:.*//' {policy} > {own} && chmod 644 {own}"
            f" && chown -R {OWNER}:{OWNER} {home}"
        )
        # What others' processes do it can't see: archives go on trial, where they go on working.
        done = site.a.json("prune", own, uid=OWNER)
        assert done["outcome"] == "committed", done
        assert done["trial"]["planted"] == [rubbish], done
        assert rubbish in site.server.on_trial()
    finally:
        lab.share("data")
