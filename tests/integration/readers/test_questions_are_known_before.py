"""Readers are forked for the cache, for all that is asked about its users, and for sizes.

A question that they are not told of before costs another fork, of a process that has read
the whole cache by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.cli.app import run
from cacheadmin.readers import Question, Readers
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.small_farm import SmallFarm


@pytest.mark.parametrize(
    "text",
    [
        "",
        "venvs: {include: ['FOLDER/envs/*', 'FOLDER/not-there/*'], registry: FOLDER/registry}\n",
        "venvs: {discover: [{root: FOLDER/envs}, {root: FOLDER/not-there}]}\n",
    ],
    ids=["defaults", "include", "discover"],
)
def test_every_question_of_a_look_is_known_to_its_readers(
    cacheadmin: Cacheadmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    farm = SmallFarm(tmp_path, 3)
    farm.make_environment("one")
    (tmp_path / "registry").mkdir(mode=0o1777)
    policy = cacheadmin.policy(farm.cache, text.replace("FOLDER", str(tmp_path)), complete=False)
    learned: list[int] = []
    learn = Readers.learn

    def counted(readers: Readers, questions: Iterable[Question[Any, Any]]) -> None:
        known = tuple(questions)
        learned.append(len(known))
        learn(readers, known)

    monkeypatch.setattr(Readers, "learn", counted)
    # What may be used by unseen users is kept: 4.
    assert run(["-q", "plan", str(policy)]) in (0, 4)
    assert len(learned) == 3, learned
