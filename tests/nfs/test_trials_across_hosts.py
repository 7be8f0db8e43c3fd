"""What a prune on one host puts on trial goes on working on another, and comes back by its use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", ["4.2", "3"])
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
