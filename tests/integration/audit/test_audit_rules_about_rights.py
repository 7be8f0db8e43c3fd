"""Audit rules about who can write in a shared cache: modes, groups, access lists, locks."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin.findings import Severity
from cacheadmin.fs.access_lists import (
    ALL,
    READ,
    WRITE,
    access_of,
    parse_access_list,
    read_access_list_at,
)
from tests.support.auditing import Audited, make_cache
from tests.support.users import SHARED_GROUP, User, other_users

pytestmark = pytest.mark.root

OTHER_GROUP = 61900

needs_setfacl = pytest.mark.skipif(
    shutil.which("setfacl") is None, reason="needs setfacl, of the package acl"
)


def setfacl(*arguments: str | Path) -> None:
    done = subprocess.run(["setfacl", *arguments], check=False, capture_output=True, text=True)
    if "not supported" in done.stderr:
        pytest.skip("the filesystem of the temporary folder keeps no access lists")
    assert done.returncode == 0, done.stderr


def make_shared(cache: Path, owner: User) -> Path:
    """Make a cache as it should be: setgid folders, group rights, everything one member's."""
    make_cache(cache)
    for name in ("wheels-v6/pypi/six", "sdists-v9/pypi/docopt/0.6.2/AbCd/src/lib", "git-v0/db/ab"):
        (cache / name).mkdir(parents=True)
    for name in (".lock", "sdists-v9/.git", "wheels-v6/pypi/six/1.17.0-py3-none-any.lock"):
        (cache / name).touch()
        (cache / name).chmod(0o666)
    subprocess.run(["chown", "-R", f"{owner.uid}:{SHARED_GROUP}", cache], check=True)
    subprocess.run(["find", cache, "-type", "d", "-exec", "chmod", "2775", "{}", "+"], check=True)
    os.chown(cache, 0, SHARED_GROUP)
    if shutil.which("setfacl"):
        setfacl("-R", "-d", "-m", "u::rwx,g::rwx,o::rx", cache)
    return cache


@pytest.fixture
def ana() -> User:
    return other_users(1)[0]


@pytest.fixture
def shared_audit(open_folder: Path, ana: User) -> Audited:
    return Audited(open_folder, make_shared(open_folder / "cache", ana))


RULES = (
    "cache-root-mode",
    "not-group-writable",
    "not-readable",
    "group-differs",
    "default-acl-missing",
    "lock-file",
    "world-writable",
    "setuid-file",
    "links-out",
    "hardlinks-outside",
)


def test_a_cache_as_it_should_be_has_no_findings(shared_audit: Audited) -> None:
    assert [f for rule in RULES for f in shared_audit.findings(rule)] == []


def test_a_root_that_members_cannot_write_is_an_error_once_others_have_entries(
    shared_audit: Audited,
) -> None:
    shared_audit.cache.chmod(0o2755)
    (found,) = shared_audit.findings("cache-root-mode")
    assert found.severity is Severity.ERROR
    assert "only root can write" in found.detail
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("cache-root-mode") == []
    shared_audit.cache.chmod(0o2755)
    # One user's own cache is private: nothing to repair, and nothing asked of what is in it.
    subprocess.run(["chown", "-R", "0", shared_audit.cache], check=True)
    (found,) = shared_audit.findings("cache-root-mode")
    assert found.severity is Severity.INFO
    assert shared_audit.findings("not-group-writable") == []


@needs_setfacl
def test_users_without_account_are_let_in_by_their_numbers(
    shared_audit: Audited, ana: User
) -> None:
    """No group has them: they are of a container, or of another host."""
    cache = shared_audit.cache
    os.chown(cache, 0, 0)
    setfacl("-b", cache)
    cache.chmod(0o755)
    (found,) = shared_audit.findings("cache-root-mode")
    assert f"setfacl -m u:{ana.uid}:rwx {cache} && " in found.fix
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("cache-root-mode") == []
    subprocess.run(["touch", cache / "by-ana"], **ana.process_arguments(), check=True)


