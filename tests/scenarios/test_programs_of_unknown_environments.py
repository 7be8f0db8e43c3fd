"""A server that embeds Python, and runs for months, from an environment that no source knows.

It is told of its packages by a file of its own (mod_wsgi, uwsgi), has imported all of them,
and looks none of them up again before its next start. That it has a compiled module of the
cache loaded is all that shows. The oracle is its next start.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.passing_time import let_days_pass
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, dangling_links

OLD = "0.8.5"

_SERVER = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "import numpy, cowsay, six; print('up', flush=True); sys.stdin.read()"
)


@pytest.fixture
def environment(shared: SharedCache, open_folder: Path) -> Path:
    """An environment in /opt, so to say, which nothing in the cache names any more."""
    environment = open_folder / "opt" / "app" / "env"
    uv_in(shared, open_folder, OLD, "venv", environment)
    python = environment / "bin" / "python"
    uv_in(shared, open_folder, OLD, "pip", "install", "--python", python, "numpy", "cowsay", "six")
    # As a user's prune by another release does, where roots are planted.
    for pattern in ("wheels-v*", "interpreter-v*"):
        for bucket in shared.path.glob(pattern):
            shutil.rmtree(bucket)
    return environment


@contextmanager
def server(environment: Path) -> Iterator[None]:
    packages = next(environment.glob("lib/*/site-packages"))
    # Any Python but that of the environment.
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, packages],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
    finally:
        process.kill()
        process.communicate()


def prune(cacheadmin: Cacheadmin, policy: Path) -> dict:
    return cacheadmin("prune", policy, "--format", "json", code=0).json


def test_no_trial_ends_while_it_runs_nor_at_once_when_it_is_stopped(
    shared: SharedCache, cacheadmin: Cacheadmin, environment: Path
) -> None:
    policy = cacheadmin.policy(shared.path, complete=False)
    with server(environment):
        first = prune(cacheadmin, policy)
        assert "environments.unknown" in {gap["id"] for gap in first["gaps"]}
        assert len(first["trial"]["planted"]) == 2
        let_days_pass(shared.path, 40, "ran")
        while_it_ran = cacheadmin("prune", policy, "--format", "json", code=0)
        assert while_it_ran.json["trial"]["ended"] == []
        assert "numpy of this cache loaded" in while_it_ran.stderr
    # A minute before its next start.
    stopped = prune(cacheadmin, policy)
    assert stopped["trial"]["ended"] == []
    assert dangling_links(environment) == {}
    with server(environment):
        pass


def test_trials_end_when_it_has_been_gone_for_as_long_as_they_last(
    shared: SharedCache, cacheadmin: Cacheadmin, environment: Path
) -> None:
    policy = cacheadmin.policy(shared.path, complete=False)
    with server(environment):
        planted = prune(cacheadmin, policy)["trial"]["planted"]
    prune(cacheadmin, policy)
    let_days_pass(shared.path, 31, "ran")
    assert set(planted) <= set(prune(cacheadmin, policy)["trial"]["ended"])


def test_the_sites_word_is_no_proof_beside_it(
    shared: SharedCache, cacheadmin: Cacheadmin, environment: Path
) -> None:
    policy = cacheadmin.policy(shared.path)
    with server(environment):
        result = prune(cacheadmin, policy)
    archives = [row for row in result["removals"] if row["kind"] == "archive"]
    assert {row["rests_on"] for row in archives} == {"absence"}
    with server(environment):
        pass


def test_an_environment_that_is_named_closes_the_gap(
    shared: SharedCache, cacheadmin: Cacheadmin, environment: Path
) -> None:
    text = f"venvs: {{include: ['{environment}']}}\n"
    policy = cacheadmin.policy(shared.path, text, complete=False)
    with server(environment):
        result = prune(cacheadmin, policy)
    assert "environments.unknown" not in {gap["id"] for gap in result["gaps"]}
    assert dangling_links(environment) == {}
