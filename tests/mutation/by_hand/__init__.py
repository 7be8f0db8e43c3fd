"""Changes that survived the tests that there were: they are tried each time.

Each was found by a question to a condition that spares a user: which test would notice if it
were turned round? A change that no longer applies is named: change it as well, or take it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutation.by_hand import evidence, grace, last_look, planner, prune, trial
from tests.mutation.mutants import Mutant

if TYPE_CHECKING:
    from pathlib import Path


def by_hand(repository: Path) -> list[tuple[str, Mutant, tuple[str, ...]]]:
    """Return these: (module, mutant, tests)."""
    found = []
    for room in (planner, trial, prune, evidence, last_look, grace):
        for module, before, after, test in room.CHANGES:
            source = (repository / module).read_text()
            if source.count(before) != 1:
                raise ValueError(f"{module} has changed: {before.strip()!r} is not there once")
            line = source[: source.index(before)].count("\n") + 1
            words = f"{before.strip()} becomes {after.strip() or 'nothing'}"
            found.append((module, Mutant(line, words, source.replace(before, after)), (test,)))
    return found