def test_a_private_cache_is_not_told_to_be_shared(open_folder: Path) -> None:
    cache = open_folder / ".cache" / "uv"
    make_cache(cache)
    audit = Audited(open_folder, cache)
    (found,) = audit.findings("cache-root-mode")
    assert found.severity is Severity.INFO
    assert "it is a private cache" in found.detail
    assert "chmod" not in found.fix
    assert found.fix.startswith("nothing")
    assert [f for rule in RULES[1:] for f in audit.findings(rule)] == []


def test_a_root_whose_owner_is_only_a_number_is_never_taken_from_who_uses_it(
    shared_audit: Audited, ana: User
) -> None:
    """A container's user has no account here: `chown root` would lock the only user out."""
    cache = shared_audit.cache
    os.chown(cache, ana.uid, SHARED_GROUP)
    cache.chmod(0o2755)
    found = [f for f in shared_audit.findings("cache-root-mode") if "no account" in f.detail]
    assert "uses the cache" in found[0].detail
    assert f"useradd -u {ana.uid}" in found[0].fix
    assert "chown root" not in found[0].fix
    # Nothing in it is that number's: then it may well be taken.
    subprocess.run(["chown", "-R", "0", cache], check=True)
    os.chown(cache, ana.uid, SHARED_GROUP)
    (found, *_) = [f for f in shared_audit.findings("cache-root-mode") if "no account" in f.detail]
    subprocess.run(found.fix, shell=True, check=True)
    assert cache.stat().st_uid == 0


