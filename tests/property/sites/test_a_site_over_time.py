"""A site over time, by chance, against the real program on a real disk.

Users come, use, move and leave; archives and builds come; pins are set; weeks pass; the
administrator prunes, is killed amid it, undoes, protects, evicts, changes the policy, and
loses what was remembered, or gets it back as it was last week. Whatever the order:

- a plan is the same twice, and a prune removes what it says;
- more evidence never removes more, and what is lost of the state keeps more;
- a prune after a prune removes nothing, and what a restore gives back is what was there;
- no link of any environment ever leads nowhere, as long as who is not seen uses it once in a trial.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cacheadmin.cli.app import run
from tests.faults.small_site import end_trials_now
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, dangling_links, tree_snapshot
from tests.support.supervised import KILL, Call, supervised
from tests.support.users import open_temporary_folder
from tests.support.wheel_archives import empty_cache, write_archive

FIRST_WHEELS = 4
DAYS_AGO = 40
LIMITED, DONE, NO_RUNS = 4, 0, 66

#: How long ago something was, in words: a second passes between two plans.
_AGE = re.compile(r"\b\d+ (?:s|min|h|days?)\b")

#: Of ours in the cache: comes and goes with what is on trial.
OURS = ("archive-v0/cacheadmin.trial", "/cacheadmin")


class SiteOverTime(RuleBasedStateMachine):
    """The site; each rule is one thing that people or the administrator do."""

    complete = False

    @initialize()
    def lay_out(self) -> None:
        self.folder = open_temporary_folder("cacheadmin-over-time-")
        self.cache = empty_cache(self.folder / "cache")
        self.archives: list[Path] = []
        self.environments: dict[Path, bool] = {}
        self.pins: list[str] = []
        self.number = 0
        for _ in range(FIRST_WHEELS):
            self._write_wheel()
        for place in ("home", "attic"):
            (self.folder / place).mkdir()
        age(self.cache, DAYS_AGO)
        self.runner = Cacheadmin(self.folder / "cacheadmin")
        self.runner.folder.mkdir()
        self.state = self.runner.folder / "state"
        self.backup = self.folder / "last week"
        self._write_policy("{for: 30d}")

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # What people do

    @rule(wheels=st.sets(st.integers(0, 7), min_size=1, max_size=3), seen=st.booleans())
    def make_environment(self, wheels: set[int], seen: bool) -> None:
        before = self._planned()
        self.number += 1
        # Where the site gave its word, everybody is known.
        seen = seen or self.complete
        path = self.folder / ("home" if seen else "attic") / f"env{self.number}"
        packages = path / "lib" / "python3.11" / "site-packages"
        packages.mkdir(parents=True)
        (path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.9\n")
        for number in wheels:
            archive = self.archives[number % len(self.archives)]
            for file in archive.rglob("*"):
                if file.is_file():
                    here = packages / file.relative_to(archive)
                    here.parent.mkdir(parents=True, exist_ok=True)
                    if not os.path.lexists(here):
                        here.symlink_to(file)
        self.environments[path] = seen
        after = self._planned()
        assert after <= before, "more evidence removes more"
        if seen:
            assert not after & self._used_by(path)

    @precondition(lambda self: self.environments)
    @rule(chance=st.randoms(use_true_random=False))
    def remove_environment(self, chance: Any) -> None:
        path = chance.choice(sorted(self.environments))
        del self.environments[path]
        shutil.rmtree(path)

    @precondition(lambda self: any(self.environments.values()))
    @rule(chance=st.randoms(use_true_random=False))
    def move_environment(self, chance: Any) -> None:
        path = chance.choice(sorted(p for p, seen in self.environments.items() if seen))
        self.number += 1
        moved = self.folder / "home" / "deeper" / f"env{self.number}"
        moved.parent.mkdir(exist_ok=True)
        path.rename(moved)
        self.environments[moved] = self.environments.pop(path)

    @rule()
    def use_what_nobody_sees(self) -> None:
        for path, seen in self.environments.items():
            if not seen:
                assert dangling_links(path) == {}

    @rule()
    def unpack_a_wheel(self) -> None:
        age(self._write_wheel(), DAYS_AGO)

    @rule()
    def leave_a_build(self) -> None:
        self.number += 1
        build = self.cache / "builds-v0" / f".tmpBuild{self.number}"
        build.mkdir(parents=True)
        (build / "half").write_text("built")
        age(build, DAYS_AGO)

    @rule(number=st.integers(0, 7))
    def pin(self, number: int) -> None:
        before = self._planned()
        archive = self.archives[number % len(self.archives)]
        if not os.path.lexists(archive):
            # What is gone has no name to be pinned by; what is on trial has.
            return
        name = archive.name
        self.runner("pin", "add", self.policy, name, "--reason", "a test", code=DONE)
        after = self._planned()
        assert after <= before, "a pin removes more"
        assert not {path for path in after if path.endswith(f"/{name}")}

    # What the administrator does

    @rule()
    def plan_twice(self) -> None:
        first, second = (
            [{**row, "reason": _AGE.sub("AGE", row["reason"])} for row in self._plan()["removals"]]
            for _ in range(2)
        )
        assert first == second, [one for pair in zip(first, second, strict=False) for one in pair]

    @rule()
    def prune_and_again(self) -> None:
        planned = self._planned()
        done = self.runner("prune", self.policy, "--format", "json", code=DONE).json
        removed = {row["path"] for row in done["removals"]}
        # The last look may find a use that the plan could not know: then it says so.
        assert removed <= planned, (removed - planned, done)
        said = {row["path"] for row in done["dropped"]}
        assert planned - removed <= said, (planned - removed, done)
        before = self._facts()
        again = self.runner("prune", self.policy, "--format", "json", code=DONE).json
        # What was on trial and came back is used; nothing else differs.
        assert again["removals"] == []
        after = {path: one for path, one in self._facts().items() if path in before}
        assert after == before, _changed(before, after)

    @rule()
    def prune_and_restore(self) -> None:
        # What was used since comes back first, whoever asks.
        self.runner("prune", self.policy, code=DONE)
        self.leave_a_build()
        self.unpack_a_wheel()
        before = self._facts()
        done = self.runner("prune", self.policy, "--format", "json", code=DONE).json
        if done["run_id"] is None:
            return
        self.runner("runs", "restore", self.policy, done["run_id"], code=DONE)
        after = self._facts()
        assert after == before, (_changed(before, after), done)

    @rule(part=st.sampled_from(("state", "ledger", "decoys", "cacheadmin")))
    def lose(self, part: str) -> None:
        before = self._plan()
        trials = self.cache / "archive-v0" / "cacheadmin.trial"
        if part == "state":
            for file in self.state.glob("test.sqlite*"):
                file.unlink()
        elif part == "ledger":
            (trials / ".ledger.json").unlink(missing_ok=True)
        elif part == "decoys":
            for tripwire in (self.cache / "archive-v0").iterdir():
                if tripwire.is_symlink() and not os.listdir(trials / tripwire.name):
                    tripwire.unlink()
        elif part == "cacheadmin":
            for roots in self.cache.glob("*/cacheadmin"):
                shutil.rmtree(roots)
                if not os.listdir(roots.parent):
                    # A bucket that is empty was ours alone.
                    roots.parent.rmdir()
        more = [row for row in self._plan()["removals"] if row["path"] not in _paths(before)]
        # Who used it unseen stands in the ledger: what is forgotten goes on trial once more.
        forgotten = {row["path"] for row in before["kept"] if row["rule"] == "trial.sprung"}
        allowed = forgotten if part == "ledger" else set()
        assert {row["path"] for row in more} <= allowed, f"without {part} more is removed"
        assert all(row["rests_on"] == "absence" for row in more)

    @rule()
    def keep_a_backup(self) -> None:
        shutil.rmtree(self.backup, ignore_errors=True)
        if self.state.exists():
            shutil.copytree(self.state, self.backup)

    @precondition(lambda self: self.backup.exists())
    @rule()
    def get_the_state_back_as_it_was(self) -> None:
        before = self._planned()
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.backup, self.state)
        assert self._planned() <= before, "with an old state more is removed"

    @rule()
    def let_weeks_pass(self) -> None:
        """Everybody works in them; then trials are over."""
        self.use_what_nobody_sees()
        if (self.cache / "archive-v0" / "cacheadmin.trial" / ".ledger.json").exists():
            end_trials_now(self.cache)
        self.runner("prune", self.policy, code=DONE)
        for path in self.environments:
            assert dangling_links(path) == {}, "who works every week has lost something"

    @rule(remove=st.booleans())
    def protect(self, remove: bool) -> None:
        self.runner("protect", self.policy, *(["--remove"] if remove else []), code=DONE)

    @rule(now=st.booleans())
    def purge(self, now: bool) -> None:
        if now:
            # It ends trials: what is used meanwhile comes back.
            self.use_what_nobody_sees()
        done = self.runner("runs", "purge", self.policy, "--all", *(["--now"] if now else []))
        assert done.code in (DONE, NO_RUNS), done.stderr

    @rule(number=st.integers(0, 7))
    def evict(self, number: int) -> None:
        """Take out what no environment has."""
        archive = self.archives[number % len(self.archives)]
        self.use_what_nobody_sees()
        self.runner("evict", self.policy, archive.name.rstrip("x"))

    @rule(moves=st.integers(1, 6))
    def kill_a_prune(self, moves: int) -> None:
        left = moves

        def decide(call: Call) -> int | None:
            nonlocal left
            left -= call.name == "renameat2"
            return KILL if left <= 0 else None

        words = ["-q", "prune", str(self.policy)]
        supervised(lambda: run(words), [self.folder], decide)

    @precondition(lambda self: not self.complete)
    @rule(trial=st.sampled_from(("{for: 1d, at_least: 1h}", "{for: 30d}")))
    def change_the_policy(self, trial: str) -> None:
        self._write_policy(trial)

    @invariant()
    def no_link_leads_nowhere(self) -> None:
        # Of what is seen: looking at what is not would be a use.
        for path, seen in getattr(self, "environments", {}).items():
            if seen:
                assert dangling_links(path) == {}

    # What these are made of

    def _plan(self) -> Any:
        result = self.runner("plan", self.policy, "--format", "json")
        assert result.code in (DONE, LIMITED), result.stderr
        return result.json

    def _planned(self) -> set[str]:
        return _paths(self._plan())

    def _write_policy(self, trial: str) -> None:
        word = "complete: true, " if self.complete else ""
        self.policy = self.runner.policy(
            self.cache,
            f"venvs: {{{word}discover: [{{root: {self.folder / 'home'}}}]}}\n"
            f"hosts: {{only: this}}\nprune: {{builds: {{after: 0s}}, trial: {trial}}}\n"
            # Else a busy machine ends a run, as the manual says.
            "protect: {ahead: 0}\nlock: {held_at_most: 5m}\n",
            complete=False,
        )

    def _write_wheel(self) -> Path:
        self.number += 1
        name = f"wheel{self.number}"
        files = {f"{name}/__init__.py": b"x = 1\n", f"{name}/inner.py": b"y = 2\n"}
        archive = write_archive(self.cache, name, files)
        self.archives.append(archive)
        return archive

    def _used_by(self, path: Path) -> set[str]:
        found = set()
        for file in path.rglob("*"):
            if file.is_symlink():
                found.add(f"archive-v0/{os.readlink(file).partition('/archive-v0/')[2][:16]}")
        return found

    def _facts(self) -> dict[str, tuple[object, ...]]:
        """What the cache consists of, but for what is ours, and for times."""
        return {
            path: (*one[:5], one[6])
            for path, one in tree_snapshot(self.cache).items()
            if path != "." and not any(word in f"/{path}" for word in OURS) and path != ".lock"
        }


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what differs: without pytest an assertion says nothing of it."""
    paths = before.keys() | after.keys()
    return {
        path: (before.get(path), after.get(path))
        for path in sorted(paths)
        if before.get(path) != after.get(path)
    }


