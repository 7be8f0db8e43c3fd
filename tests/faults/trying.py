"""Fail each call of a command in turn, and kill it there; say what was wrong after each."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cacheadmin.cli.app import run
from tests.faults.commands import Command
from tests.faults.errors import changes, errors_of
from tests.faults.small_site import BUILD, Kept, SmallSite
from tests.support.supervised import KILL, Call, Done, supervised, unsupervised

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNCLEAR = ("unexpected", "Traceback")


@dataclass
class Trial:
    """One command with one fault."""

    command: str
    call: Call
    fault: str
    wrong: list[str] = field(default_factory=list)
    met: bool = True
    """Whether the call was made; a command may go another way by a clock or by chance."""

    def __str__(self) -> str:
        return f"{self.command}: {self.fault} at {self.call}: {'; '.join(self.wrong)}"


@dataclass
class Faults:
    """A site with one command, and the state in which it begins."""

    site: SmallSite
    command: Command
    kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        self.command.prepare(self.site)
        self.kept = Kept(self.site.folder)

    def calls(self) -> list[Call]:
        """Return every call that the command makes on the site when nothing fails."""
        done = self._run(lambda _: None)
        assert done.code in self.command.codes, (done.code, done.stderr)
        return done.calls

    def faults(self, *, every_error: bool = False, alike: int = 0) -> list[tuple[Call, int]]:
        """Return what there is to try: a call, and its error or KILL.

        ``alike``: no more than so many of calls that only differ by which bucket, entry
        or run they are about; 0 for all.
        """
        found = list(self._faults(every_error=every_error))
        return _some_of_each(found, alike) if alike else found

    def try_all(
        self, *, sample: int = 1, first: int = 0, every_error: bool = False, alike: int = 0
    ) -> Iterator[Trial]:
        """Yield a trial of each ``sample``-th of ``faults``."""
        for call, fault in self.faults(every_error=every_error, alike=alike)[
            first % sample :: sample
        ]:
            yield self.attempt(call, fault)

    def attempt(self, call: Call, fault: int) -> Trial:
        """Let one call fail, or kill there; then see what is there, and what the next run does.

        Where nothing has changed on the disk, the next run is as any first one.
        """
        name = "kill -9" if fault == KILL else errno.errorcode[fault]
        trial = Trial(self.command.name, call, name)
        done = self._run(lambda one: fault if one.number == call.number else None)
        trial.met = len(done.calls) >= call.number
        if not trial.met:
            return trial
        untouched = fault != KILL and self.kept.is_there()
        # On a full disk what rests on proof is deleted where it lies (cacheadmin(8)).
        ending = self.command.ending | ({BUILD} if fault in _FULL else set())
        trial.wrong += self.site.wrong(ending)
        if fault != KILL:
            trial.wrong += self._misspoken(done)
        if not untouched:
            trial.wrong += self._next_run(ending)
        return trial

    def _faults(self, *, every_error: bool) -> Iterator[tuple[Call, int]]:
        turn = 0
        for call in self.calls():
            errors = errors_of(call)
            if every_error:
                yield from ((call, error) for error in errors)
            else:
                turn += 1
                yield call, errors[turn % len(errors)]
            if changes(call):
                yield call, KILL

    def _run(self, decide: Callable[[Call], int | None]) -> Done:
        self.kept.put_back()
        words = [word.replace("POLICY", self.site.policy) for word in self.command.words]
        work = self.command.work

        def do() -> int:
            return run(words) if work is None else work(self.site)

        return supervised(do, [self.site.folder], decide, once=True)

    def _misspoken(self, done: Done) -> list[str]:
        found = []
        if any(word in done.stderr for word in _UNCLEAR):
            found.append(f"unclear words: {done.stderr.strip()[-700:]}")
        allowed = (*self.command.codes, *self.command.failing)
        if done.code not in allowed:
            found.append(f"code {done.code}: {done.stderr.strip()[-300:]}")
        # What a table or a document says of it stands on stdout.
        if done.code not in self.command.codes and not (done.stderr + done.stdout).strip():
            found.append(f"code {done.code} without a word")
        return found

    def _next_run(self, ending: frozenset[str]) -> list[str]:
        done = unsupervised(lambda: run(["-q", "prune", self.site.policy]))
        found = [f"afterwards {one}" for one in self.site.wrong(ending)]
        if done.code != 0:
            found.append(f"the next prune leaves with {done.code}: {done.stderr.strip()[-300:]}")
        if "unexpected" in done.stderr:
            found.append(f"the next prune says: {done.stderr.strip()[-300:]}")
        found += [f"the next prune leaves {one}" for one in self.site.leftovers()]
        return found


def _some_of_each(faults: list[tuple[Call, int]], most: int) -> list[tuple[Call, int]]:
    seen: Counter[object] = Counter()
    chosen = []
    for call, fault in faults:
        kind = (call.name, tuple(_shape(path) for path in call.paths), fault == KILL)
        seen[kind] += 1
        # A kill leaves another state at each step: more of these.
        if seen[kind] <= (most * 4 if fault == KILL else most):
            chosen.append((call, fault))
    return chosen


def _shape(path: str) -> str:
    """Return a path without what tells one bucket, entry, root or run from another."""
    return re.sub(r"(-v)?[0-9][0-9A-Za-z-]*|root[0-9a-f-]+\S*|[.]new-\w+", "N", path)
