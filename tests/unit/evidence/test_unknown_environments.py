"""Which programs show that there is an environment which no source knows."""

from __future__ import annotations

import pytest

from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    Process,
    RunsFrom,
    UseOfEntry,
)
from cacheadmin.evidence.unknown_environments import unknown_environments
from cacheadmin.inventory.entries import ArchiveContent
from tests.support.facts import NOW, archive, environment

NUMPY, SIX = archive("numpy"), archive("six")
TOOL = archive("tool", content=ArchiveContent.ENVIRONMENT)
ARCHIVES = {one.id: one for one in (NUMPY, SIX, TOOL)}


def program(*uses: str, through: str = "mapped file", runs_from: str = "", pid: int = 7) -> Process:
    places = (RunsFrom(runs_from, EnvironmentKind.VENV),) if runs_from else ()
    told = tuple(UseOfEntry(use, through) for use in uses)
    return Process(pid, 1000, NOW, "server", told, environments=places)


def subjects(*processes: Process, known: tuple[Environment, ...] = ()) -> list[str]:
    return [gap.detail for gap in unknown_environments(processes, known, ARCHIVES)]


def test_a_module_that_no_known_environment_links_to_shows_one() -> None:
    (words,) = subjects(program(NUMPY.path), known=(environment("/a/.venv", "six"),))
    assert "numpy" in words


def test_all_programs_of_an_account_are_one_gap() -> None:
    (words,) = subjects(*(program(NUMPY.path, pid=pid) for pid in range(7, 71)))
    assert "and 63 other programs" in words


@pytest.mark.parametrize(
    ("process", "known"),
    [
        (program(NUMPY.path), (environment("/a/.venv", "numpy"),)),
        # What it has loaded was replaced since.
        (program(NUMPY.path, runs_from="/a/.venv"), (environment("/a/.venv", "six"),)),
        (program(NUMPY.path, SIX.path), (environment("/a/.venv", "six"),)),
        # `uvx`, `uv run --with`, and a build.
        (program(TOOL.path), ()),
        (program(NUMPY.path, "builds-v0/.tmpAbCdEf"), ()),
        (program(NUMPY.path, through="open file"), ()),
    ],
)
def test_other_programs_show_none(process: Process, known: tuple[Environment, ...]) -> None:
    assert subjects(process, known=known) == []