def _paths(plan: Any) -> set[str]:
    return {row["path"] for row in plan["removals"]}


class SiteWithItsWord(SiteOverTime):
    """The same where the site vouches that everybody is known: all goes to quarantine."""

    complete = True


SHORT = settings(
    max_examples=3,
    stateful_step_count=7,
    deadline=None,
    # Each step is a run of the program: to make a failing story shorter takes an hour.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
_LONG = settings(SHORT, max_examples=40, stateful_step_count=20)


@pytest.fixture
def site() -> Iterator[SiteOverTime]:
    """A site whose story is told by hand."""
    told = SiteOverTime()
    told.lay_out()
    yield told
    told.teardown()


def test_a_plan_lists_the_same_in_the_same_order(site: SiteOverTime) -> None:
    """Some archives are remembered then, and one is not."""
    site.plan_twice()
    site.unpack_a_wheel()
    site.plan_twice()


def test_a_forgotten_use_leads_to_another_trial_not_to_a_loss(site: SiteOverTime) -> None:
    site.make_environment({0, 1}, seen=False)
    site.prune_and_again()
    site.lose("decoys")
    site.use_what_nobody_sees()
    site.prune_and_again()
    site.lose("ledger")
    site.let_weeks_pass()


@pytest.mark.long
@pytest.mark.parametrize("machine", [SiteOverTime, SiteWithItsWord])
def test_a_site_is_safe_over_time(machine: type[SiteOverTime]) -> None:
    run_state_machine_as_test(machine, settings=SHORT)


@pytest.mark.long
@pytest.mark.parametrize("machine", [SiteOverTime, SiteWithItsWord])
def test_many_sites_are_safe_for_long(machine: type[SiteOverTime]) -> None:
    run_state_machine_as_test(machine, settings=_LONG)
