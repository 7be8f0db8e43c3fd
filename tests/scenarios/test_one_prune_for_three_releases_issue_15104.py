"""uv issue 15104: three users, three releases, one cache in symlink mode.

uv's own prune of any release breaks the environments of the other two. Ours
breaks nobody, and still takes away what nobody uses.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import RELEASES, Incident, build_incident
from tests.support.packages import Index
from tests.support.shared_cache import copy_in_place_of, names_in
from tests.support.users import User, me
from tests.support.uv_releases import NEWEST


def policy_of(cacheadmin: Cacheadmin, incident: Incident, more: str = "") -> Path:
    return cacheadmin.policy(
        incident.shared.path, f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n{more}"
    )


@pytest.mark.root
def test_pandas_of_three_users_survives_our_prune_and_not_that_of_uv(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    incident = build_incident(open_folder, index, three_users, ["pandas==2.3.3"])
    policy = policy_of(cacheadmin, incident)

    with copy_in_place_of(incident.shared.path):
        incident.shared.uv(NEWEST, "cache", "prune", user=me())
        assert set(incident.dangling()) >= {"ana", "ben"}
    assert incident.dangling() == {}

    preflight = cacheadmin("preflight", policy, "--format", "json", code=4).json
    assert preflight["verdict"] == "limited"
    said = str(preflight["checks"])
    for name, environment in incident.environments.items():
        assert str(environment) in said
        assert RELEASES[name] in said

    result = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert result["outcome"] == "committed"
    assert not result["verified"]["broken"]
    assert result["verified"]["links"] >= 3
    assert incident.dangling() == {}
    for environment in incident.environments.values():
        subprocess.run(
            [environment / "bin" / "python", "-c", "import pandas._libs.lib, numpy.linalg"],
            check=True,
            env={},
        )
    gone = {removal["path"] for removal in result["removals"]}
    assert set(incident.leftovers) <= gone
    assert "archive" in {removal["kind"] for removal in result["removals"]}
    assert not set(incident.leftovers) & names_in(incident.shared.path)
    assert result["totals"]["reclaimable_bytes"] > 0


def test_all_releases_go_on_installing_after_our_prune(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(cacheadmin, incident)
    cacheadmin("prune", policy, code=0)

    for name, release in RELEASES.items():
        again = incident.shared.environment(f"again-{name}", release, "six==1.16.0", "pytz")
        incident.environments[f"again-{name}"] = again
    assert incident.dangling() == {}


def test_a_second_prune_finds_nothing_to_do(incident: Incident, cacheadmin: Cacheadmin) -> None:
    policy = policy_of(cacheadmin, incident)
    cacheadmin("prune", policy, code=0)
    again = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert again["outcome"] == "nothing_to_do"
    assert again["removals"] == []


def test_prune_removes_exactly_what_plan_announced(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(cacheadmin, incident)
    planned = cacheadmin("plan", policy, "--format", "json", code=4).json
    before = set(os.listdir(incident.shared.path / "archive-v0"))
    pruned = cacheadmin("prune", policy, "--format", "json", code=0).json

    announced = [(row["path"], row["rule"]) for row in planned["removals"]]
    assert announced == [(row["path"], row["rule"]) for row in pruned["removals"]]
    gone = before - set(os.listdir(incident.shared.path / "archive-v0"))
    assert {f"archive-v0/{name}" for name in gone} == {
        row["path"] for row in planned["removals"] if row["kind"] == "archive"
    }
