"""Every interleaving of a prune with another host that installs, runs and tells of itself.

A small world: one archive, the pointer that leads to it, a user on another
host, that host's observations, and a host that prunes. The user installs by the
pointer, or has an environment brought from elsewhere; another release's prune
deletes the pointer at some time; the observer may stand still, be blind, fall silent, or have
a clock that is ahead; a client of NFS sees access times late.

It is a model of ``hosts/observation.py``, ``evidence/sources/observed_hosts.py``,
``planner/gaps.py`` and the end of a trial in ``trial/trials.py``. Each rule can be taken
away, and then some order of steps breaks the user's program.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

RULES = (
    "a host that told nothing is a gap",
    "what a host told long ago is a gap",
    "a clock that is ahead is a gap",
    "a place where a host could not look is a gap",
    "only what nothing led to is proven by what a host told",
    "a host looks at the cache before it looks at environments",
    "a host where a uv is at work proves nothing",
    "what a host tells is as old as its look's beginning",
    "the link is taken away before the last look of a trial",
    "a trial's end looks again",
    "the last look waits for as long as times may be old",
)
(
    SILENT_IS_GAP,
    OLD_IS_GAP,
    AHEAD_IS_GAP,
    BLIND_IS_GAP,
    UNREFERENCED,
    CACHE_FIRST,
    NO_UV_AT_WORK,
    OLD_AS_ITS_BEGINNING,
    TAKES_AWAY,
    LOOKS_AGAIN,
    WAITS,
) = RULES

# In ticks: how old what a host told may be, and for how long times are seen late.
MAX_AGE = 1
LATE = 1
OLDEST = 3


class Told(NamedTuple):
    used: bool
    unreferenced: bool
    age: int = 0


class World(NamedTuple):
    ahead: bool
    """Whether the other host's clock is ahead."""
    blind: bool
    """Whether it can't look at the environment."""
    ticks: int = 4
    pointer: bool = True
    archive: str = "cache"
    """Where: ``cache``, ``quarantine``, ``trial``, ``away`` (its link is gone), ``deleted``."""
    knows: bool = False
    """Whether a uv has read the pointer and is about to link."""
    linked: int = -1
    """For how long an environment links to the archive; -1: none does."""
    arrived: bool = False
    """Whether that environment came from elsewhere."""
    sprung: int = -1
    """How long ago a lookup sprang the tripwire; -1: it is silent."""
    observer: str = "idle"
    notes: tuple[bool, ...] = ()
    noted: int = 0
    """How long ago the observer began."""
    told: Told | None = None
    pruner: str = "look"
    old: bool = False
    """Whether an environment that came from elsewhere was there for longer than hosts.max_age."""
    waited: int = 0

    @property
    def promised(self) -> bool:
        """Whether the program must go on: what came since a host told of itself nobody knows."""
        return self.linked >= 0 and (self.old or not self.arrived)


class Broken(AssertionError):
    """A program on the other host has lost its files."""


