"""Audit rules about uv releases, running programs, the lock and pins: real users, real uv."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import Pin
from cacheadmin.evidence.pin_ages import age_records
from cacheadmin.evidence.pins import own_folder, pin_document
from cacheadmin.findings import Severity
from tests.support.auditing import Audited, link_environment, make_cache, name_of, own
from tests.support.long_running import long_running, tool_run
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, age
from tests.support.users import User, open_temporary_folder, other_users
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

OLD = "0.5.10"


@dataclass
class Site(Audited):
    """ana uses an old uv, ben the newest; eve has done nothing yet."""

    shared: SharedCache
    registry: Path
    ana: User
    ben: User
    eve: User

    @property
    def where(self) -> str:
        """A policy's ``venvs`` with the registry."""
        return f"venvs: {{registry: {self.registry}}}\n"


@pytest.fixture(scope="module")
def site(index: Index) -> Iterator[Site]:
    folder = open_temporary_folder("cacheadmin-audit-")
    users = other_users(3)
    shared = SharedCache.create(folder, index, users)
    ana, ben, eve = users
    shared.environment("old", OLD, "six==1.16.0", user=ana)
    shared.environment("new", NEWEST, "six==1.16.0", user=ben)
    registry = folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    yield Site(folder, shared.path, shared, registry, ana, ben, eve)
    shutil.rmtree(folder)


def test_an_old_release_is_told_with_its_evidence_and_how_to_upgrade(site: Site) -> None:
    (found,) = site.findings("uv-below-minimum", owner=site.ana)
    assert found.severity is Severity.WARNING
    assert f"uv {OLD} (an environment made with it: {site.shared.home(site.ana)}/old)" in (
        found.detail
    )
    assert "a uv from" not in found.detail, "its own buckets say nothing more"
    assert "below uv.minimum 0.8.19" in found.detail
    assert "'uv>=0.8.19'" in found.fix
    assert site.findings("uv-below-minimum", owner=site.ben) == []
    assert site.findings("uv-below-minimum", "uv: {minimum: 0.4.30}\n", owner=site.ana) == []


def test_a_bucket_of_old_releases_alone_is_evidence_without_a_number(site: Site) -> None:
    bucket = site.cache / "wheels-v1" / "pypi" / "six"
    bucket.mkdir(parents=True)
    (bucket / "1.16.0-py2.py3-none-any.http").write_bytes(b"\x90")
    own(site.cache / "wheels-v1", site.eve)
    try:
        (found,) = site.findings("uv-below-minimum", owner=site.eve)
        assert (
            f"a uv from 0.1.32 to before 0.4.13 (wrote to wheels-v1: {site.cache}/wheels-v1)"
            in (found.detail)
        )
        assert "which release it is can't be told" in found.detail
        (found,) = site.findings("uv-without-lock", owner=site.eve)
        # Old traces are no use: eve may have gone.
        age(site.cache / "wheels-v1", 40)
        assert site.findings("uv-below-minimum", owner=site.eve) == []
        assert site.findings("uv-without-lock", owner=site.eve) == []
    finally:
        shutil.rmtree(site.cache / "wheels-v1")


def test_an_installed_uv_is_upgraded_where_it_is_installed(site: Site) -> None:
    environment = site.shared.home(site.eve) / "with uv"
    installed = environment / "lib" / "python3.11" / "site-packages" / "uv-0.4.30.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: uv\nVersion: 0.4.30\n")
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
    own(environment, site.eve)
    bucket = max(site.cache.glob("wheels-v*/**/six"))
    written = bucket / "1.17.0-py2.py3-none-any.http"
    try:
        policy = f"venvs: {{include: ['{environment}']}}\n"
        (found,) = site.findings("uv-below-minimum", policy, owner=site.eve)
        # Root who ran it would start eve's interpreter.
        upgrade = f"uv pip install --python '{environment}' --upgrade 'uv>=0.8.19'"
        assert found.fix == f"as uid {site.eve.uid}: {upgrade}"
        # Installed long ago, it matters as long as eve does anything here.
        age(environment, 400)
        assert site.findings("uv-below-minimum", policy, owner=site.eve) == []
        written.write_bytes(b"\x90")
        own(written, site.eve)
        (found,) = site.findings("uv-below-minimum", policy, owner=site.eve)
        assert "uv 0.4.30 (it is installed there" in found.detail
    finally:
        written.unlink(missing_ok=True)
        shutil.rmtree(environment)


