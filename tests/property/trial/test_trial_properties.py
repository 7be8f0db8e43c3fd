"""Generated histories of one cache: prunes, uses, backups, takings, days that pass, ends.

Whoever uses an archive at any moment finds it, as long as it was used at least
once a trial; what nobody used is gone after its trial, unless somebody walked
through the whole folder in the meantime. Days in which the machine was off or asleep,
and days by which its clock was set wrong, are no days of a trial.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.evidence.idleness import HostTime
from cacheadmin.trial.ledger import Trial
from cacheadmin.trial.trials import nobody_named
from cacheadmin.trial.tripwires import TripwireStanding
from cacheadmin.trial.verdicts import over
from tests.support.trial_sites import DAY_NS, RULES, TrialSite, add_archive, lay_out, opened_site

MINUTE_NS = 60 * 10**9
NAMES = tuple(f"archive-v0/Archive-number-{number}" for number in range(3))

OPERATIONS = st.one_of(
    st.tuples(st.just("prune"), st.sampled_from(NAMES)),
    st.tuples(st.just("use"), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(["walk", "watch", "run"]), st.just("")),
    st.tuples(st.just("take"), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(["days", "off", "asleep"]), st.integers(1, 20)),
    st.tuples(st.just("set_clock"), st.integers(-40, 400)),
)


@dataclass
class History:
    """One cache, the clock, and what a careful observer knows of its archives."""

    site: TrialSite
    clock_ns: int = field(default_factory=time.time_ns)
    here: HostTime = field(default_factory=lambda: HostTime("host", "boot", 0, 0))
    ran_ns: int = 0
    nights: int = 0
    put_ns: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    walked: bool = False

    def __post_init__(self) -> None:
        self.site.trials.here = lambda: self.here

    def at_home(self, entry: str) -> bool:
        path = self.site.path / entry
        return path.is_dir() if not path.is_symlink() else False

    def prune(self, entry: str) -> None:
        if self.at_home(entry):
            self.watch("")
            now_ns = self.site.trials.moment(self.clock_ns)
            begun = Trial(entry, "run", now_ns, now_ns + RULES.lasts_ns)
            assert self.site.trials.prepare([begun], now_ns) == {}
            self.site.trials.plant(entry)
            self.put_ns[entry] = self.counted_ns()
            self.used.discard(entry)

    def use(self, entry: str) -> None:
        if entry not in self.deleted:
            os.stat(self.site.folder / "env" / entry.replace("/", "-"))
            self.used.add(entry)

    def walk(self, _: str) -> None:
        for one in os.scandir(self.site.path / "archive-v0"):
            os.path.realpath(one.path)
        self.walked = True

    def watch(self, _: str) -> None:
        self.site.trials.mend()
        found = self.site.trials.watch(lambda: self.clock_ns, RULES, nobody_named)
        assert found.foreign == {}
        assert found.stuck == ()

    def run(self, _: str) -> None:
        """What a run does: watch, then end what is over."""
        self.watch("")
        trials = self.site.trials
        silent = [one.entry for one in trials.look() if one.standing is TripwireStanding.SILENT]
        now_ns = trials.moment(self.clock_ns)
        due = [trial.entry for trial in over(trials.ledger, silent, now_ns)]
        # Used since it went on trial: the first law.
        assert self.walked or not self.used.intersection(due)
        for entry in due:
            assert self.counted_ns() - self.put_ns[entry] >= RULES.lasts_ns - MINUTE_NS
        self.deleted.update(one.entry for one in trials.end(due, 0.0).deleted)

    def take(self, entry: str) -> None:
        """A user's prune without roots, with a guard that looks at once."""
        path = self.site.path / entry
        if path.is_symlink():
            path.unlink()
            self.watch("")
            assert self.at_home(entry)

    def counted_ns(self) -> int:
        """For how long the machine ran; of the time before a boot a day may count more."""
        return self.ran_ns + self.nights * DAY_NS

    def days(self, count: int) -> None:
        self._pass(count, ran=count)

    def asleep(self, count: int) -> None:
        self._pass(count, ran=0)

    def off(self, count: int) -> None:
        self.clock_ns += count * DAY_NS
        self.nights += 1
        self.here = HostTime("host", f"boot {self.nights}", 0, 0)

    def set_clock(self, count: int) -> None:
        self.clock_ns += count * DAY_NS

    def _pass(self, days: int, *, ran: int) -> None:
        self.clock_ns += days * DAY_NS
        self.ran_ns += ran * DAY_NS
        uptime_ns = self.here.uptime_ns + days * DAY_NS
        running_ns = self.here.running_ns + ran * DAY_NS
        self.here = replace(self.here, uptime_ns=uptime_ns, running_ns=running_ns)


@contextmanager
def fresh_history() -> Iterator[History]:
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-test-", dir=place))
    try:
        lay_out(folder)
        for number, entry in enumerate(NAMES):
            archive = add_archive(folder / "cache", entry, f"package{number}")
            (folder / "env" / entry.replace("/", "-")).symlink_to(archive / "marker")
            (archive / "marker").touch()
            # Unpacked on different days: none is another's kin.
            then = time.time_ns() - number * DAY_NS
            os.utime(archive, ns=(then, then))
        with opened_site(folder) as site:
            yield History(site)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(OPERATIONS, max_size=25))
def test_nobody_who_uses_it_loses_it_and_nothing_else_is_kept(operations: list) -> None:
    with fresh_history() as history:
        for name, argument in operations:
            getattr(history, name)(argument)
            for entry in NAMES:
                there = os.path.lexists(history.site.path / entry)
                assert there or entry in history.deleted
        # In the end: everybody left goes on trial, and nobody comes any more.
        history.watch("")
        for entry in NAMES:
            if entry not in history.deleted:
                history.prune(entry)
        history.days(31)
        history.run("")
        history.days(31)
        history.run("")
        history.days(60)
        history.run("")
        assert history.deleted == set(NAMES)
