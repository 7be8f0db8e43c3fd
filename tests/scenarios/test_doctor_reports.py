"""`cacheadmin doctor` for the tired admin: undo first, and name what was not seen."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.running_uv import python_for
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST


def policy_of(cacheadmin: Cacheadmin, shared: SharedCache, *environments: Path) -> Path:
    lines = "".join(f'    - "{path}"\n' for path in environments)
    include = f"  include:\n{lines}" if environments else ""
    return cacheadmin.policy(shared.path, f"venvs:\n  from_cache: false\n{include}")


def site_of(environment: Path) -> Path:
    (site,) = environment.glob("lib/*/site-packages")
    return site


@pytest.mark.root
def test_what_a_run_of_ours_took_is_offered_for_restoring_first(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    unknown = shared.environment("unknown", NEWEST, "six==1.16.0", "pytz==2024.1")
    other = shared.environment("other", NEWEST, "cowsay==6.0")
    for bucket in shared.path.glob("wheels-v*"):
        shutil.rmtree(bucket)
    for link in site_of(other).glob("cowsay/*.py"):
        os.unlink(os.readlink(link))
    run = cacheadmin(
        "prune", policy_of(cacheadmin, shared, other), "--format", "json", code=0
    ).json["run_id"]
    assert dangling_links(unknown)
    policy = policy_of(cacheadmin, shared, other, unknown)
    document = cacheadmin("doctor", policy, "--format", "json", code=8).json
    assert document["schema"] == "cacheadmin/doctor/1"
    by_path = {row["subject"]: row for row in document["findings"]}
    assert by_path[str(unknown)]["restore"] == run
    assert by_path[str(other)]["restore"] is None
    assert document["restores"][0]["heals"] == [str(unknown)]
    assert by_path[str(unknown)]["fix"].startswith("cacheadmin runs restore ")
    cacheadmin("doctor", policy, "--fail-on", "never", code=0)
    text = cacheadmin("doctor", policy, code=8).stdout
    assert text.startswith("FIRST: 1 environment comes back")
    cacheadmin("runs", "restore", policy, run, code=0)
    assert dangling_links(unknown) == {}
    (left,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert left["subject"] == str(other)


@pytest.mark.root
def test_what_several_runs_of_ours_took_is_offered_for_restoring_too(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    unknown = shared.environment("unknown", NEWEST, "six==1.16.0", "pytz==2024.1")
    other = shared.environment("other", NEWEST, "cowsay==6.0")
    runs = []
    for name in ("six", "pytz"):
        for pointers in [*shared.path.glob(f"wheels-v*/index/*/{name}")]:
            shutil.rmtree(pointers)
        done = cacheadmin("prune", policy_of(cacheadmin, shared, other), "--format", "json")
        runs.append(done.json["run_id"])
    policy = policy_of(cacheadmin, shared, other, unknown)
    text = cacheadmin("doctor", policy, code=8).stdout
    assert text.startswith("FIRST: 1 environment gets a part back")
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    *undo, _ = row["fix"].split("; ", 2)
    # The newest first; both may be of one second.
    assert set(undo) == {f"cacheadmin runs restore {policy} {run}" for run in runs}
    for command in undo:
        assert command in text
        cacheadmin(*command.split()[1:], code=0)
    assert dangling_links(unknown) == {}
    cacheadmin("doctor", policy, code=0)


def test_metadata_that_is_lost_too_still_gives_name_version_and_owner(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("env", NEWEST, "six==1.16.0", "python-dateutil==2.9.0.post0")
    shutil.rmtree(shared.path / "archive-v0")
    policy = policy_of(cacheadmin, shared, environment)
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert [(p["name"], p["version"]) for p in row["packages"]] == [
        ("python_dateutil", "2.9.0.post0"),
        ("six", "1.16.0"),
    ]
    assert row["uid"] == os.geteuid()
    assert row["run_as"] == row["owner"]
    assert (
        row["count"] == sum(p["lost"] for p in row["packages"]) == len(dangling_links(environment))
    )
    assert all(archive.startswith("archive-v0/") for archive in row["archives"])
    text = cacheadmin("doctor", policy, code=8).stdout
    assert "six 1.16.0" in text
    assert f"$ cd -- {environment.parent} && uv pip install" in text
    assert cacheadmin("-q", "doctor", policy, code=8).stdout == text


def test_files_that_record_names_and_nobody_has_are_found_in_every_link_mode(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("env", NEWEST, "pytz==2024.1", link_mode="hardlink")
    policy = policy_of(cacheadmin, shared, environment)
    (site_of(environment) / "pytz" / "zoneinfo" / "UTC").unlink()
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=0).json["findings"]
    assert (row["rule"], row["severity"]) == ("environment-half-installed", "warning")
    cacheadmin("doctor", policy, "--fail-on", "warning", code=8)
    (site_of(environment) / "pytz" / "tzinfo.py").unlink()
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert (row["severity"], row["count"]) == ("error", 2)


def test_what_others_than_uv_installed_may_be_trimmed(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("env", NEWEST, "six==1.16.0", link_mode="copy")
    metadata = site_of(environment) / "six-1.16.0.dist-info"
    (site_of(environment) / "six.py").unlink()
    policy = policy_of(cacheadmin, shared, environment)
    for installer, code in (("uv", 8), ("conda", 0)):
        (metadata / "INSTALLER").write_text(installer)
        cacheadmin("doctor", policy, code=code)
    # Some tell uv to write none. In a Python of the system, that is Debian's way.
    (metadata / "INSTALLER").unlink()
    cacheadmin("doctor", policy, code=8)
    (environment / "pyvenv.cfg").unlink()
    next(environment.glob("lib/python3*")).joinpath("os.py").touch()
    (found,) = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert found["kind"] == "python"
    cacheadmin("doctor", policy, code=0)


def test_compiled_files_come_and_go_and_nothing_is_said(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("env", NEWEST, "six==1.16.0")
    record = site_of(environment) / "six-1.16.0.dist-info" / "RECORD"
    with record.open("a") as file:
        file.write("__pycache__/six.cpython-311.pyc,,\n../../../../../../etc/no-such-file,,\n")
    policy = policy_of(cacheadmin, shared, environment)
    assert cacheadmin("-q", "doctor", policy, code=0).stdout == ""
    assert re.search("(it is not|none of these is) broken", cacheadmin("doctor", policy).stdout)


@pytest.mark.root
def test_what_could_not_be_looked_at_is_named_and_not_called_healthy(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, ben, _ = three_users
    shared = SharedCache.create(open_folder, index, (ana, ben))
    hers = shared.environment("env", NEWEST, "six==1.16.0", user=ana)
    hidden = shared.environment("env", NEWEST, "six==1.16.0", user=ben)
    site_of(hidden).chmod(0o700)
    state = open_folder / "state-of-ana"
    state.mkdir()
    os.chown(state, ana.uid, ana.gid)
    lines = f'venvs:\n  from_cache: false\n  include: ["{hers}", "{hidden}"]\n'
    policy = cacheadmin.policy(shared.path, f"{lines}state: sqlite:///{state}/s.sqlite\n")
    said = cacheadmin("-q", "doctor", policy, user=ana, code=0).stdout
    assert str(hidden) in said
    assert str(hers) not in said
    rows = cacheadmin("doctor", policy, "--format", "json", user=ana, code=0).json["findings"]
    assert {row["rule"] for row in rows} == {"environment-unreadable"}


@pytest.mark.root
def test_a_package_that_somebody_else_slipped_in_is_named_in_no_command(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, _, eve = three_users
    shared = SharedCache.create(open_folder, index, (ana, eve))
    environment = shared.environment("env", NEWEST, "six==1.16.0", user=ana)
    planted = site_of(environment) / "evil-6.6.6.dist-info"
    planted.mkdir()
    (planted / "RECORD").write_text("evil/__init__.py,,\n")
    for path in (planted, planted / "RECORD"):
        os.chown(path, eve.uid, eve.gid)
    policy = policy_of(cacheadmin, shared, environment)
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert row["commands"] == []
    assert "evil 6.6.6" in row["note"]


def test_preflight_sends_to_doctor_not_to_a_reinstallation_that_removes_packages(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    proj = shared.environment("proj", NEWEST, "six==1.16.0")
    shutil.rmtree(shared.path / "archive-v0")
    policy = policy_of(cacheadmin, shared, proj)
    document = cacheadmin("preflight", policy, "--format", "json", code=4).json
    (check,) = (one for one in document["checks"] if one["id"] == "environments.broken")
    assert f"`cacheadmin doctor {policy}`" in check["fix"]
    assert "sync" not in check["fix"]


def test_links_into_a_cache_that_vanished_are_no_healthy_environment(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    other = shared.path.with_name("another cache")
    environment = shared.environment("env", NEWEST, "six==1.16.0", "idna==3.7", cache=other)
    shared.environment("mine", NEWEST, "pytz==2024.1")
    policy = policy_of(cacheadmin, shared, environment)
    assert re.search("(it is not|none of these is) broken", cacheadmin("doctor", policy).stdout)
    shutil.rmtree(other)
    links = len(dangling_links(environment))
    assert links > 5
    (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert row["rule"] == "environment-broken"
    assert f"{links} links into another cache, {other}, lead nowhere" in row["detail"]
    assert "that cache is not there" in row["detail"]
    assert "idna==3.7" in row["fix"]
    assert "six==1.16.0" in row["fix"]


def test_a_containers_name_of_the_cache_asks_for_an_alias_and_repairs_nothing(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    """The environment was made where the cache is called /cache; nothing of it is lost."""
    elsewhere = shared.path.with_name("as-in-the-container")
    elsewhere.symlink_to(shared.path)
    environment = shared.environment("env", NEWEST, "six==1.16.0", cache=elsewhere)
    elsewhere.unlink()
    links = len(dangling_links(environment))
    assert links
    policy = policy_of(cacheadmin, shared, environment)
    document = cacheadmin("doctor", policy, "--format", "json", code=0).json
    (row,) = document["findings"]
    assert (row["rule"], row["subject"]) == ("alias-missing", str(elsewhere))
    assert f"{links} links of {environment}" in row["detail"]
    assert f"aliases: [{elsewhere}]" in row["fix"]
    text = cacheadmin("doctor", policy, code=0).stdout
    assert "reinstall" not in text
    assert "nothing has to be installed again" in text
    with policy.open("a") as file:
        file.write(f"aliases: [{elsewhere}]\n")
    assert cacheadmin("doctor", policy, "--format", "json", code=0).json["findings"] == []


def test_a_cached_environment_without_its_python_is_called_that(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.uv(NEWEST, "tool", "run", "--python", python_for(shared.users[0]), "cowsay", "-t", "x")
    (python,) = [
        path
        for path in shared.path.glob("archive-v0/*/bin/python")
        if (path.parent.parent / "pyvenv.cfg").exists()
    ]
    python.unlink()
    python.symlink_to("/no/such/python3")
    document = cacheadmin(
        "doctor", policy_of(cacheadmin, shared), "--format", "json", "--fail-on", "never", code=0
    ).json
    (row,) = [row for row in document["findings"] if row["kind"] == "cached"]
    assert row["rule"] == "interpreter-missing"
    assert "files of no known package" not in str(document)


@pytest.mark.root
def test_what_nobody_looked_at_is_counted_beside_what_is_well(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    """Users without an account keep their environments where nobody knows."""
    shared = SharedCache.create(open_folder, index, three_users)
    environment = shared.environment("env", NEWEST, "six==1.16.0", user=three_users[0])
    lines = f'venvs:\n  from_cache: false\n  include: ["{environment}"]\n'
    policy = cacheadmin.policy(shared.path, lines, complete=False)
    document = cacheadmin("doctor", policy, "--format", "json", code=0).json
    assert "homes.unknown" in {gap["id"] for gap in document["gaps"]}
    words = "where others may be w"
    said = cacheadmin("doctor", policy, code=0).stdout.splitlines()[-1]
    assert "1 environment examined, it is not broken" in said
    assert words in said
    audited = cacheadmin("audit", policy, "--fail-on", "never", code=0).stdout
    assert words in audited.splitlines()[-1]
    policy.write_text(policy.read_text().replace("venvs:\n", "venvs:\n  complete: true\n", 1))
    assert words not in cacheadmin("doctor", policy, code=0).stdout
