"""What one look wrote down by a wrong clock is no older when the clock is right again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.soak.adversity import compiled_clock
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST

MONTHS = 60 * 86_400


@pytest.mark.parametrize("first_seen_by", ["scan", "prune", "venv add"])
def test_an_environment_that_it_saw_first_keeps_what_it_linked_while_it_is_away(
    shared: SharedCache, cacheadmin: Cacheadmin, tmp_path: Path, first_seen_by: str
) -> None:
    clock = compiled_clock(tmp_path)
    if clock is None:
        pytest.skip("no C compiler")
    shared.environment("known", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(
        shared.path, f"venvs: {{include: ['{shared.homes}/*/*'], keep_missing: 30d}}\n"
    )
    # The host's time is known from here on.
    cacheadmin("prune", policy, code=0)
    environment = shared.environment("proj", NEWEST, "idna==3.7")
    for pointer in shared.path.glob("wheels-v*/*/*/*/*"):
        pointer.unlink()
    age(shared.path, 90)

    wrong = {"LD_PRELOAD": os.fspath(clock), "ANOTHER_CLOCK": str(-MONTHS)}
    words = [*first_seen_by.split(), policy, *([environment] if "add" in first_seen_by else [])]
    cacheadmin(*words, code=0, environment=wrong)
    if "add" in first_seen_by:
        cacheadmin("scan", policy, code=0, environment=wrong)
    away = shutil.move(environment, tmp_path / "away")
    cacheadmin("prune", policy, code=0)
    shutil.move(away, environment)
    assert dangling_links(environment) == {}
