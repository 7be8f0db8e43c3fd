"""Hosts that share a cache: what each told is kept, and who is silent is named."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.hosts import Host, Hosts
from tests.support.packages import Index
from tests.support.postgresql import running_postgresql
from tests.support.running_uv import python_for
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root

OLD = "0.8.5"
EXPECT = "hosts: {expect: ['node[1-2]'], max_age: 1h}\n"


@pytest.fixture
def site(open_folder: Path, index: Index) -> Hosts:
    return Hosts(open_folder, index)


def without_pointers(host: Host) -> set[str]:
    """Delete what points to archives, as another release's prune does; return the archives."""
    cache = host.site.shared / "cache"
    for pattern in ("wheels-v*", "interpreter-v*", "environments-v*"):
        for folder in cache.glob(pattern):
            shutil.rmtree(folder)
    return {
        f"archive-v0/{one.name}"
        for one in (cache / "archive-v0").iterdir()
        if one.is_dir() and not one.name.startswith("cacheadmin")
    }


def prune(host: Host, policy: Path) -> Any:
    return host.cacheadmin("prune", policy, "--format", "json", code=0).json


def gone(document: Any) -> set[str]:
    return {row["path"] for row in document["removals"] if row["kind"] == "archive"}


def gaps(document: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for gap in document["gaps"]:
        found.setdefault(gap["id"], set()).add(gap["host"])
    return found


@pytest.mark.parametrize("release", [OLD, NEWEST])
def test_what_an_observed_host_uses_stays_and_the_rest_goes(site: Hosts, release: str) -> None:
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", release, "six==1.16.0")
    one.environment("mine", OLD, "idna==3.7")
    shutil.rmtree(one.disk / "mine")
    archives = without_pointers(one)
    assert len(archives) == 2
    told = two.cacheadmin("observe", two.policy(EXPECT), "--format", "json", code=0).json
    assert told["observation"]["host"] == "node2"

    document = prune(one, one.policy(EXPECT))
    assert gaps(document) == {}
    assert len(gone(document)) == 1
    assert {row["rests_on"] for row in document["removals"]} == {"proof"}
    kept = {row["rule"] for row in document["kept"] if row["kind"] == "archive"}
    assert kept == {"host.observed"}
    assert two.dangling(environment) == []
    assert two.imports(environment, "six")


def test_what_a_host_tells_of_one_cache_takes_no_other_caches_place(site: Hosts) -> None:
    """Their quarantines lay beside each other, and what was told last was taken for all."""
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", NEWEST, "six==1.16.0")
    without_pointers(one)
    caches = ("cache", "second", "third")
    for name in caches[1:]:
        (site.shared / name / "archive-v0").mkdir(parents=True)
        (site.shared / name / "CACHEDIR.TAG").touch()

    def policy(host: Host, name: str) -> Path:
        venvs = f"venvs: {{complete: true, discover: [{{root: '{site.own}'}}]}}\n"
        place = f"quarantine: {{path: '{host.mounted}/quarantine/{name}'}}\n"
        text = f"{venvs}{EXPECT}{place}prune: {{trial: never}}\n"
        return host.runner.policy(host.mounted / name, text, name=name, complete=False)

    for name in caches:
        two.cacheadmin("observe", policy(two, name), code=0)
    document = prune(one, policy(one, "cache"))
    assert gaps(document) == {}
    assert gone(document) == set()
    assert two.dangling(environment) == []


def test_a_name_that_is_no_text_silences_no_host(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", OLD, "six==1.16.0")
    # Any account may call a folder so.
    odd = os.fsencode(two.disk) + b"/50%41 \xff\xfe"
    os.rename(two.disk / environment.name, odd)
    archives = without_pointers(one)
    told = two.cacheadmin("observe", two.policy(EXPECT), "--format", "json", code=0)
    names = {
        os.fsencode(use["who"]).rpartition(b"/")[2] for use in told.json["observation"]["uses"]
    }
    assert b"50%41 \xff\xfe" in names

    document = prune(one, one.policy(EXPECT))
    assert archives
    assert gone(document) == set()
    users = [os.fsencode(user) for row in document["kept"] for user in row["used_by"]]
    assert any(b"/50%41 \xff\xfe on host node2" in user for user in users)


def test_two_hosts_of_one_name_are_two(site: Hosts) -> None:
    """Each took what the other told for its own word, and replaced it."""
    expect = "hosts: {expect: [web1], max_age: 1h}\n"
    hosts = [site.host("web1", machine=letter * 32) for letter in "ab"]
    environments = [
        host.environment("proj", NEWEST, one)
        for host, one in zip(hosts, ("six==1.16.0", "idna==3.7"), strict=True)
    ]
    assert len(without_pointers(hosts[0])) == 2
    names = []
    for host in (*hosts, *hosts):
        told = host.cacheadmin("observe", host.policy(expect), "--format", "json", code=0).json
        names.append(told["observation"]["host"])
    assert names == 2 * ["web1", "web1.bbbbbbbb"]
    for host in hosts:
        document = prune(host, host.policy(expect))
        assert set(gaps(document)) == {"hosts.name"}
        assert gone(document) == set()
        for each, environment in zip(hosts, environments, strict=True):
            assert each.dangling(environment) == []


def test_a_silent_host_is_named_and_nothing_of_it_is_lost(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", OLD, "six==1.16.0")
    without_pointers(one)
    policy = one.policy(EXPECT)
    shown = one.cacheadmin("preflight", policy, code=4).stdout
    assert "host node2 is expected to use the cache, and has told nothing of itself" in shown
    audited = one.cacheadmin("audit", policy, "--format", "json").json
    status = one.cacheadmin("status", policy, "--format", "json").json
    for row in (*audited["gaps"], *status["gaps"]):
        assert (row["id"], row["host"], row["owner"]) == ("hosts.missing", "node2", None)
    assert audited["gaps"]
    assert status["gaps"]
    document = prune(one, policy)
    assert gaps(document) == {"hosts.missing": {"node2"}}
    assert {row["rests_on"] for row in document["removals"] if row["kind"] == "archive"} == {
        "absence"
    }
    assert two.dangling(environment) == []
    assert two.imports(environment, "six")
    # The lookup of node2 sprang the tripwire, and node1 puts it back.
    assert prune(one, policy)["trial"]["put_back"]
    assert two.dangling(environment) == []


def test_what_a_host_told_long_ago_still_keeps(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", OLD, "six==1.16.0")
    without_pointers(one)
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    policy = one.policy("hosts: {expect: [node2, node3], max_age: 0s}\n")
    html, metrics = one.runner.folder / "page.html", one.runner.folder / "cacheadmin.prom"
    hosts = one.cacheadmin("report", policy, "--format", "json").json["hosts"]
    assert [(row["host"], row["standing"], row["environments"]) for row in hosts] == [
        ("node2", "stale", 1),
        ("node3", "missing", 0),
    ]
    assert hosts[0]["path"] == str(two.cache)
    one.cacheadmin("report", policy, "--html", html)
    page = html.read_text()
    assert "2 hosts beside this one: 1 not heard of in time, 1 told nothing." in page
    one.cacheadmin("preflight", policy, "--metrics", metrics)
    told = metrics.read_text()
    for host, standing in (("node2", "stale"), ("node3", "missing")):
        assert _standing(told, host, standing) == 1
        assert _standing(told, host, "fresh") == 0
    assert "cacheadmin_host_observed_timestamp_seconds{" in told
    document = prune(one, one.policy("hosts: {expect: [node2], max_age: 0s}\n"))
    assert gaps(document) == {"hosts.stale": {"node2"}}
    assert gone(document) == set()
    assert two.imports(environment, "six")
    listed = one.cacheadmin("observe", one.policy(EXPECT), "--list", code=0).stdout
    assert "node2" in listed
    one.cacheadmin("observe", one.policy(EXPECT), "--forget", "node2", code=0)
    again = one.cacheadmin("observe", one.policy(EXPECT), "--forget", "node2", code=66)
    assert "told nothing" in again.stderr
    assert gaps(prune(one, one.policy(EXPECT))) == {"hosts.missing": {"node2"}}


def _standing(metrics: str, host: str, standing: str) -> float:
    (line,) = (
        line
        for line in metrics.splitlines()
        if line.startswith("cacheadmin_host_standing{")
        and f'host="{host}"' in line
        and f'standing="{standing}"' in line
    )
    return float(line.rpartition(" ")[2])


def test_what_others_wrote_beside_the_cache_is_not_believed(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    two.environment("proj", OLD, "six==1.16.0")
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    record = site.shared / "cache.cacheadmin" / "hosts" / "node2.json"
    record.chmod(0o666)
    document = one.cacheadmin("plan", one.policy(EXPECT), "--format", "json").json
    assert gaps(document)["hosts.unreadable"]
    assert gaps(document)["hosts.missing"] == {"node2"}
    record.chmod(0o644)
    record.write_text("{}")
    assert "hosts.unreadable" in gaps(
        one.cacheadmin("plan", one.policy(EXPECT), "--format", "json").json
    )
    record.unlink()
    os.symlink("/etc/passwd", record)
    done = one.cacheadmin("plan", one.policy(EXPECT))
    assert "node2.json" in done.stdout + done.stderr
    assert "root:" not in done.stdout + done.stderr


def test_a_program_that_runs_on_another_host_is_seen_by_its_own_word(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    policy = two.policy(EXPECT)
    observe = " ".join(two.runner.command("-q", "observe", policy))
    # The observation is taken while `uvx` runs, in the same process table.
    program = f"import subprocess; raise SystemExit(subprocess.call({observe!r}.split()))"
    done = two.run(
        *(str(one) for one in _uvx(OLD)),
        program,
        environment=two.uv_environment() | two.runner.environment(),
    )
    assert done.returncode == 0, done.stderr
    document = one.cacheadmin(
        "plan",
        one.policy(EXPECT + "prune: {environments: {idle: 1s, keep_latest: false}}\n"),
        "--format",
        "json",
    ).json
    kept = {row["kind"]: row["rule"] for row in document["kept"] if row["kind"] == "environment"}
    assert kept == {"environment": "host.observed"}


def _uvx(release: str) -> list[object]:
    from tests.support.running_uv import binary_for

    return [binary_for(release), "tool", "run", "--from", "cowsay==6.1", "python", "-c"]


def test_hosts_share_a_database_and_mount_the_cache_elsewhere(
    site: Hosts, open_folder: Path
) -> None:
    with running_postgresql(open_folder) as url:
        if url is None:
            pytest.skip("needs PostgreSQL")
        text = EXPECT + f"state: {url}\n"
        one, two = site.host("node1"), site.host("node2")
        environment = two.environment("proj", OLD, "six==1.16.0")
        without_pointers(one)
        two.cacheadmin("observe", two.policy(text), code=0)
        two.cacheadmin("observe", two.policy(text), code=0)
        assert not (site.shared / "cache.cacheadmin").exists()
        document = prune(one, one.policy(text))
        assert gaps(document) == {}
        assert gone(document) == set()
        assert two.imports(environment, "six")
        listed = one.cacheadmin(
            "observe", one.policy(text), "--list", "--format", "json", code=0
        ).json
        assert [row["host"] for row in listed["observations"]] == ["node2"]
        assert listed["observations"][0]["reach"]["path"] == str(two.cache)


def test_the_roots_of_one_host_are_left_alone_by_the_other(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    two.environment("proj", OLD, "six==1.16.0")
    one.environment("mine", OLD, "idna==3.7")
    for host in (one, two):
        host.cacheadmin("observe", host.policy(EXPECT), code=0)
    first = two.cacheadmin("protect", two.policy(EXPECT), "--format", "json", code=0).json
    assert first["archives"] == 2
    second = one.cacheadmin("protect", one.policy(EXPECT), "--format", "json", code=0).json
    assert (second["archives"], second["planted"], second["removed"]) == (2, 0, 0)


def test_what_a_host_has_linked_since_it_told_goes_on_trial_and_no_further(site: Hosts) -> None:
    """Fresh as it is, an observation says nothing of what came after it."""
    one, two = site.host("node1"), site.host("node2")
    one.environment("mine", OLD, "six==1.16.0")
    shutil.rmtree(one.disk / "mine")
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    # By the pointer that was there; another release's prune deletes it then.
    environment = two.environment("proj", OLD, "six==1.16.0")
    without_pointers(one)
    document = prune(one, one.policy(EXPECT))
    assert gaps(document) == {}
    assert {row["rests_on"] for row in document["removals"] if row["kind"] == "archive"} == {
        "absence"
    }
    assert two.dangling(environment) == []
    assert two.imports(environment, "six")
    assert prune(one, one.policy(EXPECT))["trial"]["put_back"]


def test_what_a_host_tells_that_it_uses_comes_back_from_trial(site: Hosts) -> None:
    """Its lookups move no access times: nothing but its word says so, and that is enough."""
    one, two = site.host("node1"), site.host("node2", options="noatime")
    environment = two.environment("proj", NEWEST, "six==1.16.0")
    used = without_pointers(one)
    brief = f"{EXPECT}prune: {{trial: {{for: 1s, at_least: 1s}}}}\n"
    assert set(prune(one, one.policy(brief, complete=False))["trial"]["planted"]) == used
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    # The site vouches for its sources by now; the trial lasts a second of real time.
    time.sleep(1.5)
    trial = prune(one, one.policy(brief, complete=True))["trial"]
    assert trial["ended"] == []
    assert set(trial["put_back"]) == used
    assert two.dangling(environment) == []


def test_a_cached_environment_goes_on_trial_wherever_other_hosts_are(site: Hosts) -> None:
    """It is found by its name: whoever looks next may do so an hour after it was told of."""
    one, two = site.host("node1"), site.host("node2")
    two.uv(OLD, "tool", "run", "--from", "cowsay==6.1", "python", "-c", "")
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    document = prune(
        one, one.policy(EXPECT + "prune: {environments: {idle: 0s, keep_latest: false}}\n")
    )
    assert gaps(document) == {}
    rests = {row["rests_on"] for row in document["removals"] if row["kind"] == "environment"}
    assert rests == {"absence"}


@pytest.mark.parametrize("release", [OLD, NEWEST])
def test_links_by_the_path_that_another_host_has_for_the_cache_count(
    site: Hosts, release: str
) -> None:
    """A home that all hosts mount: its links name the cache as the host that made them does."""
    one, two = site.host("node1"), site.host("node2")
    (site.shared / "home").mkdir()
    made = two.mounted / "home" / "proj"
    two.uv(release, "venv", "--quiet", "--python", python_for(None), made)
    two.uv(release, "pip", "install", "--quiet", "--python", made / "bin/python", "six==1.16.0")
    without_pointers(one)
    # Nobody told of it: node2 searches its own disk alone.
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    policy = one.runner.policy(
        one.cache, f"venvs: {{discover: [{{root: '{one.mounted}/home'}}]}}\n{EXPECT}"
    )
    document = prune(one, policy)
    assert gone(document) == set()
    kept = {row["rule"] for row in document["kept"] if row["kind"] == "archive"}
    assert kept == {"archive.linked"}
    assert two.imports(made, "six")


def test_an_environment_that_a_record_names_by_a_path_of_another_host_is_read_here(
    site: Hosts,
) -> None:
    one, two = site.host("node1"), site.host("node2")
    archives = []
    # On the share beside the cache, which each host has mounted at another place.
    for name, package in (("env", "six==1.16.0"), ("left", "idna==3.7")):
        path = two.mounted / "homes" / name
        two.uv(NEWEST, "venv", "--quiet", "--python", python_for(None), path)
        python = path / "bin" / "python"
        two.uv(NEWEST, "pip", "install", "--quiet", "--python", python, package)
        # The second command leaves a record in the cache.
        two.uv(NEWEST, "pip", "list", "--quiet", "--python", python)
        known = {entry.name for entry in (site.shared / "cache" / "archive-v0").iterdir()}
        archives.append(known - {entry for before in archives for entry in before})
    used, unused = archives
    shutil.rmtree(site.shared / "homes" / "left")
    for folder in (site.shared / "cache").glob("wheels-v*"):
        shutil.rmtree(folder)
    # That host tells nothing of it but how it reaches the cache.
    quiet = two.runner.policy(two.cache, "venvs: {from_cache: false, discover: []}\n", "quiet")
    two.cacheadmin("observe", quiet, code=0)

    here = str(one.mounted / "homes" / "env")
    policy = one.policy(EXPECT)
    seen = one.cacheadmin("scan", policy, "--format", "json", code=0).json
    rows = {row["path"]: row["status"] for row in seen["venvs"]}
    assert rows[here] == "ok", seen
    assert str(two.mounted / "homes" / "env") not in rows
    document = prune(one, policy)
    assert gone(document) == {f"archive-v0/{name}" for name in unused}
    kept = {row["path"]: row["rule"] for row in document["kept"]}
    assert {kept[f"archive-v0/{name}"] for name in used} == {"archive.linked"}
    environment = two.mounted / "homes" / "env"
    assert two.dangling(environment) == []
    assert two.imports(environment, "six")


def test_a_link_to_a_central_environment_by_the_path_of_another_host_keeps_it(
    site: Hosts,
) -> None:
    one, two = site.host("node1"), site.host("node2")
    name = "proj-cp3.11.2-0123456789abcdef"
    central = site.shared / "cache" / "environments-v2" / name
    two.uv(NEWEST, "venv", "--quiet", "--python", python_for(None), two.cache / "env")
    central.parent.mkdir()
    shutil.move(site.shared / "cache" / "env", central)
    project = site.shared / "homes" / "proj"
    project.mkdir(parents=True)
    (project / ".venv").symlink_to(two.cache / "environments-v2" / name)
    for path in (central, *central.rglob("*")):
        os.utime(path, (1, 1), follow_symlinks=False)
    homes = f"venvs: {{discover: [{{root: '{one.mounted}/homes'}}], complete: true}}\n"
    word = "hosts: {expect: ['node[1-2]'], max_age: 1h}\n"
    quiet = two.runner.policy(two.cache, f"venvs: {{discover: []}}\n{word}", "quiet")
    two.cacheadmin("observe", quiet, code=0)
    idle = "prune: {environments: {idle: 1d, keep_latest: false}}\n"
    policy = one.runner.policy(one.cache, f"{homes}{word}{idle}", complete=False)
    document = prune(one, policy)
    kept = {row["path"]: row["rule"] for row in document["kept"]}
    assert f"environments-v2/{name}" in kept, document["removals"]
    seen = one.cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    (row,) = [row for row in seen if row["path"].endswith("/.venv")]
    assert row["entries"] == [f"environments-v2/{name}"], row


def remembers_for_a_second(site: Hosts, host: Host) -> None:
    """Put into what a host told that its mount has actimeo=1: else a minute is waited for it."""
    record = site.shared / "cache.cacheadmin" / "hosts" / f"{host.name}.json"
    document = json.loads(record.read_text())
    document["reach"]["options"].append("actimeo=1")
    record.write_text(json.dumps(document))


def test_a_host_whose_lookups_move_no_times_keeps_trials_from_ending(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2", options="noatime")
    one.environment("left", NEWEST, "six==1.16.0")
    shutil.rmtree(one.disk / "left")
    (archive,) = without_pointers(one)
    brief = f"{EXPECT}prune: {{trial: {{for: 1s, at_least: 1s}}}}\n"
    policy = one.policy(brief, complete=False)
    told = two.cacheadmin("observe", two.policy(EXPECT), "--format", "json", code=0).json
    sight = told["observation"]["sight"]
    # There is nothing of ours in the cache yet, to try it with.
    assert (sight["token_seen"], sight["access_seen"], sight["sprung"]) == (False, None, [])
    assert sight["writable"]
    assert prune(one, policy)["trial"]["planted"] == [archive]

    told = two.cacheadmin("observe", two.policy(EXPECT), "--format", "json", code=0).json
    sight = told["observation"]["sight"]
    assert sight["access_seen"] is False
    assert abs(sight["clock_ahead_seconds"]) < 60
    assert sight["inode"] == (site.shared / "cache").stat().st_ino
    # The trial lasts a second of real time.
    time.sleep(1.5)
    done = one.cacheadmin("prune", policy, code=0)
    assert "silence proves nothing: lookups of host node2 move no access times" in done.stderr
    assert (site.shared / "cache" / archive).is_symlink()
    # Mounted as it should be, its silence counts.
    two.options = "relatime"
    two.cacheadmin("observe", two.policy(EXPECT), code=0)
    remembers_for_a_second(site, two)
    assert prune(one, policy)["trial"]["ended"] == [archive]
    assert not (site.shared / "cache" / archive).is_symlink()


def test_a_tripwire_that_sprang_on_another_host_is_told_by_it(site: Hosts) -> None:
    one, two = site.host("node1"), site.host("node2")
    environment = two.environment("proj", NEWEST, "six==1.16.0")
    (archive,) = without_pointers(one)
    policy = one.policy(EXPECT, complete=False)
    assert prune(one, policy)["trial"]["planted"] == [archive]
    assert two.imports(environment, "six")
    # By an account that sees none of it.
    quiet = two.runner.policy(two.cache, "venvs: {discover: []}\n", "quiet")
    told = two.cacheadmin("observe", quiet, "--format", "json", code=0).json["observation"]
    assert told["sight"]["sprung"] == [archive]
    assert told["sight"]["token_seen"] is False
    assert "a tripwire that sprang" in {use["who"] for use in told["uses"]}
    assert prune(one, policy)["trial"]["put_back"] == [archive]
