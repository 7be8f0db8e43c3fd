"""``python -m tests.mutation``: see the package."""

from __future__ import annotations

import argparse
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
from tests.support.long_runs import FiguresOfRun
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
_SAFE_SIDE = "tests/integration/trial/test_trials_err_to_the_safe_side.py"
_WAYS_BACK = "tests/integration/trial/test_ways_back.py"
_ENVIRONMENTS = "tests/integration/trial/test_trials_of_environments_and_hosts.py"
_FILESYSTEMS = "tests/integration/trial/test_tripwires_on_filesystems.py"
_TRIAL = (
    "tests/unit/trial",
    _WAYS_BACK,
    _SAFE_SIDE,
    _ENVIRONMENTS,
    _FILESYSTEMS,
    "tests/property/trial/test_trial_properties.py",
    "tests/integration/state/test_what_other_releases_wrote.py",
    "tests/integration/trial/test_tripwire_interleavings.py",
    "tests/scenarios/test_a_full_or_failing_disk_while_putting_on_trial.py",
    "tests/scenarios/test_nobody_seen_goes_on_trial.py",
    "tests/scenarios/test_trials_spare_the_unseen_and_free_the_rest.py",
)
_TRANSACTION = (
    "tests/integration/prune/test_transaction_puts_back_what_it_broke.py",
    "tests/integration/prune/test_interrupted_and_restored_runs.py",
    "tests/integration/prune/test_killed_at_every_step.py",
    "tests/integration/hosts/test_hosts_take_turns.py",
    "tests/integration/prune/test_last_look_under_the_lock.py",
    "tests/scenarios/test_what_we_make_keeps_the_sites_rights.py",
    "tests/scenarios/test_a_full_or_failing_disk_while_putting_on_trial.py",
)
TESTS = {
    "cacheadmin/planner": _PLANNER,
    "cacheadmin/trial": _TRIAL,
    "cacheadmin/prune/transaction.py": _TRANSACTION,
}
#: Quick tests that are about one module: most of what is changed there ends with them.
_OWN = {
    "absences.py": ("tests/unit/trial/test_absences.py",),
    "verdicts.py": ("tests/unit/trial/test_time_that_counts.py",),
    "ledger.py": (_SAFE_SIDE,),
    "kin.py": (_FILESYSTEMS, _ENVIRONMENTS),
    "folder.py": (_SAFE_SIDE, _ENVIRONMENTS),
    "ways_back.py": (_WAYS_BACK,),
    "tripwires.py": (_SAFE_SIDE, _FILESYSTEMS),
}
#: Tests that take minutes, and the one module that they are about.
_ALSO = {
    "grace.py": ("tests/property/planner/test_grace_interleavings.py",),
    "blindness.py": ("tests/scenarios/test_uses_that_move_no_access_time.py",),
    "absences.py": ("tests/scenarios/test_time_in_which_no_user_could_come.py",),
}
#: Words and orders of texts are no decisions.
_NOT_MUTATED = frozenset({"advice.py", "explaining.py", "targets.py", "witnesses.py"})
_MOST_SECONDS = 1800

_SURVIVED, _ENDLESS = "survivors", "endless"

_BY_HAND = "by hand"

#: A module, one of its mutants (or its number), and the tests that must notice.
Chosen = tuple[str, Mutant | int, tuple[str, ...]]


def main() -> int:
    """Try a sample of all mutants; print who survived, and the score."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("places", nargs="*", help="planner, trial, transaction, by-hand")
    parser.add_argument("--sample", type=int, default=40, help="so many mutants of each place")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--json", type=Path, help="keep the figures here, and go on from them")
    options = parser.parse_args()
    figures = FiguresOfRun(options.json)
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-mutation-"))
    try:
        _copy(folder)
        for name, every in _every_place(options).items():
            one = figures.of(name, {"tried": 0, _SURVIVED: [], _ENDLESS: []})
            one["of"] = len(every)
            sample = len(every) if name == _BY_HAND else options.sample
            for module, which, tests in every[one["tried"] : sample]:
                mutant = which if isinstance(which, Mutant) else _made(module, which)
                outcome = _outcome(folder, module, mutant, tests)
                if outcome in one:
                    one[outcome].append(f"{module}:{mutant.line}: {mutant.words}")
                one["tried"] += 1
                figures.write()
            figures.write()
            killed = one["tried"] - len(one[_SURVIVED])
            print(f"{name}: {killed} of {one['tried']} killed", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _every_place(options: argparse.Namespace) -> dict[str, list[Chosen]]:
    """Return all mutants of each place, in the order in which they are tried."""
    found: dict[str, list[Chosen]] = {}
    if not options.places or "by-hand" in options.places:
        found[_BY_HAND] = list(by_hand(REPOSITORY))
    for place, tests in TESTS.items():
        name = place.removeprefix("cacheadmin/").removesuffix(".py")
        if not options.places or any(word in place for word in options.places):
            found[f"of {name}"] = _shuffled(place, tests, options.seed)
    return found


def _copy(folder: Path) -> None:
    for name in ("cacheadmin", "tests", "docs", "man"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", folder)


def _shuffled(place: str, tests: tuple[str, ...], seed: int) -> list[Chosen]:
    path = REPOSITORY / place
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    every: list[Chosen] = [
        (str(module.relative_to(REPOSITORY)), which, tests)
        for module in modules
        if module.name not in _NOT_MUTATED
        for which in range(count_mutants(module.read_text()))
    ]
    random.Random(seed).shuffle(every)
    return every


def _made(module: str, which: int) -> Mutant:
    return make_mutant((REPOSITORY / module).read_text(), which)


def _outcome(folder: Path, module: str, mutant: Mutant, tests: tuple[str, ...]) -> str:
    target = folder / module
    original = target.read_text()
    target.write_text(mutant.source)
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
                *("-m", "not long", *_OWN.get(target.name, ()), *tests),
                *_ALSO.get(target.name, ()),
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
        outcome = _SURVIVED if done.returncode == 0 else "killed"
    except subprocess.TimeoutExpired:
        # Every user would notice; counted apart, since a busy machine takes long, too.
        outcome = _ENDLESS
    finally:
        target.write_text(original)
    seconds = time.monotonic() - begun
    print(f"  {outcome} in {seconds:.0f} s: {module}:{mutant.line}: {mutant.words}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
