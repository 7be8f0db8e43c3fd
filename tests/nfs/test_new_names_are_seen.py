"""What another host made a moment ago is not missing for a host that had looked for it before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_an_environment_on_the_share_that_was_just_made_keeps_its_archives(
    site_of: Callable[[str], NfsSite], version: str
) -> None:
    site = site_of(version)
    homes = f"{site.a.shared}/homes"
    site.a.guest.sh(f"mkdir -p {homes}/ana")
    trees = f"venvs: {{discover: [{{root: '{homes}'}}], complete: true, keep_missing: 0d}}\n"
    policy = site.a.policy(f"{trees}hosts: {{only: this}}\n")
    # A has looked for it, in vain: its client remembers that for half a minute.
    assert site.a.guest.run("stat", f"{homes}/ana/env/pyvenv.cfg").code == 1
    assert site.a.guest.run("stat", f"{homes}/ana/env").code == 1
    path = f"{site.b.shared}/homes/ana/env"
    site.b.uv(NEW, "venv", "--quiet", "--python", "/usr/bin/python3", path)
    site.b.uv(NEW, "pip", "install", "--quiet", "--python", f"{path}/bin/python", "six==1.16.0")
    used = site.b.archives(path)
    site.forget_pointers()
    done = site.a.json("prune", policy)
    assert not used & {row["path"] for row in done["removals"]}, done
    assert site.b.imports(path, "six.moves.urllib").code == 0