def test_a_uv_without_lock_is_an_error_where_it_could_break_somebody(site: Site) -> None:
    (found,) = site.findings("uv-without-lock", owner=site.ana)
    assert found.severity is Severity.ERROR
    assert f"uv {OLD}" in found.detail
    assert "would break 2 environments that link into it" in found.detail
    assert site.findings("uv-without-lock", owner=site.ben) == []
    # Roots keep what is linked: what is left is the lock, and others' buckets.
    (found,) = site.findings("uv-without-lock", "protect: {enabled: true}\n", owner=site.ana)
    assert found.severity is Severity.WARNING
    assert "would delete the lock and the buckets of others" in found.detail


def test_who_links_into_another_cache_is_no_matter_here(site: Site) -> None:
    home = site.shared.home(site.eve)
    other = site.cache.with_name("another-cache")
    try:
        archive = make_cache(other)
        link_environment(home / "theirs", archive, uv=OLD, user=site.eve)
        policy = f"venvs: {{include: ['{home}/theirs']}}\n"
        for rule in ("uv-without-lock", "uv-below-minimum"):
            assert site.findings(rule, policy, owner=site.eve) == []
        # The same environment, into this cache, is.
        shutil.rmtree(home / "theirs")
        own_archive = next((site.cache / "archive-v0").iterdir())
        link_environment(home / "theirs", own_archive, uv=OLD, user=site.eve)
        assert len(site.findings("uv-without-lock", policy, owner=site.eve)) == 1
    finally:
        shutil.rmtree(home / "theirs", ignore_errors=True)
        shutil.rmtree(other, ignore_errors=True)


def test_who_may_not_enter_the_cache_is_no_matter_here(site: Site) -> None:
    """Their environment lies in a tree that is searched; their uv can do nothing here."""
    account = pwd.getpwnam("nobody")
    stranger = User("nobody", account.pw_uid, account.pw_gid, (account.pw_gid,))
    home = site.shared.homes / "nobody"
    link_environment(home / "copied", make_cache(home / "elsewhere"), uv=OLD, user=stranger)
    for link in (home / "copied").rglob("*"):
        if link.is_symlink():
            target = link.resolve()
            link.unlink()
            shutil.copy(target, link)
    own(home, stranger)
    policy = f"venvs: {{include: ['{home}/copied']}}\n"
    try:
        for rule in ("uv-without-lock", "uv-below-minimum", "lock-file"):
            assert [f for f in site.findings(rule, policy) if f.owner == "nobody"] == []
    finally:
        shutil.rmtree(home)


def test_a_tool_that_runs_from_hard_links_within_the_cache_has_no_name_outside(site: Site) -> None:
    """Both names of each file lie in the cache: the wheel's archive, and the tool's environment."""
    site.shared.uv(
        NEWEST, *tool_run("cowsay"), "cowsay", "-t", "x", user=site.ben, link_mode="hardlink"
    )
    inodes = Counter(p.stat().st_ino for p in site.cache.glob("archive-v0/**/cowsay/main.py"))
    assert 2 in inodes.values(), "the tool was not installed by hard links"
    assert site.findings("hardlinks-outside") == []


def test_a_release_newer_than_the_table_is_unknown_until_it_is_learned(site: Site) -> None:
    home = site.shared.home(site.eve)
    archive = next((site.cache / "archive-v0").iterdir())
    link_environment(home / "future", archive, uv="9.1.0", user=site.eve)
    policy = f"venvs: {{include: ['{home}/future']}}\n"
    try:
        (found,) = site.findings("unknown-release", policy)
        assert (found.subject, found.owner) == ("uv 9.1.0", name_of(site.eve))
        assert f"{home}/future" in found.detail
        assert site.findings("unknown-release") == []
        with site.look() as snapshot:
            snapshot.state.learn("9.1.0", ["archive-v0", "wheels-v6"], "/uv", snapshot.now_ns)
        assert site.findings("unknown-release", policy) == []
    finally:
        shutil.rmtree(home / "future")


def test_a_server_of_uvx_is_named_with_the_lock_it_holds(site: Site) -> None:
    at_once = "audit: {process-from-cache: {older_than: 0d}, lock-held-long: {older_than: 0d}}\n"
    assert site.findings("process-from-cache", at_once) == []
    assert site.findings("lock-held-long", at_once) == []
    with long_running(site.shared, NEWEST, *tool_run("six"), user=site.ben) as server:
        (found,) = site.findings("process-from-cache", at_once)
        assert (found.severity, found.owner) == (Severity.INFO, name_of(site.ben))
        assert "uses archive-v0/" in found.detail or "uses environments-v2/" in found.detail
        (found,) = site.findings("lock-held-long", at_once)
        assert (found.severity, found.owner) == (Severity.WARNING, name_of(site.ben))
        assert found.subject == f"process {server.pid}"
        assert "shared: process" in found.detail
        beside = at_once + "lock: {busy: concurrent}\n"
        (found,) = site.findings("lock-held-long", beside)
        assert found.severity is Severity.INFO
        # Neither has been at it for days.
        assert site.findings("process-from-cache") == []
        assert site.findings("lock-held-long") == []