@needs_setfacl
def test_a_shared_root_without_a_default_list_is_named_with_the_command_that_sets_it(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    setfacl("-R", "-k", cache)
    # Members' folders show that umask 002 works here: good to know, no more.
    (found,) = shared_audit.findings("default-acl-missing")
    assert (found.subject, found.severity) == (str(cache), Severity.INFO)
    (cache / "wheels-v6" / "pypi").chmod(0o2755)
    (found,) = shared_audit.findings("default-acl-missing")
    assert found.severity is Severity.WARNING
    assert "umask 022" in found.detail
    subprocess.run(found.fix, shell=True, check=True)
    # Below it, folders made before lack it still: theirs are the next commands.
    for finding in shared_audit.findings("default-acl-missing"):
        subprocess.run(finding.fix, shell=True, check=True)
    assert shared_audit.findings("default-acl-missing") == []


@needs_setfacl
def test_the_list_that_is_printed_for_a_root_names_the_groups_it_is_shared_with(
    shared_audit: Audited,
) -> None:
    cache = shared_audit.cache
    setfacl("-R", "-k", cache)
    setfacl("-R", "-m", f"g::rX,g:{SHARED_GROUP}:rwX", cache)
    subprocess.run(["chown", "-R", ":0", cache], check=True)
    (found,) = shared_audit.findings("default-acl-missing")
    assert f"g:{SHARED_GROUP}:rwx" in found.fix
    subprocess.run(found.fix, shell=True, check=True)
    assert [f.owner for f in shared_audit.findings("default-acl-missing")] != ["root"]


def test_files_that_members_cannot_read_are_named_and_repaired(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    (archive,) = (cache / "archive-v0").iterdir()
    (archive / "six.py").chmod(0o600)
    pointer = cache / "wheels-v6" / "pypi" / "six" / "1.17.0-py3-none-any.http"
    pointer.touch()
    os.chown(pointer, ana.uid, OTHER_GROUP)
    pointer.chmod(0o640)
    (found,) = shared_audit.findings("not-readable", owner=ana)
    assert (found.severity, found.count) == (Severity.ERROR, 2)
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("not-readable") == []
    # What everybody may read, and the wheels that uv builds for itself, are no matter.
    (archive / "six.py").chmod(0o644)
    built = cache / "sdists-v9/pypi/docopt/0.6.2/AbCd/docopt-0.6.2-py2.py3-none-any.whl"
    built.touch(mode=0o600)
    assert shared_audit.findings("not-readable") == []
    archive.chmod(0o2700)
    (found,) = shared_audit.findings("not-readable")
    assert "whose installs of it fail" in found.detail
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("not-readable") == []


@pytest.mark.parametrize(
    ("mode", "said", "severity"),
    [
        (0o0775, "no setgid bit", Severity.ERROR),
        (0o3775, "sticky", Severity.WARNING),
    ],
)
def test_bits_of_the_root_are_named(
    shared_audit: Audited, mode: int, said: str, severity: Severity
) -> None:
    shared_audit.cache.chmod(mode)
    (found,) = shared_audit.findings("cache-root-mode")
    assert said in found.detail
    assert found.severity is severity
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("cache-root-mode") == []


def test_a_folder_above_that_keeps_members_out_is_named(open_folder: Path, ana: User) -> None:
    above = open_folder / "above"
    above.mkdir()
    audit = Audited(open_folder, make_shared(above / "cache", ana))
    above.chmod(0o750)
    (found,) = audit.findings("cache-root-mode")
    assert found.subject == str(above)
    assert "can't enter" in found.detail
    ways = found.fix.split(", or ")
    assert ways[0] == f"setfacl -m g:{SHARED_GROUP}:x {above}"
    if shutil.which("setfacl"):
        subprocess.run(ways[0], shell=True, check=True)
        assert audit.findings("cache-root-mode") == []
        setfacl("-b", above)
    subprocess.run(ways[1], shell=True, check=True)
    assert audit.findings("cache-root-mode") == []
    above.chmod(0o750)
    os.chown(above, 0, SHARED_GROUP)
    assert audit.findings("cache-root-mode") == []
    above.chmod(0o777)
    (found,) = audit.findings("cache-root-mode")
    assert "in the place of the cache" in found.detail


def test_what_one_member_left_closed_everywhere_is_one_finding_with_one_command(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    closed = [cache / "wheels-v6/pypi", cache / "archive-v0"]
    for folder in closed:
        folder.chmod(0o2755)
    found = [f for f in shared_audit.findings("not-group-writable") if f.severity is Severity.ERROR]
    assert sorted((f.subject, f.count) for f in found) == [(str(cache), 2)]
    subprocess.run(found[0].fix, shell=True, check=True)
    assert shared_audit.findings("not-group-writable") == []


@pytest.mark.parametrize("mode", [0o2755, 0o3775])
def test_what_umask_022_leaves_closed_is_found_by_owner(
    shared_audit: Audited, ana: User, mode: int
) -> None:
    cache = shared_audit.cache
    closed = [cache / "wheels-v6/pypi", cache / "wheels-v6/pypi/six"]
    closed[0].chmod(0o2755)
    closed[1].chmod(mode)
    (found,) = shared_audit.findings("not-group-writable", owner=ana)
    assert found.severity is Severity.ERROR
    assert (found.subject, found.count) == (f"{cache}/wheels-v6", 2)
    assert "wheels-v6/pypi, wheels-v6/pypi/six" in found.detail
    assert ("sticky" in found.detail) is (mode == 0o3775)
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("not-group-writable") == []


def test_closed_folders_that_nobody_writes_to_are_a_remark_or_nothing(
    shared_audit: Audited,
) -> None:
    cache = shared_audit.cache
    # A source archive keeps its author's modes: that says nothing about the cache.
    for folder in (cache / "sdists-v9").rglob("src"):
        folder.chmod(0o755)
        (folder / "lib").chmod(0o755)
        os.chown(folder / "lib", 0, OTHER_GROUP)
    (cache / ".tmpAbCdEf").mkdir(mode=0o700)
    (cache / "sdists-v9" / ".tmpAbCdEf").mkdir(mode=0o700)
    assert shared_audit.findings("not-group-writable") == []
    assert shared_audit.findings("group-differs") == []
    (archive,) = (cache / "archive-v0").iterdir()
    archive.chmod(0o2755)
    (found,) = shared_audit.findings("not-group-writable")
    assert found.severity is Severity.INFO
    assert "installs work" in found.detail


@needs_setfacl
def test_the_mask_of_an_access_list_decides_not_what_the_list_says(shared_audit: Audited) -> None:
    folder = shared_audit.cache / "wheels-v6" / "pypi"
    setfacl("-m", f"g:{SHARED_GROUP}:rwx,m::rx", folder)
    assert [f.count for f in shared_audit.findings("not-group-writable")] == [1]
    setfacl("-m", "m::rwx", folder)
    assert shared_audit.findings("not-group-writable") == []


@needs_setfacl
def test_group_bits_that_are_only_the_mask_grant_nothing_to_the_group(
    shared_audit: Audited,
) -> None:
    folder = shared_audit.cache / "wheels-v6" / "pypi"
    setfacl("-m", f"u:{os.getuid()}:rwx,g::rx,m::rwx", folder)
    assert folder.stat().st_mode & 0o777 == 0o775
    assert [f.count for f in shared_audit.findings("not-group-writable")] == [1]


def test_entries_of_another_group_and_folders_without_setgid_are_found(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    os.chown(cache / "wheels-v6" / "pypi", ana.uid, OTHER_GROUP)
    (cache / "wheels-v6" / "pypi" / "six").chmod(0o775)
    (found,) = shared_audit.findings("group-differs", owner=ana)
    assert found.severity is Severity.WARNING
    assert found.count == 2
    assert "not of the cache's group" in found.detail
    assert "without the setgid bit" in found.detail
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("group-differs") == []


@needs_setfacl
def test_a_folder_that_was_moved_in_lacks_the_default_list(
    shared_audit: Audited, open_folder: Path, ana: User
) -> None:
    cache = shared_audit.cache
    assert shared_audit.findings("default-acl-missing") == []
    moved = open_folder / "pytz"
    (moved / "inner").mkdir(parents=True)
    subprocess.run(["chown", "-R", f"{ana.uid}:{SHARED_GROUP}", moved], check=True)
    moved.rename(cache / "wheels-v6" / "pypi" / "pytz")
    (found,) = shared_audit.findings("default-acl-missing", owner=ana)
    assert (found.subject, found.count) == (f"{cache}/wheels-v6", 2)
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("default-acl-missing") == []


@needs_setfacl
def test_a_default_list_that_gives_members_nothing_is_an_error(shared_audit: Audited) -> None:
    setfacl("-d", "-m", "u::rwx,g::rx,o::rx", shared_audit.cache)
    (found,) = shared_audit.findings("cache-root-mode")
    assert "default access list" in found.detail
    assert shared_audit.findings("default-acl-missing") == []


@needs_setfacl
def test_a_group_that_a_list_names_shares_the_cache_whoever_owns_the_entries(
    shared_audit: Audited,
) -> None:
    cache = shared_audit.cache
    subprocess.run(["chown", "-R", ":0", cache], check=True)
    setfacl("-R", "-m", f"g::rX,g:{SHARED_GROUP}:rwX", cache)
    setfacl("-R", "-d", "-m", f"u::rwx,g::rx,g:{SHARED_GROUP}:rwx,o::rx", cache)
    # Next to a group that is named, root's own group shares with nobody.
    setfacl("-m", "g::rwx", cache)
    assert [f for rule in RULES for f in shared_audit.findings(rule)] == []
    setfacl("-x", f"g:{SHARED_GROUP}", cache / "wheels-v6")
    assert [f.count for f in shared_audit.findings("not-group-writable")] == [1]


def test_a_lock_that_members_cannot_open_is_an_error(shared_audit: Audited, ana: User) -> None:
    cache = shared_audit.cache
    lock = cache / ".lock"
    lock.chmod(0o644)
    (found,) = shared_audit.findings("lock-file", owner=ana)
    assert found.subject == str(lock)
    assert found.severity is Severity.ERROR
    # Not as root, whose chmod would follow a link that ana puts there.
    assert found.fix.startswith(f"setpriv --reuid={ana.uid} ")
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("lock-file") == []
    lock.unlink()
    # Members make it themselves.
    assert shared_audit.findings("lock-file") == []
    lock.symlink_to("/etc/passwd")
    (found,) = shared_audit.findings("lock-file")
    assert "a link" in found.detail
    lock.unlink()
    os.mkfifo(lock)
    (found,) = shared_audit.findings("lock-file")
    assert "a FIFO" in found.detail


@pytest.mark.parametrize("kind", ["folder", "full folder", "link", "pipe"])
def test_a_lock_that_is_no_file_is_removed_by_what_is_printed(
    shared_audit: Audited, kind: str
) -> None:
    lock = shared_audit.cache / ".lock"
    lock.unlink()
    elsewhere = shared_audit.folder / "elsewhere"
    elsewhere.touch()
    if kind == "link":
        lock.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    if kind == "full folder":
        (lock / "file").touch()
    (found,) = shared_audit.findings("lock-file")
    assert "the lock is not a file" in found.detail
    command, _, rest = found.fix.partition("; ")
    assert rest == "uv makes it again"
    subprocess.run(command, shell=True, check=True)
    assert elsewhere.exists()
    assert not os.path.lexists(lock)
    # As uv makes it.
    lock.touch()
    lock.chmod(0o666)
    assert shared_audit.findings("lock-file") == []


def test_a_repair_works_from_a_folder_that_its_owner_cannot_enter(
    shared_audit: Audited, open_folder: Path
) -> None:
    (shared_audit.cache / ".lock").chmod(0o644)
    (found,) = shared_audit.findings("lock-file")
    home = open_folder / "as-private-as-the-home-of-root"
    home.mkdir(mode=0o700)
    subprocess.run(found.fix, shell=True, check=True, cwd=home)
    assert shared_audit.findings("lock-file") == []


def test_what_root_left_closed_is_given_to_a_member_before_its_rights_are_widened(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    lock, archive = cache / ".lock", cache / "archive-v0"
    also_elsewhere = archive / "also-in-an-environment.py"
    also_elsewhere.touch()
    (cache.parent / "elsewhere.py").hardlink_to(also_elsewhere)
    planted = cache / "sdists-v9" / "cacheadmin"
    planted.mkdir()
    os.mknod(archive / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for path in (lock, archive):
        os.chown(path, 0, SHARED_GROUP)
    archive.chmod(0o2755)
    lock.chmod(0o644)
    for rule in ("lock-file", "not-group-writable"):
        (found,) = [f for f in shared_audit.findings(rule) if f.owner == "root"]
        assert "chmod" not in found.fix, "root's would follow a link that a member puts there"
        give = found.fix[found.fix.index("find ") :].replace("MEMBER", str(ana.uid))
        subprocess.run(give, shell=True, check=True)
        for own in shared_audit.findings(rule, owner=ana):
            subprocess.run(own.fix, shell=True, check=True)
        assert [f for f in shared_audit.findings(rule) if f.severity is Severity.ERROR] == []
    kept = (cache, planted, also_elsewhere, archive / "device")
    assert [path.stat().st_uid for path in kept] == [0, 0, 0, 0]


def test_who_is_no_member_repairs_with_the_members_group(shared_audit: Audited) -> None:
    closed = shared_audit.cache / "wheels-v6" / "pypi"
    account = pwd.getpwnam("nobody")
    os.chown(closed, account.pw_uid, SHARED_GROUP)
    closed.chmod(0o2755)
    (found,) = shared_audit.findings("not-group-writable")
    subprocess.run(found.fix, shell=True, check=True)
    # chmod(1) of who is not in the group takes the setgid bit away.
    assert stat.S_IMODE(closed.stat().st_mode) == 0o2775


def test_build_markers_and_inner_locks_that_members_cannot_open_are_found(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    (cache / "sdists-v9" / ".git").chmod(0o644)
    (cache / "wheels-v6/pypi/six/1.17.0-py3-none-any.lock").chmod(0o644)
    (marker,) = shared_audit.findings("lock-file", owner=ana)
    assert marker.subject == f"{cache}/sdists-v9"
    (inner,) = shared_audit.findings("not-group-writable", owner=ana)
    assert (inner.subject, inner.count) == (f"{cache}/wheels-v6", 1)
    for found in (marker, inner):
        subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("lock-file") == []
    assert shared_audit.findings("not-group-writable") == []


def test_a_missing_lock_that_users_cannot_make_is_an_error(
    shared_audit: Audited, ana: User
) -> None:
    cache = shared_audit.cache
    (cache / "simple-v18").mkdir()
    (cache / "simple-v18" / "six.rkyv").touch()
    subprocess.run(["chown", "-R", str(ana.uid), cache / "simple-v18"], check=True)
    (cache / ".lock").unlink()
    cache.chmod(0o755)
    (found,) = shared_audit.findings("lock-file")
    assert f"uid {ana.uid} can't make one" in found.detail
    subprocess.run(found.fix, shell=True, check=True)
    assert shared_audit.findings("lock-file") == []


def test_a_program_that_is_no_uv_and_holds_the_lock_is_named(shared_audit: Audited) -> None:
    lock = shared_audit.cache / ".lock"
    program = (
        "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            (found,) = shared_audit.findings("lock-file")
            assert f"process {process.pid} " in found.detail
            assert "no uv" in found.detail
        finally:
            process.kill()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert shared_audit.findings("lock-file") == []


@needs_setfacl
@pytest.mark.parametrize(
    "entries",
    [
        "g::rw,o::-",
        "g::r,o::rw",
        "g::r,g:{other}:rw,o::-",
        "g::rw,m::r,o::-",
        "g::-,g:{shared}:rw,m::rw,o::-",
        "g::r,g:{shared}:w,m::rw,o::rw",
        "u:{uid}:rw,g::-,m::rw,o::-",
        "u:{uid}:r,g::rw,m::rw,o::rw",
        "u:{uid}:rw,g::-,m::-,o::rw",
    ],
)
def test_rights_are_what_the_kernel_grants(open_folder: Path, ana: User, entries: str) -> None:
    file = open_folder / "file"
    file.touch(mode=0o600)
    os.chown(file, 0, SHARED_GROUP)
    values = {"uid": ana.uid, "shared": SHARED_GROUP, "other": OTHER_GROUP}
    setfacl("-m", entries.format(**values), file)
    folder = os.open(open_folder, os.O_RDONLY)
    try:
        access = access_of(file.stat(), read_access_list_at(folder, "file"))
    finally:
        os.close(folder)
    opened = subprocess.run(
        ["bash", "-c", f"exec 3<>{file}"],
        check=False,
        capture_output=True,
        **ana.process_arguments(),
    )
    assert access.user_may(ana.uid, ana.groups, READ | WRITE) is (opened.returncode == 0)
    if "u:{uid}" not in entries:
        assert access.group_may(SHARED_GROUP, READ | WRITE) is (opened.returncode == 0)
    assert access.user_may(0, (), ALL)


@pytest.mark.parametrize("content", [b"", b"\x02\0\0\0", b"\x02\0\0\0\x01\0", b"\x03\0\0\0" * 9])
def test_what_is_no_access_list_is_none(content: bytes) -> None:
    assert parse_access_list(content) is None
