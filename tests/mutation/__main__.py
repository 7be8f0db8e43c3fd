"""``python -m tests.mutation``: see the package."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.by_hand import by_hand
from tests.mutation.mutants import Mutant, count_mutants, make_mutant
from tests.support.packages import packages_folder
from tests.support.uv_releases import REPOSITORY, releases_folder

#: Modules, and the tests that are theirs: the quick ones first.
_PLANNER = (
    "tests/unit/planner/test_planner_keeps_what_is_alive.py",
    "tests/unit/planner/test_planner_bounds.py",
    "tests/unit/planner/test_pins_keep_what_they_name.py",
    "tests/unit/planner/test_sources_are_given_up.py",
    "tests/unit/planner/test_explaining.py",
    "tests/unit/planner/test_who_holds_what.py",
    "tests/property/planner/test_planner_properties.py",
    "tests/property/planner/test_pin_properties.py",
    "tests/property/planner/test_explaining_properties.py",
)
_TRIAL = (
    "tests/integration/trial/test_tripwire_interleavings.py",
    "tests/property/trial/test_trial_properties.py",
    "tests/integration/trial/test_trials_of_environments_and_hosts.py",
    "tests/scenarios/test_a_full_or_failing_disk_while_putting_on_trial.py",
    "tests/scenarios/test_nobody_seen_goes_on_trial.py",
    "tests/scenarios/test_trials_spare_the_unseen_and_free_the_rest.py",
)
_TRANSACTION = (
    "tests/integration/prune/test_transaction_puts_back_what_it_broke.py",
    "tests/integration/prune/test_interrupted_and_restored_runs.py",
    "tests/integration/prune/test_killed_at_every_step.py",
    "tests/integration/prune/test_last_look_under_the_lock.py",
    "tests/scenarios/test_a_full_or_failing_disk_while_putting_on_trial.py",
)
TESTS = {
    "cacheadmin/planner": _PLANNER,
    "cacheadmin/trial": _TRIAL,
    "cacheadmin/prune/transaction.py": _TRANSACTION,
}
#: Tests that take minutes, and the one module that they are about.
_ALSO = {"grace.py": ("tests/property/planner/test_grace_interleavings.py",)}
#: Words and orders of texts are no decisions.
_NOT_MUTATED = frozenset({"advice.py", "explaining.py", "targets.py", "witnesses.py"})
_MOST_SECONDS = 600


def main() -> int:
    """Try a sample of all mutants; print who survived, and the score."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("places", nargs="*", help="planner, trial, transaction, by-hand")
    parser.add_argument("--sample", type=int, default=40, help="so many mutants of each place")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-mutation-"))
    figures = {}
    try:
        _copy(folder)
        if not options.places or "by-hand" in options.places:
            known = by_hand(REPOSITORY)
            left = [
                f"{module}:{mutant.line}: {mutant.words}"
                for module, mutant, tests in known
                if _survives(folder, module, mutant, tests)
            ]
            figures["by hand"] = {"mutants": len(known), "survivors": left}
        for place, tests in TESTS.items():
            if options.places and not any(word in place for word in options.places):
                continue
            chosen = _sample(place, options.sample, options.seed)
            survivors = [
                f"{module}:{mutant.line}: {mutant.words}"
                for module, mutant in chosen
                if _survives(folder, module, mutant, tests)
            ]
            for one in survivors:
                print(f"  SURVIVED {one}", flush=True)
            killed = len(chosen) - len(survivors)
            print(f"{place}: {killed} of {len(chosen)} killed", flush=True)
            figures[place] = {"mutants": len(chosen), "survivors": survivors}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def _copy(folder: Path) -> None:
    for name in ("cacheadmin", "tests", "docs", "man"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", folder)


def _sample(place: str, number: int, seed: int) -> list[tuple[str, Mutant]]:
    path = REPOSITORY / place
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    sources = {one: one.read_text() for one in modules if one.name not in _NOT_MUTATED}
    every = [
        (module, which)
        for module, source in sources.items()
        for which in range(count_mutants(source))
    ]
    chosen = random.Random(seed).sample(every, min(number, len(every)))
    return [
        (str(module.relative_to(REPOSITORY)), make_mutant(sources[module], which))
        for module, which in chosen
    ]


def _survives(folder: Path, module: str, mutant: Mutant, tests: tuple[str, ...]) -> bool:
    target = folder / module
    original = target.read_text()
    target.write_text(mutant.source)
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
                *("-m", "not long", *_ALSO.get(target.name, ()), *tests),
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "CACHEADMIN_UV_RELEASES": str(releases_folder()),
                "CACHEADMIN_TEST_PACKAGES": str(packages_folder().parent),
            },
            capture_output=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
        survived = done.returncode == 0
    except subprocess.TimeoutExpired:
        # One that never ends is noticed by everybody.
        survived = False
    finally:
        target.write_text(original)
    word = "survived" if survived else "killed"
    seconds = time.monotonic() - begun
    print(f"  {word} in {seconds:.0f} s: {module}:{mutant.line}: {mutant.words}", flush=True)
    return survived


if __name__ == "__main__":
    sys.exit(main())
