"""What a prune on one host puts on trial goes on working on another, and comes back by its use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", ["4.2"])
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
    assert site.server.on_trial() == used | unused
    assert site.b.imports(environment, "six.moves.urllib, cowsay.main").code == 0

    # Attributes are kept for a minute at most: a use within it may be seen by the run after.
    for _ in range(3):
        site.a.cacheadmin("prune", policy, code=0)
        if not used & site.server.on_trial():
            break
    # Decoys, planted meanwhile, stand there too.
    assert unused <= site.server.on_trial()
    assert not used & site.server.on_trial()
    assert site.b.imports(environment, "cowsay.main, six").code == 0
