"""Two members with umask 022, roots, guard and trials at once: every later install works.

What we plant, move away, give back and put back lies among what uv makes, and
members of their own groups must go on writing there, whoever prunes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.trial.tripwires import SILENT_NS
from tests.scenarios.test_sharing_a_cache_with_umask_022 import (
    give_default_list,
    shared_by,
    two_users,
)
from tests.scenarios.test_what_we_make_keeps_the_sites_rights import rights_of
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.guards import guarding
from tests.support.packages import Index
from tests.support.projects import project_in, sync
from tests.support.running_uv import python_for
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.unseen_users import IDLE, UnseenProject
from tests.support.users import User
from tests.support.uv_releases import NEWEST
from tests.support.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("getfacl") is None, reason="needs getfacl, of the package acl"),
]

RELEASES = ("0.5.10", "0.8.5", NEWEST)
PRUNES = ("0.6.4", "0.8.5", NEWEST)


@dataclass
class Members:
    """The cache of Ana and Ben, and a project of Ana's that no source knows."""

    shared: SharedCache
    unseen: UnseenProject

    def everybody_installs(self, moment: str) -> None:
        """Let both install with each release what is in use, on trial, and new."""
        for release in RELEASES:
            for user in self.shared.users:
                name = f"{moment}-{release}"
                packages = ("six==1.16.0", "cowsay==6.0", "idna==3.10")
                environment = self.shared.environment(name, release, *packages, user=user)
                assert dangling_links(environment) == {}
                self.shared.remove_environment(environment)

    def is_silent(self, entries: Iterable[str]) -> bool:
        """Whether no tripwire in these places was looked through since the last look."""
        return all((self.shared.path / one).lstat().st_atime_ns in SILENT_NS for one in entries)

    def dangling(self) -> int:
        return sum(len(dangling_links(one)) for one in self.shared.environments)


@pytest.fixture
def members(open_folder: Path, index: Index) -> Members:
    ana, ben = two_users()
    shared = shared_by(open_folder, index, (ana, ben))
    give_default_list(shared.path)
    project = project_in(open_folder / "attic" / "report", "six==1.16.0", "cowsay==6.0")
    for path in (project, project / "pyproject.toml"):
        os.chown(path, ana.uid, ana.gid)
    environment = sync(shared, project, "0.5.10", "--python", python_for(ana))
    age(shared.path, days=60)
    shared.environment("known", "0.8.5", "idna==3.7", "docopt==0.6.2", user=ana)
    shared.environment("known", NEWEST, "idna==3.7", user=ben)
    return Members(shared, UnseenProject(shared, environment))


def test_both_install_after_everybodys_prunes(members: Members, cacheadmin: Cacheadmin) -> None:
    shared, unseen = members.shared, members.unseen
    text = f"{IDLE}venvs: {{discover: [{{root: {shared.homes}}}]}}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    used = sorted(unseen.archives())
    places = [shared.path / entry for entry in used]
    before = rights_of(*places)
    cacheadmin("protect", policy, code=0)

    def is_protected() -> bool:
        return cacheadmin("protect", policy, "--check").code == 0

    with guarding(cacheadmin, policy) as guard:
        run = cacheadmin("prune", policy, "--format", "json", code=0).json
        assert set(used) <= set(run["trial"]["planted"])
        members.everybody_installs("pruned")
        until(is_protected)
        for number, release in enumerate(PRUNES):
            prune(shared, release, shared.users[number % 2])
            until(is_protected)
            members.everybody_installs(f"after-{release}")
            assert members.dangling() == 0
        assert not unseen.whole()
        # uv's prunes looked at every entry: a use shows once the guard has seen that.
        guard.hang_up()
        until(lambda: members.is_silent(used), seconds=60)
        assert unseen.imports()
        guard.hang_up()
        until(lambda: unseen.whole() == set(used), seconds=60)
        assert rights_of(*places) == before
        members.everybody_installs("put-back")
    assert dangling_links(unseen.environment) == {}
    cacheadmin("audit", policy, "--rule", "default-acl-missing", "--fail-on", "warning", code=0)


def prune(shared: SharedCache, release: str, user: User) -> None:
    """Let a member prune. Releases before 0.7 list every folder; ours root alone may list."""
    done = shared.uv(release, "cache", "prune", user=user, check=False)
    refused = release == "0.6.4" and "cacheadmin.trial: Permission denied" in done.stderr
    assert done.returncode == 0 or refused, done.stderr
