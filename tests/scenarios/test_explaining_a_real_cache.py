"""Why is it still here, who uses it, and what would come free: asked of real caches."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.scenarios.test_pins_and_leases import abandon_everything
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import FORGOTTEN_BUCKETS, Incident
from tests.support.shared_cache import SharedCache, age
from tests.support.uv_releases import NEWEST


def explained(cacheadmin: Cacheadmin, policy: Path, target: str | Path):
    # Names of archives are random: one of 64 begins like an option.
    return cacheadmin("explain", "--format", "json", "--", policy, target, code=0).json


def only(document):
    (entry,) = document["entries"]
    return entry


def archive_of(shared: SharedCache, package: str) -> str:
    (found,) = shared.path.glob(f"archive-v0/*/{package}-*.dist-info")
    return str(found.parent.relative_to(shared.path))


def an_environment_without_pointers(shared: SharedCache) -> Path:
    """An environment is all that uses its archives: pointers are gone, as after a release's end."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    return environment


def test_the_chain_leads_from_the_environment_to_the_archive_and_back(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = an_environment_without_pointers(shared)
    age(environment, days=200)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    archive = archive_of(shared, "six")
    archive_id = archive.partition("/")[2]

    for target in (archive_id, archive, shared.path / archive / "six.py", "six==1.16.0", "SIX"):
        entry = only(explained(cacheadmin, policy, target))
        assert (entry["path"], entry["decision"]) == (archive, "kept")
    (chain,) = entry["chains"]
    assert chain["rule"] == "archive.linked"
    assert [step["name"] for step in chain["steps"]] == [str(environment), f"archive {archive_id}"]
    assert chain["text"].startswith(f"{environment} (")
    assert re.search(
        rf"-> archive {re.escape(archive_id)} \(six 1\.16\.0\), \d+ links?, seen \d\d:\d\d UTC on ",
        chain["text"],
    )
    assert entry["near_miss"].startswith(f"kept only because of one environment, {environment} ")
    assert "untouched since" in entry["near_miss"]
    assert entry["bytes"] > 0

    document = explained(cacheadmin, policy, environment)
    (back,) = document["environments"]
    kept = {row["package"] for row in back["keeps"]}
    assert kept == {"six", "idna"}
    told = {row["path"] for row in back["frees"]["entries"]}
    # What it said would come free is what a prune takes once it has gone.
    shared.remove_environment(environment)
    plan = cacheadmin("plan", policy, "--format", "json").json
    assert {row["path"] for row in plan["removals"]} >= told
    assert told == {archive, f"{archive_of(shared, 'idna')}"}
    assert back["frees"]["reclaimable_bytes"] > 0


def timeless(reason: str) -> str:
    """A reason without how long ago it was: commands run after one another."""
    return re.sub(r"\d+ \w+", "", reason)


def test_what_a_prune_removes_is_explained_by_its_rule(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    shared = incident.shared
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    planned = cacheadmin("plan", policy, "--format", "json").json
    assert planned["removals"]
    rows = [(row, "removed") for row in planned["removals"]]
    rows += [(row, "kept") for row in planned["kept"][:12]]
    for row, decision in rows:
        entry = only(explained(cacheadmin, policy, row["path"]))
        assert (entry["decision"], entry["rule"]) == (decision, row["rule"]), row["path"]
        assert timeless(entry["reason"]) == timeless(row["reason"])
        assert bool(entry["chains"]) is (decision == "kept")
    gone = next(name for name in FORGOTTEN_BUCKETS if (shared.path / name).is_dir())
    text = cacheadmin("explain", policy, gone, code=0).stdout
    assert "removed by the next prune" in text
    assert "pin add" in text


def test_pointers_are_followed_to_the_users_of_each_release(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    shared = incident.shared
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    document = explained(cacheadmin, policy, "idna==3.7")
    archives = [entry for entry in document["entries"] if entry["kind"] == "archive"]
    assert archives
    beginnings = {
        (chain["steps"][0]["kind"], chain["steps"][0]["name"])
        for entry in archives
        for chain in entry["chains"]
    }
    for path in incident.environments.values():
        assert ("environment", str(path)) in beginnings
    assert "user" in {kind for kind, _ in beginnings}
    # Every step on the way is an entry that can be looked at.
    for entry in archives:
        for chain in entry["chains"]:
            for step in chain["steps"][1:-1]:
                folder = shared.path / step["name"]
                assert folder.parent.is_dir(), step


def test_no_match_leaves_with_66_and_similar_names(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    assert "six" in cacheadmin("explain", policy, "sixx", code=66).stderr
    assert "six==1.16.0" in cacheadmin("explain", policy, "six==9", code=66).stderr
    near = cacheadmin("explain", policy, f"{environment}s", code=66).stderr
    assert str(environment) in near
    hostile = cacheadmin("explain", policy, "\x1b[31m", code=66)
    assert "\x1b" not in hostile.stderr + hostile.stdout


def test_a_pin_is_explained_with_its_author_and_reason(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    archives = abandon_everything(shared)
    policy = cacheadmin.policy(shared.path)
    cacheadmin("pin", "add", policy, "six", "--reason", "the paper", "--expires", "30d", code=0)
    entry = only(explained(cacheadmin, policy, archives["six"]))
    assert entry["rule"] == "archive.pinned"
    assert entry["near_miss"].startswith("kept only because of pin of ")
    assert any("pin remove" in sentence for sentence in entry["to_change"])
    assert "the paper" in json.dumps(entry["chains"])
