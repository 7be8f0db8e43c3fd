"""``python -m tests.stories``: see the package."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.property.sites.test_a_site_over_time import SHORT, SiteOverTime, SiteWithItsWord
from tests.support.long_runs import FiguresOfRun, at_normal_priority

_SORTS: dict[str, type[SiteOverTime]] = {
    "a site whose users are not all known": SiteOverTime,
    "a site that vouches for its sources": SiteWithItsWord,
}
_STEPS = 20

#: Stories of one seed. The first of them is always the shortest one there is.
_A_ROUND = 5

_EMPTY = {"stories": 0, "steps": 0, "rounds": 0}


def main() -> int:
    """Tell them; 0 when all were well."""
    parser = argparse.ArgumentParser(prog="python -m tests.stories", description=__doc__)
    parser.add_argument("--stories", type=int, default=100, help="so many of each sort")
    parser.add_argument("--seed", type=int, default=1, help="what chance does")
    parser.add_argument("--json", type=Path, help="keep the figures here, and go on from them")
    options = parser.parse_args()
    figures = FiguresOfRun(options.json)
    waiting = list(_SORTS)
    while waiting:
        for name in tuple(waiting):
            one = figures.of(name, {**_EMPTY, "once": [], "wrong": []})
            if one["stories"] >= options.stories:
                waiting.remove(name)
                continue
            seed = options.seed * 1_000_000 + one["rounds"]
            _round(_SORTS[name], seed, one, figures)
            one["rounds"] += 1
            figures.write()
            print(
                f"{name}: {one['stories']} stories, {one['steps']} steps, "
                f"{len(one['once'])} wrong once, {len(one['wrong'])} wrong",
                flush=True,
            )
    return 1 if any(one["wrong"] for one in figures.all.values()) else 0


def _round(sort: type[SiteOverTime], seed: int, one: dict[str, Any], figures: FiguresOfRun) -> None:
    """Tell the stories of one seed. One that fails is told again by itself: then it counts."""
    words = _told(sort, seed, one, figures)
    if words is None:
        return
    with at_normal_priority():
        again = _told(sort, seed, dict(_EMPTY), None)
    kind = "wrong" if again is not None else "once"
    one[kind].append(f"seed {seed}: {words[-4000:]}")
    print(f"  {kind.upper()} seed {seed}: {words[-4000:]}", flush=True)


def _told(
    sort: type[SiteOverTime], seed: int, one: dict[str, Any], figures: FiguresOfRun | None
) -> str | None:
    class Counted(sort):  # type: ignore[misc, valid-type]
        """The same, whose steps are counted as they are made."""

        steps: ClassVar[int] = 0

        @invariant()
        def count(self) -> None:
            one["steps"] += 1

        def teardown(self) -> None:
            super().teardown()
            one["stories"] += 1
            if figures is not None:
                figures.write()

    told = settings(SHORT, max_examples=_A_ROUND, stateful_step_count=_STEPS, database=None)
    try:
        run_state_machine_as_test(hypothesis.seed(seed)(Counted), settings=told)
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        return f"{''.join(traceback.format_exception(error))}\n{notes}"
    return None


if __name__ == "__main__":
    sys.exit(main())
