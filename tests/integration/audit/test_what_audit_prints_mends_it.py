"""The command that a finding prints is run, by whom it names; then the audit finds nothing there.

Those about rights are run in test_audit_rules_about_rights.py, those of doctor
in tests/scenarios/test_doctor_repairs.py, advisories and overdue runs where
these are tested.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cacheadmin.evidence.idleness import HostTime
from cacheadmin.evidence.pin_ages import age_records
from cacheadmin.findings import Finding
from tests.support.auditing import Audited, link_environment, make_cache, name_of, own
from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.shared_cache import SharedCache
from tests.support.users import User, open_temporary_folder, other_users
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

# `as ana: cacheadmin pin remove ..., or pin what was meant`: who, and the first command.
_FIX = re.compile(
    r"(?:as (?P<who>[^:;]+): )?(?P<command>cacheadmin .*?)(?=;|, or |, and |, then|$)"
)
DAY_NS = 86_400 * 10**9


@dataclass
class Site(Audited):
    """A cache that ana links into, with a registry; root looks after it."""

    archive: Path
    ana: User
    ben: User
    cacheadmin: Cacheadmin

    @property
    def homes(self) -> Path:
        return self.folder / "homes"

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def where(self) -> str:
        return f"venvs: {{registry: {self.registry}}}\n"

    def environment(self, name: str, user: User) -> Path:
        return link_environment(self.homes / user.name / name, self.archive, user=user)

    def mend(self, finding: Finding) -> Result:
        """Run the command that a finding prints, as whoever it says."""
        found = _FIX.search(finding.fix)
        assert found is not None, finding.fix
        words = shlex.split(found["command"])
        user = None
        if found["who"] is not None:
            user = next(one for one in (self.ana, self.ben) if name_of(one) == found["who"])
        return self.cacheadmin(*words[1:], user=user, code=0)


@pytest.fixture
def site(cacheadmin: Cacheadmin) -> Iterator[Site]:
    folder = open_temporary_folder("cacheadmin-mending-")
    ana, ben = other_users(2)
    archive = make_cache(folder / "cache")
    site = Site(folder, folder / "cache", archive, ana, ben, cacheadmin)
    site.registry.mkdir()
    site.registry.chmod(0o1777)
    for user in (ana, ben):
        (site.homes / user.name).mkdir(parents=True)
        own(site.homes / user.name, user)
    yield site
    shutil.rmtree(folder)


def test_who_is_unregistered_registers(site: Site) -> None:
    environment = site.environment("met", site.ana)
    variables = {"VIRTUAL_ENV": str(environment), "PATH": "/usr/bin:/bin"}
    running = subprocess.Popen(
        ["sleep", "300"], env=variables, cwd="/", **site.ana.process_arguments()
    )
    try:
        (found,) = site.findings("environment-unregistered", site.where)
        site.mend(found)
        assert site.findings("environment-unregistered", site.where) == []
        assert site.findings("registry-coverage", site.where) == []
    finally:
        running.kill()
        running.wait()


def test_what_is_gone_is_forgotten(site: Site) -> None:
    environment = site.environment("gone", site.ana)
    link = site.registry / "gone"
    link.symlink_to(environment)
    os.chown(link, site.ana.uid, site.ana.gid, follow_symlinks=False)
    site.remember(site.where)
    shutil.rmtree(environment)
    (found,) = site.findings("environment-missing", site.where)
    assert found.fix.startswith("if it is gone for good: cacheadmin venv remove ")
    site.mend(found)
    assert site.findings("environment-missing", site.where) == []


def test_a_wrong_registry_link_is_removed_by_its_owner(site: Site) -> None:
    project = site.homes / "ana" / "app $(touch x)"
    link_environment(project / ".venv", site.archive, user=site.ana)
    own(project, site.ana)
    link = site.registry / "wrong"
    link.symlink_to(project)
    os.chown(link, site.ana.uid, site.ana.gid, follow_symlinks=False)
    (found,) = site.findings("registry-entry-wrong", site.where)
    site.mend(found)
    assert site.findings("registry-entry-wrong", site.where) == []


def test_a_taken_name_is_given_back_and_registered(site: Site) -> None:
    environment = site.environment("proj", site.ana)
    site.cacheadmin("venv", "add", _policy(site), environment, user=site.ana, code=0)
    (link,) = site.registry.iterdir()
    link.unlink()
    # ben takes the name that ana's link has to have.
    link.symlink_to(site.homes / "ben")
    os.chown(link, site.ben.uid, site.ben.gid, follow_symlinks=False)
    site.remember(site.where)
    searched = site.where.replace("}", f", include: ['{site.homes}/ana/*']}}")
    (found,) = site.findings("name-taken", searched)
    remove, _, rest = found.fix.partition("; then, ")
    subprocess.run(["sh", "-c", remove], check=True)
    site.mend(replace(found, fix=rest.replace("PATH", shlex.quote(str(environment)))))
    assert site.findings("name-taken", searched) == []


def test_a_pin_of_nothing_is_removed_by_its_author(site: Site) -> None:
    # As a lease: what somebody without rights can take out.
    policy = _policy(site)
    site.cacheadmin("pin", "add", policy, "six", "--reason", "x", user=site.ana, code=0)
    assert site.findings("pins-broken", site.where) == []
    (lease,) = site.registry.glob("*.pin")
    lease.write_text(lease.read_text().replace('"six"', '"no-such-package"'))
    (found,) = site.findings("pins-broken", site.where)
    assert found.owner == name_of(site.ana)
    site.mend(found)
    assert site.findings("pins-broken", site.where) == []


def test_a_pin_past_its_end_is_removed_by_its_author(site: Site) -> None:
    policy = _policy(site)
    site.cacheadmin(
        *("pin", "add", policy, "six", "--reason", "x", "--expires", "1d"), user=site.ana, code=0
    )
    (lease,) = site.registry.glob("*.pin")
    now_ns = time.time_ns()
    pin = json.loads(lease.read_text())
    lease.write_text(json.dumps({**pin, "created_ns": now_ns - 1, "expires_ns": now_ns}))
    with site.look(site.where) as snapshot:
        # As an earlier run would have, right after this host's boot.
        then = replace(snapshot.host_time, uptime_ns=0)
        snapshot.state.note_pin_ages(age_records(snapshot.evidence.pins, {}, then))
    (found,) = site.findings("pins-expired", site.where)
    site.mend(found)
    assert site.findings("pins-expired", site.where) == []


def test_missing_protection_is_planted(site: Site) -> None:
    environment = site.environment("proj", site.ana)
    protected = f"venvs: {{include: ['{environment}']}}\nprotect: {{enabled: true}}\n"
    found = site.findings("protection-missing", protected)
    assert found
    site.mend(found[0])
    assert site.findings("protection-missing", protected) == []


def test_a_host_that_did_not_look_for_long_prunes(site: Site) -> None:
    with site.look() as snapshot:
        here = snapshot.host_time
        moment_ns = snapshot.now_ns - 9 * DAY_NS
        snapshot.state.note_clock(HostTime(here.host, "an earlier boot", 1), moment_ns)
    (found,) = site.findings("stale-observation")
    site.mend(found)
    assert site.findings("stale-observation") == []


def test_a_run_without_an_end_is_ended_by_the_next(site: Site) -> None:
    (site.cache / "archive-v0" / ".tmprubbish").mkdir()
    policy = _policy(site, "prune: {builds: {after: 0s}}\n")
    run = site.cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    assert run is not None
    journal = site.cache.with_name("cache.cacheadmin") / "quarantine" / run / "journal.jsonl"
    lines = journal.read_text().splitlines()
    # Killed before its last line.
    journal.write_text("\n".join(lines[:-1]) + "\n")
    soon = "audit: {quarantine-overdue: {unfinished_after: 0s}}\n"
    (found,) = site.findings("quarantine-overdue", soon)
    assert "did not come to its end" in found.detail
    site.mend(found)
    assert site.findings("quarantine-overdue", soon) == []


def test_a_cache_over_its_size_is_brought_below_it(site: Site) -> None:
    (site.cache / "archive-v0" / ".tmprubbish").mkdir()
    (site.cache / "archive-v0" / ".tmprubbish" / "big").write_bytes(b"x" * 4_000_000)
    limit = "venvs: {complete: true}\nprune: {budget: {max_size: 2MB}, builds: {after: 0s}}\n"
    limit += f"quarantine: {{path: {site.folder}/quarantine}}\n"
    (found,) = site.findings("cache-size", limit)
    assert found.fix.startswith("cacheadmin usage")
    usage, prune = (shlex.split(words) for words in found.fix.split(", then "))
    site.cacheadmin(*usage[1:], code=0)
    site.cacheadmin(*prune[1:], code=0)
    assert site.findings("cache-size", limit) == []


def test_an_unwanted_link_mode_is_changed_by_what_is_said(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    where = f"venvs: {{include: ['{environment}']}}\nlinks: {{symlink: refuse}}\n"
    audited = Audited(cacheadmin.folder, shared.path)
    (found,) = audited.findings("link-mode", where)
    setting = re.match(r"set (UV_LINK_MODE)=(\w+), .*`(uv pip install --reinstall)`", found.fix)
    assert setting is not None, found.fix
    shared.uv(
        NEWEST,
        *("pip", "install", "--reinstall", "--python", environment, "six==1.16.0"),
        link_mode=setting[2],
    )
    assert audited.findings("link-mode", where) == []


def _policy(site: Site, text: str = "") -> Path:
    """Write the site's policy, and return it."""
    with site.look(site.where + text):
        pass
    return site.folder / "policy.yaml"
