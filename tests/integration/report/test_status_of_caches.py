"""`status`: one screen for one cache or all, with the exit code of the worst."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheadmin.overview.timers import cron_times
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident, build_incident
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, tree_snapshot
from tests.support.terminals import on_terminal
from tests.support.users import User
from tests.support.uv_releases import NEWEST

COMPLETE = "hosts: {only: this}\nvenvs: {complete: true, from_cache: false}\n"


@pytest.fixture
def policy(cacheadmin: Cacheadmin, incident: Incident) -> Path:
    homes = incident.shared.homes
    venvs = f"hosts: {{only: this}}\nvenvs: {{complete: true, include: ['{homes}/*/*']}}\n"
    budget = "prune: {budget: {max_size: 1KiB, min_free: 1KiB}}\n"
    return cacheadmin.policy(incident.shared.path, venvs + budget, name="ml-team")


def test_one_cache_on_a_screen(cacheadmin: Cacheadmin, policy: Path, incident: Incident) -> None:
    before = tree_snapshot(incident.shared.path)
    first = cacheadmin("status", policy, "--format", "json", code=8).json
    assert tree_snapshot(incident.shared.path) == before
    assert first["schema"] == "cacheadmin/status/1"
    assert (first["verdict"], first["last_run"], first["gaps"]) == ("limited", None, [])
    assert first["removals"] > 0
    met = {goal["key"]: goal["met"] for goal in first["budget"]}
    assert met == {"max_size": False, "min_free": True}
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    then = cacheadmin("status", policy, "--format", "json", code=8).json
    assert then["last_run"]["run_id"] == run
    assert then["last_run"]["state"] == "committed"
    assert then["quarantine"]["entries"] == then["last_run"]["entries"] > 0
    assert then["bytes"] < first["bytes"]
    text = cacheadmin("status", policy, code=8).stdout
    lines = text.splitlines()
    assert lines[0] == f"ml-team: {incident.shared.path}"
    assert any(line.startswith("  last run   ") and "committed" in line for line in lines)
    assert any(line.startswith("  budget     max_size") and "over budget" in line for line in lines)
    assert "  gaps       none" in lines
    assert "  next run   no timer and no cron line is known" in lines


@pytest.mark.root
def test_what_is_on_trial_and_what_sprang_is_told(
    cacheadmin: Cacheadmin, open_folder: Path, index: Index, three_users: list[User]
) -> None:
    """Users without an account leave a gap: what nobody was seen to use goes on trial."""
    incident = build_incident(open_folder / "incident", index, three_users)
    policy = cacheadmin.policy(
        incident.shared.path,
        f"venvs: {{include: ['{incident.shared.homes}/*/*']}}\n",
        complete=False,
    )
    planted = cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["planted"]
    assert planted
    told = cacheadmin("status", policy, "--format", "json").json["trial"]
    assert (told["entries"], told["sprung"]) == (len(planted), 0)
    assert told["ends_at"]
    assert "  on trial   " in cacheadmin("status", policy).stdout
    # Somebody whom nobody knew uses one.
    used = incident.shared.path / planted[0]
    assert used.is_symlink()
    list(used.iterdir())
    cacheadmin("prune", policy, code=0)
    told = cacheadmin("status", policy, "--format", "json").json["trial"]
    assert told["sprung"] >= 1
    assert told["entries"] < len(planted)


def test_all_policies_in_one_table_with_the_code_of_the_worst(
    cacheadmin: Cacheadmin, policy: Path, shared: SharedCache
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0", link_mode="copy")
    well = cacheadmin.policy(shared.path, COMPLETE, name="well")
    assert cacheadmin("status", well, "-q", code=0).stdout == ""
    rows = cacheadmin("status", "--all", "--format", "json", code=8).json["policies"]
    assert [(row["policy"]["name"], row["exit_code"]) for row in rows] == [
        ("ml-team", 8),
        ("well", 0),
    ]
    # Left out, it is all that have a name; a policy that is broken hides no other.
    cacheadmin.policy("/srv/no-such-cache", name="absent")
    cacheadmin.policy("/srv/x", "prune: {archive: true}\n", name="wrong")
    result = cacheadmin("status", code=78)
    assert "absent: /srv/no-such-cache is not a uv cache" in result.stdout
    assert "wrong: " in result.stdout
    assert "unknown key prune.archive" in result.stdout
    assert any(line.split()[:2] == ["well", "safe"] for line in result.stdout.splitlines())
    narrow = on_terminal(cacheadmin, 80, "status", policy, well)
    assert narrow.code == 8
    assert all(len(line) <= 80 for line in narrow.lines if not line.startswith("\r"))


def test_it_is_what_is_meant_when_nothing_is_said_on_a_terminal(
    cacheadmin: Cacheadmin, policy: Path, incident: Incident
) -> None:
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    seen = on_terminal(cacheadmin, 100, "--color", "never")
    assert seen.code == 8
    assert f"ml-team: {incident.shared.path}" in seen.text
    # A script that forgot its command is told so.
    assert cacheadmin().code == 2


def test_without_policies_it_is_the_callers_own_cache(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0", link_mode="copy")
    own = {"UV_CACHE_DIR": str(shared.path)}
    document = cacheadmin("status", "--format", "json", environment=own).json
    assert document["policy"] == {"name": "default", "path": None}
    assert "there is no policy" in cacheadmin("status", "--all", code=66).stderr


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("17 3 * * *  root  cacheadmin -q prune ml-team", "17 3 * * *"),
        ("@daily root /usr/bin/cacheadmin prune /etc/cacheadmin/policies.d/ml-team.yaml", "@daily"),
        ("17 3 * * *  root  cacheadmin -q prune web", ""),
        ("41 5 * * *  root  cacheadmin -q report ml-team", ""),
        ("#17 3 * * *  root  cacheadmin -q prune ml-team", ""),
        ("MAILTO=root", ""),
    ],
)
def test_a_cron_line_tells_the_next_run(line: str, times: str) -> None:
    text = f"SHELL=/bin/sh\n\n{line}\n"
    assert cron_times(text, "ml-team", "/etc/cacheadmin/policies.d/ml-team.yaml") == times
