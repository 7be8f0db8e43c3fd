"""Two users with umask 022 and groups of their own share a cache: what it takes, and what we say.

Facts section 11: without anything else, the second user's every command fails.
The recipe is a root folder with the setgid bit and a default access list.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cacheadmin.findings import Finding
from tests.support.auditing import Audited
from tests.support.packages import Index
from tests.support.running_uv import python_for
from tests.support.shared_cache import SharedCache
from tests.support.users import SHARED_GROUP, User, other_users
from tests.support.uv_releases import NEWEST

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("setfacl") is None, reason="needs setfacl, of the package acl"),
]

ABOUT_FILES = (
    "cache-root-mode",
    "lock-file",
    "not-group-writable",
    "group-differs",
    "default-acl-missing",
    "world-writable",
    "foreign-owner",
    "setuid-file",
    "links-out",
    "hardlinks-outside",
)


def two_users() -> tuple[User, User]:
    """Return two users whose own group is nobody else's, as on most systems."""
    ana, ben = (
        User(user.name, user.uid, user.uid, (user.uid, SHARED_GROUP), 0o022)
        for user in other_users(2)
    )
    return ana, ben


def shared_by(folder: Path, index: Index, users: tuple[User, ...]) -> SharedCache:
    shared = SharedCache.create(folder, index, users)
    os.chown(shared.path, 0, SHARED_GROUP)
    shared.path.chmod(0o2775)
    return shared


def give_default_list(cache: Path) -> None:
    done = subprocess.run(
        ["setfacl", "-d", "-m", "u::rwx,g::rwx,o::rx", cache], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("the filesystem of the temporary folder keeps no access lists")


def findings_of(folder: Path, shared: SharedCache) -> list[Finding]:
    """Return what the rules about files find; the users have no accounts, so they are named."""
    uids = [str(user.uid) for user in shared.users]
    text = f"audit: {{foreign-owner: {{allow_users: {uids!r}}}}}\n"
    audit = Audited(folder, shared.path)
    return [finding for rule in ABOUT_FILES for finding in audit.findings(rule, text)]


def test_setgid_and_a_default_list_let_users_of_old_and_new_releases_share(
    open_folder: Path, index: Index
) -> None:
    ana, ben = two_users()
    shared = shared_by(open_folder, index, (ana, ben))
    give_default_list(shared.path)
    for number, version in enumerate(("0.5.10", "0.8.5", NEWEST)):
        first, second = (ana, ben) if number % 2 else (ben, ana)
        shared.environment(f"a{number}", version, "six==1.16.0", "docopt==0.6.2", user=first)
        # By the mode uv chooses by itself: hard links of an environment we know.
        again = shared.environment(
            f"b{number}", version, "six==1.17.0", "docopt==0.6.2", user=second, link_mode=None
        )
        assert (again / "lib").exists()
    for user in (ana, ben):
        shared.uv(
            NEWEST, "tool", "run", "--python", python_for(user), "cowsay", "-t", "x", user=user
        )
    assert findings_of(open_folder, shared) == []


def test_what_the_audit_says_repairs_a_cache_that_umask_022_closed(
    open_folder: Path, index: Index
) -> None:
    ana, ben = two_users()
    shared = shared_by(open_folder, index, (ana, ben))
    shared.environment("a", NEWEST, "six==1.16.0", user=ana)
    with pytest.raises(AssertionError, match="Permission denied"):
        shared.environment("b", NEWEST, "six==1.16.0", user=ben)
    assert {f.rule for f in findings_of(open_folder, shared)} == {"lock-file", "not-group-writable"}

    give_default_list(shared.path)
    found = findings_of(open_folder, shared)
    assert {finding.owner for finding in found} == {f"uid {ana.uid}"}
    for finding in found:
        subprocess.run(finding.fix, shell=True, check=True)
    shutil.rmtree(shared.home(ben) / "b", ignore_errors=True)
    shared.environment("b", NEWEST, "six==1.17.0", user=ben)
    assert findings_of(open_folder, shared) == []
