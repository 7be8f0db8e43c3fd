"""What is pinned between the plan and the lock stays."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.prune.test_last_look_under_the_lock import between, dropped
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST


@pytest.fixture
def orphans(shared: SharedCache) -> dict[str, str]:
    """Archives that nothing leads to, by package."""
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    shared.remove_environment(environment)
    for folder in shared.path.glob("wheels-v*"):
        subprocess.run(["rm", "-rf", folder], check=True)
    found = shared.path.glob("archive-v0/*/*.dist-info")
    return {
        path.name.partition("-")[0]: str(path.parent.relative_to(shared.path)) for path in found
    }


@pytest.mark.parametrize("target", ["path", "package"])
def test_a_pin_made_meanwhile_keeps_its_archive_and_nothing_else(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: dict[str, str], target: str
) -> None:
    policy = cacheadmin.policy(shared.path)
    with between(policy) as (planned, last):
        assert planned >= set(orphans.values())
        wanted = orphans["six"] if target == "path" else "six==1.16.0"
        cacheadmin("pin", "add", policy, wanted, code=0)
        look = last.look()
    assert orphans["six"] in dropped(look)
    assert "pinned by" in dropped(look)[orphans["six"]]
    assert orphans["idna"] in {decision.path for decision in look.removals}


def test_a_pin_that_was_there_is_not_taken_for_a_new_one(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: dict[str, str]
) -> None:
    """An expired pin keeps nothing, under the lock either."""
    policy = cacheadmin.policy(shared.path)
    cacheadmin("pin", "add", policy, "six", "--expires", "1s", code=0)
    for _ in range(30):
        with between(policy) as (planned, last):
            if orphans["six"] not in planned:
                # A pin ends by the time that has really passed.
                time.sleep(0.5)
                continue
            look = last.look()
            assert orphans["six"] not in dropped(look)
            return
    raise AssertionError("the pin never expired")


def test_a_whole_prune_keeps_what_a_user_pins_at_any_time_before_it(
    shared: SharedCache, cacheadmin: Cacheadmin, orphans: dict[str, str], open_folder: Path
) -> None:
    policy = cacheadmin.policy(shared.path)
    saved = open_folder / "saved.plan"
    cacheadmin("plan", policy, "--out", saved)
    cacheadmin("pin", "add", policy, "six", code=0)
    for words in (("--dry-run",), ()):
        said = cacheadmin("prune", policy, "--plan", saved, *words, code=0).stderr
        assert f"not removed: {orphans['six']}: " in said
    assert (shared.path / orphans["six"]).is_dir()
    assert not (shared.path / orphans["idna"]).exists()
