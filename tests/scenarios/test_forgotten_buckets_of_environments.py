"""A bucket of environments that no release needs: what people may run in it is tried first.

The script's environment was made by uv 0.8.5; its bucket has the name that
releases before 0.6.0 gave it, and nobody has written there for two months.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.scenarios.test_nobody_seen_goes_on_trial import SHORT, is_whole, looking_elsewhere, prune
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, age
from tests.support.uv_releases import NEWEST

BUCKET = "environments-v1"
SCRIPT = '# /// script\n# dependencies = ["six==1.16.0"]\n# ///\nimport six\n'


@pytest.fixture
def script(shared: SharedCache) -> str:
    """The entry of a script's environment in a bucket that nobody needs."""
    file = shared.home() / "monthly.py"
    file.write_text(SCRIPT)
    shared.uv("0.8.5", "run", "--no-project", file)
    (shared.path / "environments-v2").rename(shared.path / BUCKET)
    age(shared.path, days=60)
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "moo")
    (environment,) = (shared.path / BUCKET).glob("monthly-*")
    return f"{BUCKET}/{environment.name}"


def runs_six(cache: Path, entry: str) -> bool:
    code = "import six; print(six.__version__)"
    python = cache / entry / "bin" / "python"
    return subprocess.check_output([python, "-c", code], text=True) == "1.16.0\n"


def entries(rows: list[dict]) -> set[str]:
    return {row["path"] for row in rows}


def test_plan_and_prune_agree_and_a_script_that_nobody_saw_comes_back(
    cacheadmin: Cacheadmin, shared: SharedCache, script: str
) -> None:
    policy = cacheadmin.policy(shared.path, looking_elsewhere(shared), complete=False)
    plan = cacheadmin("plan", policy, "--format", "json").json
    assert {row["path"]: row["rule"] for row in plan["kept"]}[BUCKET] == "bucket.environments"
    assert {row["path"]: row["rests_on"] for row in plan["removals"]}[script] == "absence"

    done = prune(cacheadmin, policy)
    assert entries(done["removals"]) == entries(plan["removals"])
    assert done["dropped"] == []
    assert script in done["trial"]["planted"]
    assert not is_whole(shared.path, script)

    assert runs_six(shared.path, script)
    again = prune(cacheadmin, policy)
    assert script in again["trial"]["put_back"]
    assert is_whole(shared.path, script)
    assert runs_six(shared.path, script)
    kept = {row["path"]: row["rule"] for row in prune(cacheadmin, policy)["kept"]}
    assert (kept[script], kept[BUCKET]) == ("trial.sprung", "bucket.in_use")


def test_the_bucket_goes_after_the_trials_of_what_was_in_it(
    cacheadmin: Cacheadmin, shared: SharedCache, script: str
) -> None:
    text = looking_elsewhere(shared) + SHORT
    policy = cacheadmin.policy(shared.path, text, complete=False)
    assert script in prune(cacheadmin, policy)["trial"]["planted"]
    plan = cacheadmin("plan", policy, "--format", "json").json
    assert {row["path"]: row["rule"] for row in plan["kept"]}[BUCKET] == "bucket.on_trial"
    ended = prune(cacheadmin, policy)
    assert script in ended["trial"]["ended"]
    prune(cacheadmin, policy)
    assert not (shared.path / BUCKET).exists()
    assert (shared.path / "environments-v2").is_dir()
