"""What a host told keeps what lies on its own disk, and who is silent is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

EXPECT = "hosts: {expect: ['client[1-3]'], max_age: 1h}\n"


def test_an_observed_environment_is_kept_and_a_silent_host_is_named(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("4.2")
    environment = site.b.environment("env", NEW, "six==1.16.0")
    used = site.b.archives(environment)
    left = site.b.environment("left", NEW, "idna==3.7")
    unused = site.b.archives(left)
    site.b.guest.sh(f"rm -r {left}")
    site.forget_pointers()
    site.age()
    trees = f"venvs: {{discover: [{{root: '{site.b.own}'}}]}}\n"
    site.b.cacheadmin("observe", site.b.policy(f"{trees}{EXPECT}"), code=0)

    done = site.a.json("prune", site.a.policy(EXPECT))
    kept = {row["path"]: row["rule"] for row in done["kept"]}
    assert {kept.get(path) for path in used} == {"host.observed"}, kept
    assert set(done["trial"]["planted"]) == unused
    missing = [gap for gap in done["gaps"] if gap["id"] == "hosts.missing"]
    assert [gap["host"] for gap in missing] == ["client3"]
    assert not used & site.server.on_trial()
    assert site.b.imports(environment, "six.moves.urllib").code == 0
