"""Where root of a client has no rights (root_squash), it says what to do, and run_as does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_lab import Lab
from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

OWNER, USER = 2000, 2001


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


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_squashed_root_acts_as_the_owner_and_reads_homes_as_their_owners(
    lab: Lab, site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    server = site.server.guest
    server.sh(
        f"cd {site.server.shared} && mkdir -p homes/ana && chmod 1777 cache"
        f" && chown {USER}:{USER} homes/ana && chmod 700 homes/ana"
    )
    environments = []
    for name, package in (("env", "six==1.16.0"), ("left", "idna==3.7")):
        path = f"{site.b.shared}/homes/ana/{name}"
        site.b.uv(NEW, "venv", "--quiet", "--python", "/usr/bin/python3", path, uid=USER)
        install = ("pip", "install", "--quiet", "--python", f"{path}/bin/python", package)
        site.b.uv(NEW, *install, uid=USER)
        environments.append(site.server.archives(f"{site.server.shared}/homes/ana/{name}"))
    used, unused = environments
    server.sh(f"rm -r {site.server.shared}/homes/ana/left")
    site.forget_pointers()
    server.sh(f"chown -R {OWNER}:{OWNER} {site.server.cache} && chmod 755 {site.server.cache}")
    server.sh(f"chown {OWNER}:{OWNER} {site.server.shared}")
    site.age()
    site.a.guest.sh(f"useradd -u {OWNER} -m keeper 2>/dev/null || id {OWNER}")
    homes = f"venvs: {{discover: [{{root: '{site.a.shared}/homes'}}], complete: true}}\n"
    # The links there are by the path that B has for the cache.
    known = f"aliases: [{site.b.cache}]\nhosts: {{only: this}}\n"
    policy = site.a.policy(f"run_as: keeper\n{homes}{known}")
    # Its state is the account's own.
    site.a.guest.sh(f"sed -i 's/^state:.*//' {policy}")
    lab.share("data", "rw,sync,no_subtree_check,root_squash")
    try:
        # Neither root of this host nor the owner of the cache sees what is in that home.
        closed = f"{site.a.shared}/homes/ana/env"
        assert site.a.guest.run("ls", closed).code != 0
        assert site.a.guest.run("ls", closed, uid=OWNER).code != 0
        (row,) = site.a.json("scan", policy)["venvs"]
        assert (row["path"], row["status"]) == (closed, "ok")
        done = site.a.json("prune", policy)
        assert done["outcome"] == "committed", done
        gone = {found["path"] for found in done["removals"] if found["kind"] == "archive"}
        assert gone == unused, done
        assert done["verified"]["links"] > 0
        site.a.cacheadmin("runs", "restore", policy, done["run_id"], code=0)
        assert {name.partition("/")[2] for name in used | unused} <= site.server.listed()
    finally:
        lab.share("data")
    others = server.sh(f"find {site.server.cache} {site.server.cache}.cacheadmin ! -uid {OWNER}")
    assert others.stdout == ""
    python = f"{site.b.shared}/homes/ana/env/bin/python"
    assert site.b.guest.run(python, "-B", "-c", "import six", uid=USER).code == 0
