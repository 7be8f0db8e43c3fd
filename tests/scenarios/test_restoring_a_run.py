"""A prune can be undone: `runs restore` brings back the identical tree."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from tests.faults.small_site import end_trials_now
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import SharedCache, age, dangling_links, tree_snapshot
from tests.support.uv_releases import NEWEST
from tests.support.wheel_archives import empty_cache, write_tool

OLD = "0.2.37"


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


def test_restoring_what_went_on_trial_leaves_no_root_behind(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.remove_environment(shared.environment("proj", NEWEST, "six==1.16.0"))
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    policy = cacheadmin.policy(shared.path, complete=False)
    before = set(tree_snapshot(shared.path))
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert done["trial"]["planted"]
    assert list(shared.path.glob("*/cacheadmin"))
    cacheadmin("runs", "restore", policy, done["run_id"], code=0)
    assert set(tree_snapshot(shared.path)) == before


def test_a_pointer_whose_archive_is_gone_for_good_stays_in_quarantine(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    # Before 0.3.1 a pointer that leads nowhere fails the install.
    shared.remove_environment(shared.environment("proj", OLD, "six==1.16.0", "idna==3.7"))
    age(shared.path, 60)
    policy = cacheadmin.policy(shared.path, "prune: {unused: {after: 1s}}\n", complete=False)
    # Nothing goes on first sight.
    cacheadmin("prune", policy, code=0)
    # prune.unused.after is a second of real time, told in whole ones.
    time.sleep(2.1)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert len(done["trial"]["planted"]) == 2
    end_trials_now(shared.path)
    ended = cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["ended"]
    assert sorted(ended) == sorted(done["trial"]["planted"])

    restored = cacheadmin("runs", "restore", policy, done["run_id"], code=7)
    for archive in done["trial"]["planted"]:
        assert f"{archive}, to which it leads, is gone" in restored.stderr
    assert [one for one in shared.path.rglob("*") if one.is_symlink() and not one.exists()] == []
    shared.environment("again", OLD, "six==1.16.0", "idna==3.7")
    # Asked again, it says so again, and takes nothing that is new.
    cacheadmin("runs", "restore", policy, done["run_id"], code=7)
    shared.environment("more", OLD, "six==1.16.0", "idna==3.7")


def test_what_ended_its_trial_is_named_when_the_rest_of_its_run_comes_back(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.remove_environment(shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7"))
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    policy = cacheadmin.policy(shared.path, complete=False)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    one, other = sorted(done["trial"]["planted"])
    end_trials_now(shared.path, one)
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["ended"] == [one]

    restored = cacheadmin("runs", "restore", policy, done["run_id"], code=7)
    assert f"{one} is gone" in restored.stderr
    assert f"{other} is gone" not in restored.stderr
    assert (shared.path / other).is_dir()


def test_what_uses_brought_back_is_not_called_gone(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    hidden = environment.rename(environment.with_name("hidden"))
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    policy = cacheadmin.policy(shared.path, complete=False)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert len(done["trial"]["planted"]) == 2
    assert next(hidden.glob("lib/python*/site-packages/six.py")).exists()
    cacheadmin("prune", policy, code=0)
    refused = cacheadmin("runs", "restore", policy, done["run_id"], code=5)
    assert "nothing of it is in quarantine or on trial any more" in refused.stderr
    assert dangling_links(hidden) == {}


def test_the_name_of_a_tool_whose_environment_is_gone_for_good_stays_in_quarantine(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    cache = empty_cache(open_folder / "cache")
    tool = write_tool(cache)
    (published,) = [one for one in (cache / "environments-v2").glob("*/*") if one.is_symlink()]
    age(cache, 60)
    elsewhere = open_folder / "elsewhere"
    elsewhere.mkdir()
    idle = "prune: {environments: {idle: 1d, keep_latest: false}}\nhosts: {only: this}\n"
    sources = f"venvs: {{discover: [{{root: {elsewhere}}}]}}\n"
    policy = cacheadmin.policy(cache, sources + idle, complete=False)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert done["trial"]["planted"] == [f"archive-v0/{tool.name}"]
    assert not published.is_symlink()
    end_trials_now(cache)
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["ended"]
    restored = cacheadmin("runs", "restore", policy, done["run_id"], code=7)
    assert f"archive-v0/{tool.name}, to which it leads, is gone" in restored.stderr
    assert not published.is_symlink()


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