@pytest.mark.alone
def test_an_exclusive_lock_that_a_uv_holds_for_long_is_an_error(site: Site) -> None:
    at_once = "audit: {lock-held-long: {older_than: 0d}}\n"
    # No real prune takes long enough: flock(1), which is called uv.
    stand_in = site.folder / "uv"
    shutil.copy("/usr/bin/flock", stand_in)
    with _holding(site.cache / ".lock", stand_in, site.ben):
        (found,) = site.findings("lock-held-long", at_once)
        assert (found.severity, found.owner) == (Severity.ERROR, name_of(site.ben))
        assert "exclusive: process" in found.detail
        assert found.fix == "every uv command waits for it: end it"
        assert site.findings("lock-held-long") == []
    # Of any other program it is said at once, by another rule.
    with _holding(site.cache / ".lock", Path("/usr/bin/flock"), site.ben):
        assert site.findings("lock-held-long", at_once) == []
        assert any("is no uv" in f.detail for f in site.findings("lock-file", owner=site.ben))


def test_a_pin_past_its_end_is_told_once_it_is_surely_that_old(site: Site) -> None:
    now = time.time_ns()
    pin = _pin(site, "expired.pin", site.ana, package="six", created=now - 1, expires=now)
    try:
        # The file says so; no clock that counts does yet.
        assert site.findings("pins-expired", site.where) == []
        with site.look(site.where) as snapshot:
            # As an earlier run would have, right after this host's boot.
            then = replace(snapshot.host_time, uptime_ns=0)
            snapshot.state.note_pin_ages(age_records(snapshot.evidence.pins, {}, then))
        (found,) = site.findings("pins-expired", site.where)
        assert (found.severity, found.owner) == (Severity.INFO, name_of(site.ana))
        assert found.subject == name_of(site.ana)
        assert "1 pin of uid" in found.detail
        assert f"cacheadmin pin remove {site.folder}/policy.yaml six" in found.fix
        assert site.findings("pins-broken", site.where) == []
    finally:
        pin.unlink()


def test_a_pin_of_what_is_not_there_is_broken(site: Site) -> None:
    good = _pin(site, "good.pin", site.ana, package="six")
    bad = _pin(site, "bad.pin", site.ana, package="no-such-package")
    path = _pin(site, "path.pin", site.ana, path="archive-v0/gone")
    tag = _pin(site, "tag.pin", site.ana, path="archive-v0")
    try:
        (found,) = site.findings("pins-broken", site.where)
        assert (found.owner, found.count) == (name_of(site.ana), 2)
        assert "archive-v0/gone, no-such-package" in found.detail
        bad.unlink()
        path.unlink()
        assert site.findings("pins-broken", site.where) == []
    finally:
        for file in (good, bad, path, tag):
            file.unlink(missing_ok=True)


def test_an_unreadable_pin_is_broken_and_an_administrators_keeps_everything(site: Site) -> None:
    with site.look() as snapshot:
        folder = Path(own_folder(snapshot.cache.identity))
    folder.mkdir(mode=0o755)
    lease = site.registry / "torn.pin"
    lease.write_text("{")
    own(lease, site.eve)
    (folder / "torn.pin").write_text("{")
    try:
        found = {finding.subject: finding for finding in site.findings("pins-broken", site.where)}
        assert found.keys() == {str(lease), str(folder / "torn.pin")}
        assert found[str(lease)].owner == name_of(site.eve)
        assert "nothing is pruned" not in found[str(lease)].detail
        assert "nothing is pruned" in found[str(folder / "torn.pin")].detail
    finally:
        lease.unlink()
        shutil.rmtree(folder)


def _pin(
    site: Site,
    name: str,
    user: User,
    *,
    package: str | None = None,
    path: str | None = None,
    created: int = 0,
    expires: int | None = None,
) -> Path:
    """Write a lease of a user into the registry."""
    file = site.registry / name
    pin = Pin(str(file), user.uid, path, package, created_ns=created, expires_ns=expires)
    with site.look() as snapshot:
        file.write_bytes(pin_document(pin, snapshot.cache.identity))
    own(file, user)
    return file


@contextmanager
def _holding(lock: Path, program: Path, user: User) -> Iterator[None]:
    """A program of a user, in the manner of flock(1), that holds the lock until the block ends."""
    process = subprocess.Popen(
        [program, "--exclusive", lock, "sh", "-c", "echo held; exec sleep 300"],
        # Called uv, it would else seem to be at work in the caches of other tests.
        env={**os.environ, "UV_CACHE_DIR": os.fspath(lock.parent)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **user.process_arguments(),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
