"""What another host deletes while this one looks (ESTALE) is unreadable or gone, never an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.nfs_sites import NEW, NfsSite

pytestmark = [pytest.mark.nfs, pytest.mark.root]

# Environments, archives and pointers come and go, as fast as another host can make them.
# NFS 3 is the one that tells of stale handles.
_CHURN = """
cd {shared}; touch churning
while test -e churning; do
    cp -a homes/ana/env homes/ana/other; mkdir -p homes/bob/.venv
    mkdir -p cache/archive-v0/zyxwvutsrqponmlkjihgf/pkg cache/wheels-v6/pypi/ghost/1.0
    touch cache/archive-v0/zyxwvutsrqponmlkjihgf/pkg/__init__.py cache/wheels-v6/pypi/ghost/1.0/x
    rm -rf homes/ana/other homes/bob cache/wheels-v6/pypi/ghost
    rm -rf cache/archive-v0/zyxwvutsrqponmlkjihgf
done
"""


def test_commands_go_on_while_another_host_deletes_what_they_read(
    site_of: Callable[[str], NfsSite],
) -> None:
    site = site_of("3")
    path = f"{site.b.shared}/homes/ana/env"
    site.b.guest.sh(f"mkdir -p {site.b.shared}/homes/ana")
    site.b.uv(NEW, "venv", "--quiet", "--python", "/usr/bin/python3", path)
    site.b.uv(NEW, "pip", "install", "--quiet", "--python", f"{path}/bin/python", "six==1.16.0")
    used = site.b.archives(path)
    site.age()
    churning = site.b.guest.start("bash", "-c", _CHURN.format(shared=site.b.shared))
    site.server.waits_for("test -e churning")
    homes = f"venvs: {{discover: [{{root: '{site.a.shared}/homes'}}]}}\n"
    policy = site.a.policy(homes)
    try:
        for words, codes in (
            (("scan",), {0}),
            (("preflight",), {4}),
            (("usage",), {0}),
            (("verify",), {0, 8}),
            (("prune",), {0, 7}),
            (("prune",), {0, 7}),
        ):
            done = site.a.cacheadmin(*words, policy)
            assert done.code in codes, (words, done)
            assert "unexpected error" not in done.stderr
    finally:
        site.server.guest.sh(f"rm {site.server.shared}/churning")
        churning.result()
    assert not used & site.server.on_trial()
    assert site.b.imports(path, "six.moves.urllib").code == 0
