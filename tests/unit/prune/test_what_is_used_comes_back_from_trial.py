"""What a look finds to be used on trial, by whatever source; and what may go there at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cacheadmin.evidence.facts import (
    EnvironmentKind,
    EnvironmentStatus,
    Gap,
    GapKind,
    HostUse,
    NamedEntry,
    Pin,
    Process,
    RememberedEnvironment,
    UseOfEntry,
)
from cacheadmin.inventory.entries import (
    ArchiveId,
    CachedEnvironment,
    EntryKind,
    OnTrial,
    SourceRevision,
)
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.planner.reasons import BUCKET_UNNEEDED
from cacheadmin.prune.on_trial import divide_removals, new_trials, used_on_trial
from cacheadmin.trial.trials import Rules
from tests.support.facts import DAY, HOUR, NOW, environment, evidence, inventory, pointer, policy

SIX = "archive-v0/six"
TOOL = "environments-v2/tool"


def on_trial(*entries: str) -> dict[str, OnTrial]:
    return {
        entry: OnTrial(entry, "six" if entry == SIX else None, "1.16.0", 1000, NOW)
        for entry in entries
    }


def case(stored: dict[str, Any], seen: dict[str, Any], **keys: Any) -> PlanInput:
    found = inventory(on_trial=on_trial(SIX, "archive-v0/other", TOOL), **stored)
    return PlanInput(policy(**keys), found, evidence(**seen), NOW)


def pin(**target: str) -> Pin:
    return Pin("/pins/mine", 1000, reason="mine", **target)


def remembered(path: str) -> RememberedEnvironment:
    return RememberedEnvironment(
        path, EnvironmentKind.VENV, 1000, None, frozenset({ArchiveId("six")}), frozenset(), "", NOW
    )


AWAY = Gap("environments.away", GapKind.AWAY, "/mnt/env", "it is away", "mount it")
REVISION = SourceRevision(
    "sdists-v9/pypi/six/1/r", "sdists-v9", "six", "1", True, frozenset({ArchiveId("six")}), 0, NOW
)
PUBLISHED = CachedEnvironment("environments-v2/a/b", "environments-v2", ArchiveId("six"), 0, NOW)
USES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an environment": ({}, {"environments": (environment("/env", "six"),)}),
    "a cached environment that stays": (
        {},
        {"environments": (environment("/cache/archive-v0/e", "six", kind=EnvironmentKind.CACHED),)},
    ),
    "a process": ({}, {"processes": (Process(7, 0, NOW, "x", (UseOfEntry(SIX, "map"),)),)}),
    "a process deep in it": (
        {},
        {"processes": (Process(7, 0, NOW, "x", (UseOfEntry(f"{SIX}/lib", "folder"),)),)},
    ),
    "a unit": ({}, {"named": (NamedEntry(SIX, "/etc/systemd/system/x.service"),)}),
    "another host": ({}, {"host_uses": (HostUse(SIX, "/env", 1000, "node2", NOW),)}),
    "an environment that is away": (
        {},
        {"remembered": (remembered("/mnt/env"),), "gaps": (AWAY,)},
    ),
    "an environment that can't be read": (
        {},
        {
            "remembered": (remembered("/env"),),
            "environments": (environment("/env", status=EnvironmentStatus.UNREADABLE),),
        },
    ),
    "a wheel pointer": ({"wheel_pointers": (pointer("wheels-v5", "six"),)}, {}),
    "a source revision": ({"revisions": (REVISION,)}, {}),
    "a link to a cached environment": ({"environments": (PUBLISHED,)}, {}),
    "a pin": ({}, {"pins": (pin(path=SIX),)}),
    "a pin of a file in it": ({}, {"pins": (pin(path=f"{SIX}/six.py"),)}),
    "a pin of a package": ({}, {"pins": (pin(package="Six"),)}),
    "a pin of this version": ({}, {"pins": (pin(package="six", version="1.16.0"),)}),
}


@pytest.mark.parametrize("use", USES)
def test_it_comes_back_alone(use: str) -> None:
    assert set(used_on_trial(case(*USES[use]), ())) == {SIX}


def test_a_pin_of_a_folder_brings_back_all_that_was_in_it() -> None:
    found = used_on_trial(case({}, {"pins": (pin(path="archive-v0"),)}), ())
    assert set(found) == {SIX, "archive-v0/other"}


def test_a_registered_cached_environment_comes_back() -> None:
    """Its folder is on trial; the link of its user leads to it."""
    linked = environment(f"/cache/{TOOL}", kind=EnvironmentKind.CACHED, sources=("registry",))
    assert set(used_on_trial(case({}, {"environments": (linked,)}), ())) == {TOOL}


@pytest.mark.parametrize(
    "seen",
    [
        {"pins": (pin(package="six", version="1.15.0"),)},
        {"pins": (pin(package="seven"),)},
        {"remembered": (remembered("/env"),)},
        {"environments": (environment("/env", "seven"),)},
    ],
)
def test_nothing_comes_back_for_another_sake(seen: dict[str, Any]) -> None:
    assert used_on_trial(case({}, seen), ()) == {}


def test_what_goes_in_this_run_brings_nothing_back() -> None:
    """The cached environment is removed with what it alone links."""
    idle = environment("/cache/archive-v0/e", "six", kind=EnvironmentKind.CACHED)
    going = decision(EntryKind.ARCHIVE, "archive-v0/e")
    assert used_on_trial(case({}, {"environments": (idle,)}), (going,)) == {}


def test_what_the_policy_never_removes_comes_back_by_its_kind() -> None:
    environments = used_on_trial(case({}, {}, prune={"environments": "never"}), ())
    archives = used_on_trial(case({}, {}, prune={"archives": False}), ())
    assert set(environments) == {TOOL}
    assert set(archives) == {SIX, "archive-v0/other"}


def decision(kind: EntryKind, path: str, rests_on: str = "absence") -> Decision:
    return Decision(kind, path, None, None, BUCKET_UNNEEDED, rests_on=rests_on)


def divided(*removals: Decision, trial: object = None) -> tuple[set[str], set[str], set[str]]:
    """Return what of these goes on trial, what to quarantine, and what stays."""
    folders = [CachedEnvironment(TOOL, "environments-v2", None, 0, NOW - 90 * DAY)]
    rules = policy(prune={} if trial is None else {"trial": trial})
    found = divide_removals(rules, inventory(environments=tuple(folders)), removals)
    going = {one.path for one in found.removals}
    return set(found.on_trial), going - found.on_trial, {path for path, _ in found.staying}


def test_what_rests_on_absence_goes_on_trial_or_stays() -> None:
    tool = decision(EntryKind.ENVIRONMENT, TOOL)
    assert divided(decision(EntryKind.ARCHIVE, SIX), tool) == ({SIX, TOOL}, set(), set())
    made = decision(EntryKind.ARCHIVE, "archive-v0/abcdefghijklmnopqrstuvwx")
    assert divided(made) == (set(), set(), {made.path})
    bucket = decision(EntryKind.BUCKET, "environments-v2")
    assert divided(bucket) == (set(), set(), {"environments-v2"})
    assert divided(decision(EntryKind.BUCKET, "wheels-v3")) == (set(), {"wheels-v3"}, set())


@pytest.mark.parametrize(("rests_on", "trial"), [("proof", None), ("absence", "never")])
def test_what_is_proven_needs_no_trial(rests_on: str, trial: object) -> None:
    going: Iterable[Decision] = [
        decision(EntryKind.ARCHIVE, SIX, rests_on),
        decision(EntryKind.BUCKET, "environments-v2", rests_on),
    ]
    assert divided(*going, trial=trial) == (set(), {SIX, "environments-v2"}, set())


def test_a_trial_lasts_for_as_long_as_uses_are_seen() -> None:
    """Clients of a network filesystem follow links from memory at first."""
    (trial,) = new_trials(
        "run", [decision(EntryKind.ARCHIVE, SIX)], frozenset({SIX}), {}, NOW, Rules(30 * DAY, HOUR)
    )
    assert trial.until_ns == NOW + 30 * DAY + HOUR
    assert trial.discounted_ns == HOUR
