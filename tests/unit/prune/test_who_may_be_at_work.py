"""Who may know what waits beside a uv at work, and whether all of them can be seen. Pure."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from cacheadmin.evidence.facts import Gap, GapKind, LockHolder, Process, UvProcess
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.prune.concurrent import who_is_not_seen
from cacheadmin.prune.grace_file import moment_of
from tests.support.facts import NFS, NOW, evidence, inventory, policy

UV = Process(7, 1000, 0, "uv sync", uv=UvProcess("0.8.20", takes_cache_lock=True), start_ticks=70)
HOLDER = LockHolder(8, 1000, exclusive=False, waiting=False, start_ticks=80, is_uv=False)


def test_each_uv_is_at_work_but_one_that_waits_for_its_program() -> None:
    assert moment_of([UV], []).working == {(7, 70)}
    assert moment_of([replace(UV, uv=UvProcess(None, None))], []).working == {(7, 70)}
    assert moment_of([replace(UV, uv=UvProcess("0.8.20", True, parked=True))], []).working == set()
    assert moment_of([replace(UV, uv=None)], []).working == set()


def test_who_holds_the_lock_under_another_name_is_at_work() -> None:
    assert moment_of([], [HOLDER]).working == {(8, 80)}
    # That it is a uv, and at work, its process tells.
    assert moment_of([], [replace(HOLDER, is_uv=True)]).working == set()
    assert moment_of([], [replace(HOLDER, waiting=True)]).working == set()
    assert moment_of([], [replace(HOLDER, is_guard=True)]).working == set()


EXPORTED = Gap("hosts.exported", GapKind.HOSTS, "/srv", "it is exported", "")


@pytest.mark.skipif(
    os.readlink("/proc/self/ns/pid") != "pid:[4026531836]", reason="in a pid namespace of its own"
)
@pytest.mark.parametrize(
    ("seen", "keys", "words"),
    [
        ({}, {}, ""),
        ({"filesystem": NFS}, {}, "other hosts"),
        ({"filesystem": NFS}, {"hosts": {"only": "this"}}, "other hosts"),
        ({}, {"hosts": {"expect": ("node1",)}}, "other hosts"),
        ({"gaps": (EXPORTED,)}, {}, "other hosts"),
        ({"gaps": (EXPORTED,)}, {"hosts": {"only": "this"}}, ""),
        ({"lock_holders": (replace(HOLDER, is_uv=None),)}, {}, "process 8"),
        ({"lock_holders": (replace(HOLDER, is_uv=None, waiting=True),)}, {}, ""),
        ({"lock_holders": (HOLDER,)}, {}, ""),
    ],
)
def test_where_a_uv_may_be_at_work_unseen_it_says_who(
    seen: dict[str, Any], keys: dict[str, Any], words: str
) -> None:
    said = who_is_not_seen(PlanInput(policy(**keys), inventory(), evidence(**seen), NOW))
    assert bool(said) == bool(words)
    assert words in said
