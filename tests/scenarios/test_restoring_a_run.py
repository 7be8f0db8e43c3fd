"""A prune can be undone: `runs restore` brings back the identical tree."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import tree_snapshot


def policy_of(incident: Incident, cacheadmin: Cacheadmin) -> Path:
    return cacheadmin.policy(
        incident.shared.path, f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n"
    )


def test_restore_brings_back_names_types_targets_inodes_modes_owners_and_times(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(incident, cacheadmin)
    before = tree_snapshot(incident.shared.path)

    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    assert tree_snapshot(incident.shared.path) != before
    listed = cacheadmin("runs", "list", policy, "--format", "json", code=0).stdout
    assert run in listed

    cacheadmin("runs", "restore", policy, run, code=0)
    assert tree_snapshot(incident.shared.path) == before
    assert incident.dangling() == {}


def test_a_prune_prints_the_command_that_undoes_it(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(incident, cacheadmin)
    before = tree_snapshot(incident.shared.path)
    told = cacheadmin("prune", policy, code=0).stdout
    (undo,) = (line for line in told.splitlines() if line.startswith("undo: "))
    cacheadmin(*shlex.split(undo)[2:], code=0)
    assert tree_snapshot(incident.shared.path) == before


def test_what_was_purged_cannot_be_restored(incident: Incident, cacheadmin: Cacheadmin) -> None:
    policy = policy_of(incident, cacheadmin)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    pruned = tree_snapshot(incident.shared.path)
    cacheadmin("runs", "purge", policy, run, code=0)
    refused = cacheadmin("runs", "restore", policy, run)
    assert refused.code != 0
    assert run in refused.stderr
    assert tree_snapshot(incident.shared.path) == pruned
