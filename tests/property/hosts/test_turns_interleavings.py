"""Every interleaving of two hosts that take turns on a cache, with pauses, crashes and old news.

A small world: two hosts that prune, one entry that goes to quarantine and one
that goes on trial, a folder with leases (``cacheadmin.hosts.leases``). A host may
stand still between any two of its steps, or die there; a client of NFS may see
a time, or a folder, as it was a moment ago; a host's own clock is wrong. In some
worlds somebody sets the clock of the filesystem.

It is a model: steps are those of ``hosts/leases.py``, ``hosts/turns.py``,
``prune/transaction.py`` and ``prune/recovery.py``. Each rule of the protocol can be
taken away, and then some order of steps breaks what it promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

RULES = (
    "a lease is made, never replaced",
    "who made one looks for a higher one",
    "the highest lease stays when it is given back",
    "age is told by the clock of the filesystem",
    "a holder trusts a renewal for less than a lease lasts",
    "the lease is looked at before each move",
    "recovery removes the folder it has emptied",
    "recovery discards links that were prepared",
    "what was rolled back is not committed any more",
)
(
    EXCLUSIVE,
    LOOKS_AGAIN,
    HIGHEST_STAYS,
    ITS_CLOCK,
    TRUST,
    LOOKS_FIRST,
    CLOSES_WAY,
    DISCARDS,
    STICKY,
) = RULES

# In ticks. What is seen may be one tick old; a host's own clock is three ahead.
LASTS = 2
TRUSTED = 1
OLD_NEWS = 1
CLOCK_AHEAD = 3
OLDEST = 4

# Steps of one turn.
READ, MAKE, LOOK, PUT_BACK, CLOSE, BEGIN, CHECK_1, MOVE, CHECK_2, PLANT, CHECK_3, COMMIT = range(12)
GIVE_BACK, OVER, DEAD = range(12, 15)


class Lease(NamedTuple):
    number: int
    holder: int
    age: int
    born: int
    given_back: bool


class Host(NamedTuple):
    step: int
    turns: int
    number: int = 0
    seen: int = 0
    asked: int = 0
    """Ticks since its last renewal, by its own kernel."""
    ends: int = 0
    """The run of the other host that it found not committed; 0: none."""


class Run(NamedTuple):
    serial: int = 0
    state: str = ""
    """What its journal says."""
    folder: bool = False
    link: bool = False
    took: bool = False
    """Whether it moved the entry that goes to quarantine."""


class World(NamedTuple):
    hosts: tuple[Host, ...]
    leases: tuple[Lease, ...]
    runs: tuple[Run, ...]
    entry: str = "cache"
    """Where the entry is that goes to quarantine: ``cache``, or the run of a host."""
    tried: str = "cache"
    """Where the other one is: ``cache``, or on trial by the run of a host."""
    ticks: int = 3
    crashes: int = 1
    jumps: int = 0

    @property
    def highest(self) -> Lease | None:
        return max(self.leases, default=None)


class Broken(AssertionError):
    """The protocol did not keep what it promises."""


def start(*, jumps: int) -> World:
    return World(
        (Host(READ, 2), Host(READ, 1)),
        (Lease(1, 0, OLDEST, OLDEST, given_back=True),),
        (Run(), Run()),
        jumps=jumps,
        crashes=0 if jumps else 1,
        ticks=1 if jumps else 3,
    )


class Model:
    """The steps of the protocol, but for the rules that are taken away."""

    def __init__(self, without: str = "", *, jumps: int = 0) -> None:
        self.without = without
        self.jumps = jumps

    def keeps(self, rule: str) -> bool:
        return rule != self.without

    def explore(self) -> int:
        """Go through every order of steps; return how many worlds there are. Raises Broken."""
        first = start(jumps=self.jumps)
        waiting, known = [first], {first}
        while waiting:
            for after in self.steps(waiting.pop()):
                if after not in known:
                    known.add(after)
                    waiting.append(after)
        return len(known)

    # What may happen next

    def steps(self, world: World) -> Iterator[World]:
        if all(host.step in (OVER, DEAD) for host in world.hosts):
            self.end(world)
            return
        if world.ticks:
            yield self.pass_time(world)
        if world.jumps:
            leases = tuple(one._replace(age=OLDEST) for one in world.leases)
            yield world._replace(leases=leases, jumps=world.jumps - 1)
        for me, host in enumerate(world.hosts):
            if host.step in (OVER, DEAD):
                continue
            if world.crashes and host.step > LOOK:
                yield self.moved(world._replace(crashes=world.crashes - 1), me, step=DEAD)
            if LOOK < host.step < GIVE_BACK and host.asked:
                yield from self.renew(world, me)
            yield from self.step(world, me, host)

    def step(self, world: World, me: int, host: Host) -> Iterator[World]:
        if host.step == READ:
            yield from self.read(world, me, host)
        elif host.step == MAKE:
            yield self.make(world, me, host)
        elif host.step == LOOK:
            yield self.look(world, me, host)
        elif host.step in (CHECK_1, CHECK_2, CHECK_3):
            yield from self.check(world, me, host)
        elif host.step == GIVE_BACK:
            yield self.give_back(world, me, host)
        else:
            yield self.work(world, me, host)

    @staticmethod
    def pass_time(world: World) -> World:
        leases = tuple(
            one._replace(age=min(one.age + 1, OLDEST), born=min(one.born + 1, OLDEST))
            for one in world.leases
        )
        hosts = tuple(one._replace(asked=min(one.asked + 1, OLDEST)) for one in world.hosts)
        return world._replace(leases=leases, hosts=hosts, ticks=world.ticks - 1)

    # The lease

    def read(self, world: World, me: int, host: Host) -> Iterator[World]:
        highest = world.highest
        ages = (0, 0) if highest is None else (highest.age, highest.age + OLD_NEWS)
        ahead = 0 if self.keeps(ITS_CLOCK) else CLOCK_AHEAD
        if highest is None or highest.given_back or max(ages) + ahead > LASTS:
            seen = 0 if highest is None else highest.number
            yield self.moved(world, me, step=MAKE, seen=seen)

    def make(self, world: World, me: int, host: Host) -> World:
        number = host.seen + 1
        there = [one for one in world.leases if one.number == number]
        if there and self.keeps(EXCLUSIVE):
            return self.moved(world, me, step=READ)
        others = tuple(one for one in world.leases if one.number != number)
        leases = tuple(sorted((*others, Lease(number, me, 0, 0, given_back=False))))
        return self.moved(
            world._replace(leases=leases), me, step=LOOK, number=number, asked=0, ends=0
        )

    def look(self, world: World, me: int, host: Host) -> World:
        highest = world.highest
        if self.keeps(LOOKS_AGAIN) and (highest is None or highest.number != host.number):
            leases = tuple(one for one in world.leases if one.number != host.number)
            return self.moved(world._replace(leases=leases), me, step=READ)
        leases = tuple(one for one in world.leases if one.number >= host.number)
        return self.moved(world._replace(leases=leases), me, step=PUT_BACK)

    def renew(self, world: World, me: int) -> Iterator[World]:
        host = world.hosts[me]
        if self.keeps(TRUST) and host.asked > TRUSTED:
            return
        leases = tuple(
            one._replace(age=0) if (one.number, one.holder) == (host.number, me) else one
            for one in world.leases
        )
        yield self.moved(world._replace(leases=leases), me, asked=0)

    def check(self, world: World, me: int, host: Host) -> Iterator[World]:
        """Ask the fence: the answer of the disk may be that of a moment ago."""
        on = self.moved(world, me, step=host.step + 1)
        lost = self.moved(world, me, step=GIVE_BACK)
        trusted = host.asked <= TRUSTED
        if self.keeps(TRUST) and not trusted:
            yield lost
            return
        if not self.keeps(LOOKS_FIRST):
            yield on
            return
        mine = [o for o in world.leases if (o.number, o.holder) == (host.number, me)]
        above = [one for one in world.leases if one.number > host.number]
        if mine and not above:
            yield on
            return
        if not self.jumps and trusted:
            raise Broken("a host that renewed its lease in time has lost it")
        yield lost
        if not self.jumps and all(one.born <= OLD_NEWS for one in above):
            yield on

    def give_back(self, world: World, me: int, host: Host) -> World:
        leases = tuple(
            one._replace(given_back=True) if (one.number, one.holder) == (host.number, me) else one
            for one in world.leases
            if self.keeps(HIGHEST_STAYS) or (one.number, one.holder) != (host.number, me)
        )
        step = READ if host.turns > 1 else OVER
        turns = host.turns - 1
        return self.moved(world._replace(leases=leases), me, step=step, turns=turns, number=0)

    # The work

    def work(self, world: World, me: int, host: Host) -> World:
        """Take one step that changes the cache, or a run."""
        after = self.changed(world, me, host.step)
        taken = {"entry", "tried"} if host.step in (MOVE, PLANT) else ()
        if any(getattr(after, name) != getattr(world, name) for name in taken):
            other = world.hosts[1 - me]
            highest = world.highest
            its_turn = highest is not None and highest.holder == 1 - me and not highest.given_back
            if its_turn and BEGIN <= other.step <= COMMIT:
                raise Broken("two hosts change the cache at once")
        follows = host.step + 1
        other_run = after.runs[1 - me]
        if host.step == CLOSE and host.ends == other_run.serial and self.holds(after, 1 - me):
            # Something came in at the last moment: once more.
            follows = PUT_BACK
        return self.moved(after, me, step=follows)

    def changed(self, world: World, me: int, step: int) -> World:
        mine = f"run {me}"
        other, own = world.runs[1 - me], world.runs[me]
        if step == BEGIN:
            # A run of its own that it had lost is put back before the next.
            world = self.back(world, mine) if own.state == "moving" else world
            return self.ran(world, me, Run(own.serial + 1, "moving", folder=True, link=True))
        if step in (PUT_BACK, CLOSE):
            return self.recovered(world, me, other)
        if step == MOVE and world.entry == "cache" and own.folder:
            return self.ran(world, me, own._replace(took=True))._replace(entry=mine)
        if step == PLANT and world.tried == "cache" and own.link:
            return self.ran(world, me, own._replace(link=False))._replace(tried=mine)
        if step == COMMIT and (own.state == "moving" or not self.keeps(STICKY)):
            return self.ran(world, me, own._replace(state="committed"))
        return world

    def recovered(self, world: World, me: int, other: Run) -> World:
        if world.hosts[me].step == PUT_BACK:
            if not world.hosts[me].ends and other.state == "moving":
                world = self.moved(world, me, ends=other.serial)
            same = world.hosts[me].ends == other.serial
            return self.back(world, f"run {1 - me}") if same else world
        if world.hosts[me].ends != other.serial or f"run {1 - me}" in (world.entry, world.tried):
            return world
        folder = other.folder and not self.keeps(CLOSES_WAY)
        link = other.link and not self.keeps(DISCARDS)
        return self.ran(
            world, 1 - me, other._replace(state="rolled back", folder=folder, link=link)
        )

    @staticmethod
    def holds(world: World, me: int) -> bool:
        return f"run {me}" in (world.entry, world.tried)

    @staticmethod
    def back(world: World, run: str) -> World:
        entry = "cache" if world.entry == run else world.entry
        tried = "cache" if world.tried == run else world.tried
        return world._replace(entry=entry, tried=tried)

    @staticmethod
    def ran(world: World, me: int, run: Run) -> World:
        return world._replace(runs=(run, world.runs[1]) if me == 0 else (world.runs[0], run))

    @staticmethod
    def moved(world: World, me: int, **changes: int) -> World:
        hosts = list(world.hosts)
        hosts[me] = hosts[me]._replace(**changes)
        return world._replace(hosts=tuple(hosts))

    @staticmethod
    def end(world: World) -> None:
        """Nobody is at work any more: the next run puts back what is `moving`, and no more."""
        for me, run in enumerate(world.runs):
            holds = world.entry == f"run {me}"
            if run.state == "rolled back" and holds:
                raise Broken("an entry lies in a run that counts as put back")
            # Who died between putting back and writing so left nothing but a word.
            died = any(host.step == DEAD and host.ends for host in world.hosts)
            if run.state == "committed" and run.took and not (holds or died):
                raise Broken("a run counts as committed, and was put back")


def test_no_order_of_steps_breaks_anything() -> None:
    assert Model().explore() > 1000
    assert Model(jumps=1).explore() > 1000


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str) -> None:
    with pytest.raises(Broken):
        for jumps in (0, 1):
            Model(rule, jumps=jumps).explore()
