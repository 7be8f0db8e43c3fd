"""Audit rules about what a site looks after itself: budget, quarantine, rights, observations."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cacheadmin.audit.one_cache import run_audit
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.loader import load_policy
from cacheadmin.snapshot.snapshot import look_at, look_with
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, age
from tests.support.users import User
from tests.support.uv_releases import NEWEST

DAY = 86_400 * 10**9
MIB = 1024 * 1024


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """A cache with an abandoned folder of two MiB in three files."""
    path = open_folder / "cache"
    left = path / "archive-v0" / ".tmpone"
    left.mkdir(parents=True)
    for name in "abc":
        (left / name).write_bytes(b"x" * (2 * MIB // 3))
    (path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (path / ".lock").touch()
    (path / ".lock").chmod(0o666)
    age(path, 60)
    return path


def audited(policy: Path, *rules: str) -> list[Finding]:
    """Audit one cache in this process."""
    with look_at(str(policy), insecure_policy=True) as snapshot:
        return list(run_audit(snapshot, rules).findings)


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.subject) for finding in findings]


def budget(cacheadmin: Cacheadmin, cache: Path, text: str) -> list[Finding]:
    return audited(cacheadmin.policy(cache, text), "cache-size")


def test_a_cache_within_its_budget_is_well(cacheadmin: Cacheadmin, cache: Path) -> None:
    roomy = "prune: {budget: {max_size: 100MiB, max_files: 1000, min_free: 1}}\n"
    assert budget(cacheadmin, cache, roomy) == []
    assert budget(cacheadmin, cache, "") == []


def test_each_limit_of_the_budget_that_is_passed_is_an_error(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    text = "prune: {budget: {max_size: 1MiB, max_files: 3, min_free: 100%}}\n"
    findings = budget(cacheadmin, cache, text)
    assert said(findings) == [("error", str(cache))] * 3
    details = "\n".join(finding.detail for finding in findings)
    assert "of 1.0 MiB" in details
    assert "files of 3" in details
    assert "are free on its filesystem" in details


def test_the_number_of_files_is_that_of_find(cacheadmin: Cacheadmin, cache: Path) -> None:
    found = subprocess.run(["find", cache], check=True, capture_output=True, text=True)
    inodes = len(found.stdout.splitlines()) - 1
    (finding,) = budget(cacheadmin, cache, "prune: {budget: {max_files: 1}}\n")
    assert finding.detail == f"the cache has {inodes} files of 1"


def test_a_cache_near_its_budget_is_a_warning_and_the_policy_says_how_near(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    limit = "prune: {budget: {max_files: 8}}\n"
    assert said(budget(cacheadmin, cache, limit)) == []
    early = limit + "audit: {cache-size: {warn_at: 50%}}\n"
    assert said(budget(cacheadmin, cache, early)) == [("warning", str(cache))]
    # The audit may have limits of its own, that a prune does not follow.
    own = "audit: {cache-size: {max_files: 3}}\n"
    assert said(budget(cacheadmin, cache, own)) == [("error", str(cache))]


def pruned(cacheadmin: Cacheadmin, policy: Path) -> str:
    return str(cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"])


def test_runs_beyond_their_time_in_quarantine_are_found_together(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    run = pruned(cacheadmin, policy)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    assert audited(policy, "quarantine-overdue") == []
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 9.5 * 86_400))
    (quarantine / run).rename(quarantine / f"{moment}-0a1b2c")
    (finding,) = audited(policy, "quarantine-overdue")
    assert (finding.severity, finding.subject, finding.count) == (
        Severity.WARNING,
        str(quarantine),
        1,
    )
    assert "1 run of up to 9 d ago" in finding.detail
    patient = cacheadmin.policy(cache, "quarantine: {keep: 10d}\n")
    assert audited(patient, "quarantine-overdue") == []
    cacheadmin("runs", "purge", policy, f"{moment}-0a1b2c", code=0)
    assert audited(policy, "quarantine-overdue") == []


def test_what_is_overdue_is_purged_by_the_command_that_is_printed(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache, "quarantine: {keep: 1d 12h}\n")
    run = pruned(cacheadmin, policy)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    old = time.gmtime(time.time() - 9.5 * 86_400)
    journal = quarantine / run / "journal.jsonl"
    begun = time.strftime('"begun_at":"%Y-%m-%dT%H:%M:%SZ"', old)
    text, changed = re.subn(r'"begun_at": ?"[^"]*"', begun, journal.read_text())
    assert changed == 1
    journal.write_text(text)
    moved = quarantine / time.strftime("%Y%m%dT%H%M%SZ-0a1b2c", old)
    (quarantine / run).rename(moved)
    (finding,) = audited(policy, "quarantine-overdue")
    program, *arguments = shlex.split(finding.fix)
    assert program == "cacheadmin"
    cacheadmin(*arguments, code=0)
    assert audited(policy, "quarantine-overdue") == []


def test_a_run_whose_age_can_not_be_told_stays_and_stops_no_prune(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    run = pruned(cacheadmin, cacheadmin.policy(cache))
    policy = cacheadmin.policy(cache, "quarantine: {keep: 0s}\n")
    journal = cache.with_name("cache.cacheadmin") / "quarantine" / run / "journal.jsonl"
    journal.write_text(re.sub(r'"begun_at": ?"[^"]*"', '"begun_at":"once"', journal.read_text()))
    cacheadmin("prune", policy, code=0)
    assert journal.exists()
    assert any(journal.with_name("entries").iterdir())


def test_a_run_without_an_end_is_found_once_it_can_no_longer_be_at_work(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    run = pruned(cacheadmin, policy)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    journal = quarantine / run / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"committed"' not in line))
    assert audited(policy, "quarantine-overdue") == []
    quick = cacheadmin.policy(cache, "audit: {quarantine-overdue: {unfinished_after: 0s}}\n")
    (finding,) = audited(quick, "quarantine-overdue")
    assert finding.subject == str(quarantine / run)
    assert "did not come to its end: it is moved" in finding.detail
    journal.write_text("no journal\n")
    (finding,) = audited(quick, "quarantine-overdue")
    assert "its journal can't be read" in finding.detail


def rights(policy: Path) -> list[tuple[str, str]]:
    return said(audited(policy, "policy-file"))


def test_what_root_alone_can_write_is_well(cacheadmin: Cacheadmin, cache: Path) -> None:
    registry = cache.with_name("registry")
    registry.mkdir()
    registry.chmod(0o1777)
    policy = cacheadmin.policy(cache, f"venvs: {{registry: {registry}}}\n")
    pruned(cacheadmin, policy)
    (cacheadmin.folder / "state" / "test.sqlite").chmod(0o600)
    assert rights(policy) == []


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_policy_or_state_that_others_can_write_is_an_error(
    cacheadmin: Cacheadmin, cache: Path, mode: int
) -> None:
    policy = cacheadmin.policy(cache)
    state = cacheadmin.folder / "state" / "test.sqlite"
    state.touch()
    for path in (policy, state):
        if os.geteuid() == 0:
            os.chown(path, 0, 61000)
        path.chmod(mode)
    found = audited(policy, "policy-file")
    errors = {f.subject: f for f in found if f.severity is Severity.ERROR}
    assert set(errors) == {str(policy), str(state)}
    for path, finding in errors.items():
        subprocess.run(["sh", "-c", finding.fix], check=True)
        assert not Path(path).stat().st_mode & 0o022
    assert not [f for f in audited(policy, "policy-file") if f.severity is Severity.ERROR]


def test_a_folder_above_that_others_can_write_is_as_bad(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    cacheadmin.folder.chmod(0o777)
    (finding,) = audited(policy, "policy-file")
    assert finding.subject == str(cacheadmin.folder)
    assert f"the folder above {policy}, can be written by every user" in finding.detail
    advice, _, command = finding.fix.partition("; or, if this is ours alone: ")
    assert advice == "keep the policy where no other user can write"
    subprocess.run(["sh", "-c", command], check=True)
    assert rights(policy) == []
    # In a sticky folder nobody can put anything in the place of what is root's.
    cacheadmin.folder.chmod(0o1777)
    assert rights(policy) == []


@pytest.mark.root
def test_a_folder_of_somebody_else_above_names_its_owner(
    cacheadmin: Cacheadmin, cache: Path, three_users: list[User]
) -> None:
    policy = cacheadmin.policy(cache)
    os.chown(cacheadmin.folder, three_users[0].uid, three_users[0].gid)
    (finding,) = audited(policy, "policy-file")
    assert finding.owner == f"uid {three_users[0].uid}"
    assert (finding.severity, finding.subject) == (Severity.ERROR, str(cacheadmin.folder))
    # It may be their home: `chown root` is not the first thing to do.
    assert finding.fix.startswith("keep the policy where no other user can write; or")


@pytest.mark.root
def test_an_acl_that_lets_somebody_write_is_seen(
    cacheadmin: Cacheadmin, cache: Path, three_users: list[User]
) -> None:
    policy = cacheadmin.policy(cache)
    os.chown(policy, 0, three_users[0].gid)
    command = ["setfacl", "-m", f"u:{three_users[0].uid}:rw", policy]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("setfacl is not installed")
    if done.returncode:
        pytest.skip(f"this filesystem takes no ACL: {done.stderr.decode().strip()}")
    (finding,) = audited(policy, "policy-file")
    assert finding.subject == str(policy)
    assert "by an ACL" in finding.detail


def test_who_can_move_quarantine_away_is_a_warning(cacheadmin: Cacheadmin, cache: Path) -> None:
    inner = cache.parent / "team" / "cache"
    inner.parent.mkdir()
    cache.rename(inner)
    policy = cacheadmin.policy(inner)
    pruned(cacheadmin, policy)
    (cacheadmin.folder / "state" / "test.sqlite").chmod(0o600)
    assert rights(policy) == []
    inner.parent.chmod(0o777)
    assert rights(policy) == [("warning", str(inner.parent))]


def test_a_state_that_others_can_read_is_a_remark(cacheadmin: Cacheadmin, cache: Path) -> None:
    policy = cacheadmin.policy(cache)
    state = cacheadmin.folder / "state" / "test.sqlite"
    state.touch()
    state.chmod(0o644)
    assert rights(policy) == [("info", str(state))]
    (finding,) = audited(policy, "policy-file")
    subprocess.run(["sh", "-c", finding.fix], check=True)
    assert rights(policy) == []
    state.chmod(0o644)
    state.parent.chmod(0o700)
    assert rights(policy) == []


def test_a_password_that_others_can_read_is_a_warning(cacheadmin: Cacheadmin, cache: Path) -> None:
    path = cacheadmin.policy(cache)
    with look_with(load_policy(str(path))) as snapshot:
        url = "postgresql+psycopg://cacheadmin:secret@db/state"
        policy = snapshot.policy.model_copy(update={"state": url})
        told = replace(snapshot, loaded=replace(snapshot.loaded, policy=policy))
        (finding,) = run_audit(told, ["policy-file"]).findings
        assert (finding.severity, finding.subject) == (Severity.WARNING, str(path))
        assert "secret" not in finding.detail
        command, _, rest = finding.fix.partition(", and ")
        assert rest == "change the password"
        subprocess.run(["sh", "-c", command], check=True)
        assert run_audit(told, ["policy-file"]).findings == ()


@pytest.mark.root
def test_the_default_state_is_its_owners_alone(
    cacheadmin: Cacheadmin, cache: Path, three_users: list[User]
) -> None:
    ana = three_users[0]
    subprocess.run(["chown", "-R", f"{ana.uid}:{ana.gid}", cache], check=True)
    os.chown(cache.parent, ana.uid, ana.gid)
    cacheadmin("prune", environment={"UV_CACHE_DIR": str(cache)}, user=ana, code=0)
    folder = Path(cacheadmin.environment(ana)["XDG_STATE_HOME"]) / "cacheadmin"
    assert (folder / "state.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "severity"), [(0o777, "error"), (0o755, "warning"), (None, "warning")]
)
def test_a_registry_is_sticky_and_open_to_everybody(
    cacheadmin: Cacheadmin, cache: Path, mode: int | None, severity: str
) -> None:
    registry = cache.with_name("registry of all")
    policy = cacheadmin.policy(cache, f'venvs: {{registry: "{registry}"}}\n')
    if mode is not None:
        registry.mkdir()
        registry.chmod(mode)
    (finding,) = audited(policy, "policy-file")
    assert (finding.severity.value, finding.subject) == (severity, str(registry))
    subprocess.run(["sh", "-c", finding.fix], check=True)
    assert rights(policy) == []


def test_a_quarantine_that_others_can_write_is_found_where_a_prune_refuses_it(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    pruned(cacheadmin, policy)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    quarantine.chmod(0o777)
    (cacheadmin.folder / "state" / "test.sqlite").chmod(0o600)
    (finding,) = audited(policy, "policy-file")
    assert (finding.severity, finding.subject) == (Severity.ERROR, str(quarantine))
    (overdue,) = audited(policy, "quarantine-overdue")
    assert "can be written by others" in overdue.detail
    cacheadmin("prune", policy, code=5)
    subprocess.run(["sh", "-c", finding.fix], check=True)
    assert audited(policy, "policy-file", "quarantine-overdue") == []
    cacheadmin("prune", policy, code=0)


def observations(policy: Path) -> list[Finding]:
    return audited(policy, "stale-observation")


def test_a_host_that_stopped_looking_is_named(cacheadmin: Cacheadmin, cache: Path) -> None:
    policy = cacheadmin.policy(cache)
    pruned(cacheadmin, policy)
    assert observations(policy) == []
    with look_at(str(policy)) as snapshot:
        moment = snapshot.now_ns - 3 * DAY
        snapshot.state.note_clock(HostTime("node7", "boot", 1), moment)
        snapshot.state.note_clock(HostTime("node8", "boot", 1), snapshot.now_ns + DAY)
        # As a release before schema 3 knew node8.
        snapshot.state.note_clock(HostTime("0123abcd", "boot", 1), moment)
        snapshot.state.note_clock(HostTime("node8 0123abcd", "boot", 1), snapshot.now_ns)
    (finding,) = observations(policy)
    assert (finding.severity, finding.subject) == (Severity.WARNING, "node7")
    assert "3 d ago" in finding.detail
    weekly = cacheadmin.policy(cache, "hosts: {max_age: 7d}\n")
    assert observations(weekly) == []


def test_an_old_cache_of_which_nothing_was_recorded_is_a_remark_and_a_new_one_is_none(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    assert said(observations(policy)) == [("info", str(cache))]
    os.utime(cache / "CACHEDIR.TAG")
    assert observations(policy) == []


def test_protection_is_missed_only_where_it_is_asked_for(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    include = f"venvs: {{include: [{json.dumps(str(environment))}]}}\n"
    rule = "protection-missing"
    assert audited(cacheadmin.policy(shared.path, include), rule) == []
    policy = cacheadmin.policy(shared.path, include + "protect: {enabled: true}\n")
    (finding,) = audited(policy, rule)
    assert (finding.severity, finding.subject) == (Severity.WARNING, str(shared.path))
    assert "of 1 archive in use" in finding.detail
    cacheadmin("protect", policy, code=0)
    assert audited(policy, rule) == []
    root = next(path for path in shared.path.glob("*/cacheadmin/**/*") if path.is_symlink())
    root.unlink()
    (finding,) = audited(policy, rule)
    assert finding.count == 1
