"""What a policy keeps by now comes back from the trial that an earlier one began."""

from __future__ import annotations

import pytest

from tests.scenarios.test_nobody_seen_goes_on_trial import (
    archives_of,
    looking_elsewhere,
    moved_out_of_sight,
    prune,
)
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.passing_time import let_days_pass
from tests.support.shared_cache import SharedCache, dangling_links

CHANGES = {
    "prune: {keep: ['six>=1']}\n": "prune.keep names six>=1",
    "prune: {archives: false}\n": "the policy removes none of its kind",
    # Where nothing can go on trial, what gaps may hide stays.
    "prune: {trial: never}\n": "the policy keeps what gaps may hide",
    "venvs: gaps: keep": "the policy keeps what gaps may hide",
}


@pytest.mark.parametrize(
    ("change", "why"), CHANGES.items(), ids=["keep", "archives", "trial", "gaps"]
)
def test_what_the_policy_keeps_now_comes_back(
    shared: SharedCache, cacheadmin: Cacheadmin, change: str, why: str
) -> None:
    hidden = moved_out_of_sight(shared, "six==1.16.0")
    elsewhere = looking_elsewhere(shared)
    used = archives_of(hidden)
    policy = cacheadmin.policy(shared.path, elsewhere, complete=False)
    assert set(prune(cacheadmin, policy)["trial"]["planted"]) == used
    # By now the trial is over: one more prune by the same policy would end it.
    let_days_pass(shared.path, 31, "ran")
    text = elsewhere + change
    if change.startswith("venvs: "):
        text = elsewhere.replace("venvs: {", "venvs: {gaps: keep, ")
    cacheadmin.policy(shared.path, text, complete=False)
    trial = prune(cacheadmin, policy)["trial"]
    assert (set(trial["put_back"]), trial["ended"]) == (used, [])
    assert why in cacheadmin("runs", "show", policy, code=0).stdout
    assert dangling_links(hidden) == {}
    assert not any((shared.path / entry).is_symlink() for entry in used)
