"""The commands that are tried: what comes before each, and how each may end."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from cacheadmin.cli import output
from cacheadmin.cli.app import run
from cacheadmin.errors import ExitCode
from tests.faults.small_site import BUILD, ENTRY, UNUSED, SmallSite, end_trials_now
from tests.support.supervised import KILL, supervised

#: What a command may leave with when the disk fails it, with words that say so.
_FAILING = (
    ExitCode.UNEXPECTED,
    ExitCode.BUSY,
    ExitCode.REFUSED,
    ExitCode.PARTIAL,
    ExitCode.NOT_FOUND,
    ExitCode.NOT_PERMITTED,
    ExitCode.POLICY_INVALID,
)


# A guard looks, plants and watches trials within so many seconds (at most).
_A_CYCLE = 8.0
_A_MOMENT = 0.5


@dataclass(frozen=True)
class Command:
    """One command line, and the state it begins in."""

    name: str
    words: tuple[str, ...]
    prepare: Callable[[SmallSite], None]
    codes: tuple[int, ...] = (0,)
    failing: tuple[int, ...] = tuple(map(int, _FAILING))
    ending: frozenset[str] = frozenset()
    """Entries that may be gone afterwards, whole: their trials are over, or they are purged."""

    work: Callable[[SmallSite], int] | None = None
    """What is done instead of the command line."""


def _nothing(_site: SmallSite) -> None:
    pass


def _quietly(site: SmallSite, *words: str) -> None:
    done = supervised(
        lambda: run(["-q", *words[:-1], words[-1], site.policy]), [site.folder], lambda _: None
    )
    assert done.code == 0, done.stderr


def _pruned(site: SmallSite) -> None:
    _quietly(site, "prune")


def _used_since(site: SmallSite) -> None:
    """A prune, then a use by somebody unseen, and new things that go."""
    _pruned(site)
    for link in (site.folder / "env").rglob("*.py"):
        os.stat(link)
    (site.cache / BUILD).parent.mkdir(exist_ok=True)


def _over(site: SmallSite) -> None:
    """A prune whose trials are over."""
    _pruned(site)
    end_trials_now(site.cache)


def _killed(site: SmallSite) -> None:
    """A prune that was killed amid its moves."""

    def at_the_second_move(call: object) -> int | None:
        nonlocal moves
        moves += getattr(call, "name", "") == "renameat2" and "Unused1" in str(call)
        return KILL if moves else None

    moves = 0
    done = supervised(lambda: run(["-q", "prune", site.policy]), [site.folder], at_the_second_move)
    assert done.code == -9, done


def _protected(site: SmallSite) -> None:
    _quietly(site, "protect")


def _guarded(site: SmallSite) -> None:
    """A site with roots and trials, whose roots somebody's prune has taken in part."""
    _used_since(site)
    _quietly(site, "protect")
    for bucket in ("sdists-v4", "sdists-v9", "git-v0"):
        shutil.rmtree(site.cache / bucket)


def _one_cycle(site: SmallSite) -> int:
    """Guard until it has given back what is missing, and for a moment more."""

    def say(line: str) -> None:
        print(line, file=sys.stderr)
        if "planted" in line:
            signal.setitimer(signal.ITIMER_REAL, _A_MOMENT)

    output.note = say
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, _A_CYCLE)
    return run(["guard", site.policy])


def commands() -> dict[str, Command]:
    """Return all of them by name."""
    found = (
        Command("prune", ("-q", "prune", "POLICY"), _nothing),
        Command("prune-after-use", ("-q", "prune", "POLICY"), _used_since),
        Command(
            "prune-ends-trials",
            ("-q", "prune", "POLICY"),
            _over,
            ending=frozenset({ENTRY, *UNUSED}),
        ),
        Command("recovery", ("-q", "prune", "POLICY"), _killed),
        Command("restore", ("-q", "runs", "restore", "POLICY"), _pruned),
        Command(
            "purge",
            ("-q", "runs", "purge", "POLICY", "--all"),
            _pruned,
            ending=frozenset({BUILD}),
        ),
        Command("protect", ("-q", "protect", "POLICY"), _nothing),
        Command("protect-remove", ("-q", "protect", "POLICY", "--remove"), _protected),
        Command("guard", (), _guarded, work=_one_cycle),
        Command("observe", ("-q", "observe", "POLICY"), _nothing),
    )
    return {one.name: one for one in found}
