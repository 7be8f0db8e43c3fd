"""Two users with umask 022 and groups of their own share a cache: what it takes, and what we say.

Facts section 11: without anything else, the second user's every command fails.
The recipe is a root folder with the setgid bit and a default access list.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cacheadmin.audit.one_cache import run_audit
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
    "not-readable",
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
    with Audited(folder, shared.path).look(text) as snapshot:
        return list(run_audit(snapshot, ABOUT_FILES).findings)


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
    found = findings_of(open_folder, shared)
    assert {f.rule for f in found} == {"lock-file", "not-group-writable", "default-acl-missing"}
    (root,) = (f for f in found if f.rule == "default-acl-missing")
    assert "the root folder has no default access list" in root.detail
    assert (root.subject, root.severity.value) == (str(shared.path), "warning")

    repair(open_folder, shared)
    shutil.rmtree(shared.home(ben) / "b", ignore_errors=True)
    shared.environment("b", NEWEST, "six==1.17.0", user=ben)
    assert findings_of(open_folder, shared) == []


def repair(folder: Path, shared: SharedCache, rounds: int = 4) -> set[str]:
    """Run every fix that the audit prints, as it says, until it finds nothing; return the rules."""
    rules: set[str] = set()
    for _ in range(rounds):
        found = findings_of(folder, shared)
        if not found:
            return rules
        rules |= {finding.rule for finding in found}
        for finding in found:
            done = subprocess.run(
                ["sh", "-c", finding.fix], check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, (finding, done.stderr)
    raise AssertionError(findings_of(folder, shared))


@pytest.mark.parametrize("version", [pytest.param("0.8.5", marks=pytest.mark.long), NEWEST])
@pytest.mark.parametrize("mode", ["symlink", "copy"])
def test_what_umask_077_closed_is_named_and_repaired_files_too(
    open_folder: Path, index: Index, version: str, mode: str
) -> None:
    """Nothing is left closed: neither a folder, nor an archive's file, nor a pointer."""
    ana, ben = (
        replace(user, umask=umask) for user, umask in zip(two_users(), (0o077, 0o022), strict=True)
    )
    shared = shared_by(open_folder, index, (ana, ben))
    shared.environment("a", version, "six==1.16.0", "docopt==0.6.2", user=ana)
    closed = {f.rule: f for f in findings_of(open_folder, shared)}
    assert closed["not-readable"].severity.value == "error"
    assert "whose installs of it fail" in closed["not-readable"].detail
    with pytest.raises(AssertionError, match="Permission denied"):
        shared.environment("b", version, "six==1.16.0", user=ben, link_mode=mode)
    repair(open_folder, shared)
    shutil.rmtree(shared.home(ben) / "b", ignore_errors=True)
    archives = set((shared.path / "archive-v0").iterdir())
    again = shared.environment("b", version, "six==1.16.0", user=ben, link_mode=mode)
    import_six = [again / "bin" / "python", "-c", "import six"]
    subprocess.run(import_six, check=True, **ben.process_arguments())
    assert set((shared.path / "archive-v0").iterdir()) == archives, "it was downloaded again"


def test_closed_pointers_are_a_warning_and_members_download_again(
    open_folder: Path, index: Index
) -> None:
    ana, ben = two_users()
    shared = shared_by(open_folder, index, (ana, ben))
    give_default_list(shared.path)
    shared.environment("a", "0.8.5", "six==1.16.0", user=ana)
    for pointer in shared.path.glob("wheels-v5/**/*"):
        if pointer.is_file() and not pointer.is_symlink():
            pointer.chmod(0o600)
    (found,) = findings_of(open_folder, shared)
    assert (found.rule, found.severity.value) == ("not-readable", "warning")
    assert "who downloads all of it again" in found.detail
    archives = len(list((shared.path / "archive-v0").iterdir()))
    shared.environment("b", "0.8.5", "six==1.16.0", user=ben)
    assert len(list((shared.path / "archive-v0").iterdir())) == archives + 1
    repair(open_folder, shared)


def test_everything_that_can_be_wrong_at_once_is_repaired_by_what_is_printed(
    open_folder: Path, index: Index
) -> None:
    """A moved-in folder, another group, open and closed files, a sticky root: each by its owner."""
    ana, ben = two_users()
    shared = shared_by(open_folder, index, (ana, ben))
    cache = shared.path
    shared.environment("a", "0.8.5", "six==1.16.0", "docopt==0.6.2", user=ana)
    shared.environment("a2", NEWEST, "six==1.16.0", user=ana)
    archive = next((cache / "archive-v0").glob("*/six.py")).parent
    (archive / "six.py").chmod(0o640)
    (archive / "six-1.16.0.dist-info" / "METADATA").chmod(0o666)
    pointer = next(path for path in cache.glob("wheels-v*/*/*/six/*.http"))
    pointer.chmod(0o600)
    os.chown(pointer, ana.uid, ana.gid)
    os.chown(cache / "wheels-v5", ana.uid, ana.gid)
    (cache / "wheels-v5").chmod(0o1755)
    (cache / ".lock").chmod(0o600)
    cache.chmod(0o3775)
    rules = repair(open_folder, shared)
    assert rules >= {
        *("cache-root-mode", "not-group-writable", "not-readable", "group-differs"),
        *("default-acl-missing", "world-writable", "lock-file"),
    }
    for version in ("0.8.5", NEWEST):
        shared.environment(f"b{version}", version, "six==1.16.0", user=ben)