class Model:
    """The steps of all of them, but for the rule that is taken away."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def keeps(self, rule: str) -> bool:
        return rule != self.without

    def explore(self, *, ahead: bool, blind: bool) -> tuple[int, set[str]]:
        """Go through every order; return how many worlds there are, and where archives end."""
        first = World(ahead, blind)
        waiting, known, ends = [first], {first}, set()
        while waiting:
            world = waiting.pop()
            ends.add(world.archive)
            for after in self.steps(world):
                self.check(after)
                if after not in known:
                    known.add(after)
                    waiting.append(after)
        return len(known), ends

    @staticmethod
    def check(world: World) -> None:
        gone = world.archive in ("quarantine", "deleted")
        if not gone:
            return
        # Whoever looked while it was on trial must have been seen.
        if world.pruner == "ended" and world.sprung >= 0:
            raise Broken("it was used on trial, and is deleted")
        if world.pruner == "done" and world.promised:
            raise Broken("its links lead nowhere")

    def steps(self, world: World) -> Iterator[World]:
        if world.ticks:
            yield self.pass_time(world)
        if world.pointer:
            yield world._replace(pointer=False)
        yield from self.use(world)
        yield from self.observe(world)
        yield from self.prune(world)

    @staticmethod
    def pass_time(world: World) -> World:
        told = world.told
        return world._replace(
            ticks=world.ticks - 1,
            linked=world.linked if world.linked < 0 else min(world.linked + 1, OLDEST),
            sprung=world.sprung if world.sprung < 0 else min(world.sprung + 1, OLDEST),
            told=told and told._replace(age=min(told.age + 1, OLDEST)),
            waited=min(world.waited + 1, OLDEST),
            noted=min(world.noted + 1, OLDEST),
        )

    # The user

    @staticmethod
    def use(world: World) -> Iterator[World]:
        there = world.archive in ("cache", "trial")
        springs = world._replace(sprung=max(world.sprung, 0)) if world.archive == "trial" else world
        if world.linked < 0:
            if world.pointer and world.archive == "cache" and not world.knows:
                yield world._replace(knows=True)
            if world.knows:
                # A uv that finds no archive fetches it again, into another.
                linked = springs._replace(linked=0) if there else world
                yield linked._replace(knows=False)
            if there and not world.knows:
                yield springs._replace(linked=0, arrived=True)
        elif world.archive == "trial":
            yield springs

    # What its host tells

    def observe(self, world: World) -> Iterator[World]:
        """Look at the cache, then at environments, then tell; each is a step."""
        unreferenced = not world.pointer
        if world.knows and self.keeps(NO_UV_AT_WORK):
            unreferenced = False
        used = world.linked >= 0 and not world.blind
        first, second = (unreferenced,), (used,)
        if not self.keeps(CACHE_FIRST):
            first, second = second, first
        if world.observer == "idle":
            yield world._replace(observer="begun", notes=first, noted=0)
        elif world.observer == "begun":
            yield world._replace(observer="looked", notes=(*world.notes, *second))
        else:
            notes = world.notes if self.keeps(CACHE_FIRST) else world.notes[::-1]
            age = world.noted if self.keeps(OLD_AS_ITS_BEGINNING) else 0
            told = Told(used=notes[1], unreferenced=notes[0], age=age)
            yield world._replace(observer="idle", notes=(), told=told)

    # The prune

    def prune(self, world: World) -> Iterator[World]:
        if world.pruner == "look":
            yield from self.look(world)
        elif world.pruner in ("proof", "absence"):
            there = "quarantine" if world.pruner == "proof" else "trial"
            step = "trial" if there == "trial" else "done"
            yield world._replace(archive=there, pruner=step, sprung=-1)
        elif world.pruner == "trial":
            # The trial is over; who was silent up to now is looked at for the last time.
            if self.seems_silent(world):
                away = "away" if self.keeps(TAKES_AWAY) else world.archive
                yield world._replace(archive=away, pruner="wait", waited=0)
            elif world.sprung >= 0:
                yield world._replace(archive="cache", pruner="done")
        elif world.pruner == "wait":
            if world.waited > LATE or not self.keeps(WAITS):
                yield from self.end(world)
        elif world.pruner == "delete":
            yield world._replace(archive="deleted", pruner="ended")

    def look(self, world: World) -> Iterator[World]:
        told = world.told
        if world.pointer or (told is not None and told.used):
            return
        if told is None:
            gap, unreferenced = self.keeps(SILENT_IS_GAP), not self.keeps(SILENT_IS_GAP)
        else:
            old = told.age > MAX_AGE
            # By a clock that is ahead it is never old.
            gap = (world.ahead and self.keeps(AHEAD_IS_GAP)) or (
                old and not world.ahead and self.keeps(OLD_IS_GAP)
            )
            gap = gap or (world.blind and self.keeps(BLIND_IS_GAP))
            unreferenced = told.unreferenced or not self.keeps(UNREFERENCED)
        yield world._replace(
            pruner="absence" if gap or not unreferenced else "proof",
            old=world.arrived and world.linked > MAX_AGE,
        )

    @staticmethod
    def seems_silent(world: World) -> bool:
        """Whether the access time may be seen as it was planted: late news."""
        return world.sprung <= LATE

    def end(self, world: World) -> Iterator[World]:
        silent = world.sprung < 0 or (not self.keeps(WAITS) and self.seems_silent(world))
        if self.keeps(LOOKS_AGAIN) and not silent:
            yield world._replace(archive="cache", pruner="done")
        else:
            yield world._replace(pruner="delete")


WORLDS = [(ahead, blind) for ahead in (False, True) for blind in (False, True)]


@pytest.mark.parametrize(("ahead", "blind"), WORLDS)
def test_no_order_of_steps_breaks_a_program(ahead: bool, blind: bool) -> None:
    worlds, ends = Model().explore(ahead=ahead, blind=blind)
    assert worlds > 1000
    # Without gaps, what nobody uses does go at once.
    assert ("quarantine" in ends) is not (ahead or blind)
    assert "deleted" in ends


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str) -> None:
    with pytest.raises(Broken):
        for ahead, blind in WORLDS:
            Model(rule).explore(ahead=ahead, blind=blind)
