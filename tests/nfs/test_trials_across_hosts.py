"""What a prune on one host puts on trial goes on working on another, and comes back by its use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", [pytest.param("4.2", marks=pytest.mark.smoke), "3"])
def test_an_unseen_environment_of_another_host_goes_on_working(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    environment = site.b.environment("env", NEW, "six==1.16.0", "cowsay==6.0")
    used = site.b.archives(environment)
    left = site.b.environment("left", NEW, "idna==3.7")
    unused = site.b.archives(left)
    site.b.guest.sh(f"rm -r {left}")
    site.forget_pointers()
    site.age()
    # What one account unpacked within the same minutes comes back together.
    site.age(90, unused)
    policy = site.a.policy()

    begun = site.a.json("prune", policy)
    assert set(begun["trial"]["planted"]) == used | unused, begun
    # Decoys, which nobody can know, stand beside them.
    assert used | unused <= site.server.on_trial()
    assert not begun["trial"]["blind"]
    assert site.b.imports(environment, "six.moves.urllib, cowsay.main").code == 0

    # What a client remembers leads it past tripwires unseen, for a minute at most.
    site.b.forget_names()
    assert site.b.imports(environment, "six.moves.urllib, cowsay.main").code == 0
    # A looked at those links a moment ago: what it remembers of them must not count.
    site.a.cacheadmin("prune", policy, code=0)
    assert unused <= site.server.on_trial()
    assert not used & site.server.on_trial()
    assert site.b.imports(environment, "cowsay.main, six").code == 0


def test_a_trial_that_is_ended_by_hand_waits_for_whoever_comes_in_by_memory(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("3")
    environment = site.b.environment("env", NEW, "six==1.16.0")
    used = site.b.archives(environment)
    left = site.b.environment("left", NEW, "idna==3.7")
    unused = site.b.archives(left)
    site.b.guest.sh(f"rm -r {left}")
    site.forget_pointers()
    site.age()
    site.age(90, unused)
    policy = site.a.policy()
    run = site.a.json("prune", policy)["run_id"]
    # B knows the links by now, and goes on using them every few seconds.
    site.b.forget_names()
    program = "import os, sys, time\nwhile os.path.exists(sys.argv[1]):\n"
    program += "    os.stat(sys.argv[2]).st_size; time.sleep(5)\n"
    found = site.b.guest.sh(f"find {environment} -name six.py").stdout.strip()
    busy = f"/tmp/{site.name}-busy"
    site.b.guest.sh(f"touch {busy}")
    using = site.b.guest.start("/usr/bin/python3", "-c", program, busy, found)
    done = site.a.cacheadmin("runs", "purge", policy, run, "--now", code=0)
    site.b.guest.sh(f"rm {busy}")
    assert using.result().code == 0
    assert f"{next(iter(used))} was used at the last moment, and is back" in done.stderr, done
    assert used <= {f"archive-v0/{name}" for name in site.server.listed()} - site.server.on_trial()
    assert not unused & {f"archive-v0/{name}" for name in site.server.listed()}
    assert site.b.imports(environment, "six").code == 0
