"""Changes that survived all tests of the first version: they are tried each time."""

from __future__ import annotations

from pathlib import Path

from tests.mutation.mutants import Mutant

_PLANNER = ("tests/unit/planner/test_planner_keeps_what_is_alive.py",)
_VERIFICATION = ("tests/integration/prune/test_verification_follows_every_link.py",)

#: (module, what stands there, what does instead, the tests that must notice).
_CHANGES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "cacheadmin/planner/liveness.py",
        "            and revision.path not in live.occupied\n",
        "",
        _PLANNER,
    ),
    (
        "cacheadmin/planner/liveness.py",
        "archive.mtime_ns < YOUNG_NS",
        "archive.mtime_ns > YOUNG_NS",
        _PLANNER,
    ),
    (
        "cacheadmin/prune/verification.py",
        " or entry in self.with_links",
        "",
        _VERIFICATION,
    ),
)


def by_hand(repository: Path) -> list[tuple[str, Mutant, tuple[str, ...]]]:
    """Return these: (module, mutant, tests)."""
    found = []
    for module, before, after, tests in _CHANGES:
        source = (repository / module).read_text()
        if source.count(before) != 1:
            raise ValueError(f"{module} has changed: {before.strip()!r} is not there once")
        line = source[: source.index(before)].count("\n") + 1
        words = f"{before.strip()} becomes {after.strip() or 'nothing'}"
        found.append((module, Mutant(line, words, source.replace(before, after)), tests))
    return found
