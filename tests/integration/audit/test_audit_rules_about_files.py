"""Audit rules about what lies in a cache and should not: and hostile trees they have to survive."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin.audit.target import AuditTarget
from cacheadmin.findings import Severity
from tests.support.auditing import ARCHIVE, Audited, make_cache, mounted, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import SHARED_GROUP, User, other_users
from tests.support.waiting import until


@pytest.fixture
def audit(open_folder: Path) -> Audited:
    """An audit of the smallest cache there is, of whoever runs the tests."""
    cache = open_folder / "cache"
    make_cache(cache)
    subprocess.run(["chmod", "-R", "g+w", cache], check=True)
    subprocess.run(["find", cache, "-type", "d", "-exec", "chmod", "g+s", "{}", "+"], check=True)
    return Audited(open_folder, cache)


def test_what_everybody_can_write_is_an_error_but_for_locks(audit: Audited) -> None:
    cache = audit.cache
    (cache / ".lock").touch()
    (cache / ".lock").chmod(0o666)
    (cache / "wheels-v6" / "a.lock").touch()
    (cache / "wheels-v6" / "a.lock").chmod(0o777)
    os.symlink("nowhere", cache / "wheels-v6" / "link")
    assert audit.findings("world-writable") == []
    module = cache / "archive-v0" / ARCHIVE / "six.py"
    module.chmod(0o666)
    # Not a lock: it has content.
    content = cache / "archive-v0" / ARCHIVE / "code.lock"
    content.write_text("x")
    content.chmod(0o666)
    (found,) = audit.findings("world-writable")
    assert (found.subject, found.count) == (f"{cache}/archive-v0", 2)
    assert found.severity is Severity.ERROR
    cache.chmod(0o2770)
    (found,) = audit.findings("world-writable")
    assert found.severity is Severity.INFO


def test_the_command_that_repairs_what_everybody_can_write_does(audit: Audited) -> None:
    folder = audit.cache / "archive-v0" / ARCHIVE
    folder.chmod(0o2777)
    # What is called a lock, and has content, is none of uv's.
    (folder / "poetry.lock").write_text("x")
    (folder / "poetry.lock").chmod(0o666)
    (found,) = audit.findings("world-writable")
    subprocess.run(_as_myself(found.fix), shell=True, check=True)
    assert audit.findings("world-writable") == []
    assert not folder.stat().st_mode & stat.S_IWOTH


@pytest.mark.root
def test_entries_of_accounts_that_do_not_exist_are_found_unless_allowed(audit: Audited) -> None:
    assert audit.findings("foreign-owner") == []
    (ana,) = other_users(1)
    own(audit.cache / "archive-v0" / ARCHIVE, ana)
    (found,) = audit.findings("foreign-owner", owner=ana)
    assert found.subject == f"{audit.cache}/archive-v0"
    assert "does not exist" in found.detail
    inodes = 1 + len(list((audit.cache / "archive-v0" / ARCHIVE).rglob("*")))
    assert found.count == inodes
    allowed = f"audit: {{foreign-owner: {{allow_users: ['{ana.uid}']}}}}\n"
    assert audit.findings("foreign-owner", allowed) == []


@pytest.mark.root
def test_accounts_that_are_not_in_the_cache_s_group_are_foreign(audit: Audited) -> None:
    nobody = subprocess.run(["id", "-u", "nobody"], check=True, capture_output=True, text=True)
    uid = int(nobody.stdout)
    os.chown(audit.cache / "wheels-v6", uid, SHARED_GROUP)
    (found,) = audit.findings("foreign-owner")
    assert found.owner == "nobody"
    assert "who is not in group" in found.detail
    assert (
        audit.findings("foreign-owner", "audit: {foreign-owner: {allow_users: [nobody]}}\n") == []
    )


def test_setuid_files_and_what_is_no_file_are_errors(audit: Audited) -> None:
    archive = audit.cache / "archive-v0" / ARCHIVE
    assert audit.findings("setuid-file") == []
    (archive / "six.py").chmod(0o4755)
    os.mkfifo(archive / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(archive / "socket"))
    (found,) = audit.findings("setuid-file")
    assert found.severity is Severity.ERROR
    assert found.count == 3
    assert "1 setuid or setgid file" in found.detail
    assert "2 devices, sockets or FIFOs" in found.detail


FOLLOWED = (
    "environments-v2/project-cp3.11-abc",
    "environments-v2/0123456789abcdef/fedcba9876543210",
    "archive-v0/AbCdEfGhIjKlMnOp",
    "wheels-v6/pypi/six/1.17.0-py3-none-any",
    "wheels-v6/pypi",
    "sdists-v9/pypi/docopt/0.6.2/AbCdEfGhIjKlMnOp/docopt-0.6.2-py3-none-any",
    "simple-v18",
)
NOT_FOLLOWED = (
    f"archive-v0/{ARCHIVE}/data",
    f"archive-v0/{ARCHIVE}/bin/pythonic",
    "sdists-v9/pypi/docopt/0.6.2/AbCdEfGhIjKlMnOp/src/link",
    "environments-v2/project-cp3.11-abc/lib64",
)


@pytest.mark.parametrize("place", FOLLOWED)
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_out_of_the_cache_where_uv_follows_is_an_error(
    audit: Audited, open_folder: Path, place: str, relative: bool
) -> None:
    outside = open_folder / "precious"
    outside.mkdir()
    link = audit.cache / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(outside, link.parent) if relative else outside)
    (found,) = audit.findings("links-out")
    assert found.severity is Severity.ERROR
    assert place in found.detail
    assert found.count == 1


def test_links_that_no_uv_follows_are_a_remark_and_those_inside_nothing(
    audit: Audited, open_folder: Path
) -> None:
    cache = audit.cache
    other_name = open_folder / "other-name"
    other_name.symlink_to(cache)
    inside = {
        "wheels-v6/pypi/six/a": f"{cache}/archive-v0/{ARCHIVE}",
        "wheels-v6/pypi/six/b": f"../../../archive-v0/{ARCHIVE}",
        "wheels-v6/pypi/six/c": f"{other_name}/archive-v0/{ARCHIVE}",
        "wheels-v6/pypi/six/d": f"../../../../cache/archive-v0/{ARCHIVE}",
        "environments-v2/project/bin/python3.11": "/usr/bin/python3.11",
        "environments-v2/project/bin/python": "/usr/bin/python3.11",
        "environments-v2/project/lib64": "lib",
        f"archive-v0/{ARCHIVE}/lib/six.py": f"{cache}/archive-v0/{ARCHIVE}/six.py",
    }
    for name, text in inside.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(text, cache / name)
    assert audit.findings("links-out") == []
    for name in NOT_FOLLOWED:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).unlink(missing_ok=True)
        os.symlink("/etc/hostname", cache / name)
    found = audit.findings("links-out")
    assert {one.severity for one in found} == {Severity.INFO}
    assert sum(one.count for one in found) == len(NOT_FOLLOWED)


def test_hard_links_that_no_known_environment_explains_are_a_remark(
    audit: Audited, open_folder: Path
) -> None:
    archive = audit.cache / "archive-v0" / ARCHIVE
    # Two names inside are nobody's business.
    os.link(archive / "six.py", archive / "again.py")
    assert audit.findings("hardlinks-outside") == []
    copy = open_folder / "copy"
    copy.mkdir()
    for name in ("six.py", "six-1.16.0.dist-info/METADATA"):
        os.link(archive / name, copy / os.path.basename(name))
    (found,) = audit.findings("hardlinks-outside")
    assert found.severity is Severity.INFO
    assert found.count == 2
    # An environment that is registered explains them.
    packages = open_folder / "project" / "lib" / "python3.11" / "site-packages"
    info = packages / "six-1.16.0.dist-info"
    info.mkdir(parents=True)
    (open_folder / "project" / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.8.5\n")
    os.link(archive / "six-1.16.0.dist-info" / "METADATA", info / "METADATA")
    os.link(archive / "six.py", packages / "six.py")
    known = f"venvs: {{include: [{json.dumps(str(open_folder / 'project'))}]}}\n"
    assert audit.findings("hardlinks-outside", known) == []
    assert audit.findings("hardlinks-outside")[0].count == 2


def test_a_tree_too_deep_for_any_uv_is_named_not_followed(audit: Audited) -> None:
    fd = os.open(audit.cache / "wheels-v6", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    try:
        unread = [f for f in audit.findings("not-group-writable") if "looked at" in f.detail]
        assert [f.severity for f in unread] == [Severity.WARNING]
        assert "deeper than any uv release writes" in unread[0].detail
    finally:
        subprocess.run(["rm", "-rf", "--", audit.cache / "wheels-v6"], check=True)


def test_a_folder_that_is_swapped_for_a_link_is_never_followed(
    audit: Audited, open_folder: Path
) -> None:
    outside = open_folder / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "secret").touch()
    (outside / "inner" / "secret").chmod(0o4666)
    place, aside = audit.cache / "wheels-v6" / "swapped", audit.cache / "wheels-v6" / "aside"
    (place / "inner").mkdir(parents=True)
    (place / "inner" / "own").touch()
    (place / "inner" / "own").chmod(0o666)
    link = audit.cache / "wheels-v6" / "link"
    link.symlink_to(outside)
    for number in range(1000):
        # Some way to go between seeing the folder and opening it.
        (audit.cache / "wheels-v6" / f"file{number}").touch()
    swap = (
        "import os, sys; place, aside, link = sys.argv[1:]; print('ready', flush=True)\n"
        "while True:\n"
        "    os.rename(place, aside); os.rename(link, place)\n"
        "    os.rename(place, link); os.rename(aside, place)\n"
    )
    examples: set[str] = set()
    unread: set[str] = set()

    def seen_both() -> bool:
        for _ in range(50):
            tallies = AuditTarget(snapshot).survey.tallies
            examples.update(one for count in tallies.counts.values() for one in count.examples)
            unread.update(failure.path for failure in tallies.unread)
        found = any(example.endswith("inner/own") for example in examples)
        return found and "wheels-v6/swapped" in unread

    with (
        audit.look() as snapshot,
        subprocess.Popen(
            [sys.executable, "-c", swap, place, aside, link], stdout=subprocess.PIPE, text=True
        ) as swapping,
    ):
        try:
            assert swapping.stdout is not None
            assert swapping.stdout.readline() == "ready\n"
            # Until both were met, the folder and the link in its place.
            until(seen_both)
        finally:
            swapping.kill()
    assert not any("secret" in example for example in examples)


@pytest.mark.root
def test_what_is_mounted_in_a_cache_is_named_and_not_entered(
    audit: Audited, open_folder: Path
) -> None:
    bound = audit.cache / "wheels-v6" / "bound"
    bound.mkdir()
    (open_folder / "elsewhere").mkdir()
    (open_folder / "elsewhere" / "open").touch()
    (open_folder / "elsewhere" / "open").chmod(0o666)
    with mounted("tmpfs", audit.cache / "wheels-v6" / "tmpfs", "rw,mode=777"):
        subprocess.run(["mount", "--bind", open_folder / "elsewhere", bound], check=True)
        try:
            assert audit.findings("world-writable") == []
            (found,) = (f for f in audit.findings("not-group-writable") if "looked" in f.detail)
            assert found.count == 2
            assert "wheels-v6/bound (another filesystem" in found.detail
            assert "wheels-v6/tmpfs (another filesystem" in found.detail
        finally:
            subprocess.run(["umount", bound], check=True)


@pytest.mark.root
def test_a_member_sees_what_is_closed_to_them_named(audit: Audited, cacheadmin: Cacheadmin) -> None:
    (ana,) = other_users(1)
    subprocess.run(["chgrp", "-R", str(SHARED_GROUP), audit.cache], check=True)
    hidden = audit.cache / "wheels-v6" / "hidden"
    hidden.mkdir(mode=0o700)
    state = cacheadmin.folder / f"home-{ana.name}" / "state.sqlite"
    policy = cacheadmin.policy(audit.cache, f"state: sqlite:///{state}\n")
    result = _audit_as(cacheadmin, policy, ana)
    assert any("wheels-v6/hidden (Permission denied)" in row["detail"] for row in result)


def test_names_that_repaint_a_terminal_are_escaped(audit: Audited, cacheadmin: Cacheadmin) -> None:
    name = os.fsencode(audit.cache) + b"/wheels-v6/\x1b[2J\xff\n$(reboot)"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
    os.chmod(name, 0o4666)
    policy = cacheadmin.policy(audit.cache)
    for rule in ("setuid-file", "world-writable"):
        result = cacheadmin("audit", policy, "--rule", rule, code=8)
        assert "\x1b[2J" not in result.stdout
        assert "\\x1b[2J\\xff\\n$(reboot)" in result.stdout


@pytest.mark.root
def test_our_own_quarantine_is_left_out_but_not_what_somebody_calls_so(audit: Audited) -> None:
    quarantine = audit.cache / ".cacheadmin"
    quarantine.mkdir(mode=0o700)
    (quarantine / "kept").touch()
    (quarantine / "kept").chmod(0o4777)
    assert audit.findings("setuid-file") == []
    (ana,) = other_users(1)
    os.chown(quarantine, ana.uid, SHARED_GROUP)
    assert len(audit.findings("setuid-file")) == 1


def test_one_walk_serves_all_rules(audit: Audited) -> None:
    with audit.look() as snapshot:
        subject = AuditTarget(snapshot)
        entries = subject.survey.tallies.entries
        (audit.cache / "wheels-v6" / "later").touch()
        assert subject.survey.tallies.entries == entries
        assert entries == sum(len(f) + len(d) for _, d, f in os.walk(audit.cache)) - 1


def _as_myself(command: str) -> str:
    """Return a repair command without the sudo that makes it the owner's: that's who runs it."""
    words = command.split(" ")
    return " ".join(words[3:]) if words[0] == "sudo" else command


def _audit_as(cacheadmin: Cacheadmin, policy: Path, user: User) -> list[dict[str, str]]:
    result = cacheadmin(
        "audit",
        policy,
        "--rule",
        "not-group-writable",
        "--format",
        "json",
        "--insecure-policy",
        user=user,
    )
    findings: list[dict[str, str]] = result.json["findings"]
    return findings
