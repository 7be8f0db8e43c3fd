"""Every interleaving of small worlds: removing beside uv processes at work breaks none.

A world has a few archives, a pointer in a bucket that is needed and one in a
bucket that is not, some uv processes with a handful of steps each, and three
prunes of ours, each of which may be killed between any two of its steps. All
orders of all steps are gone through, with the functions that the program uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from cacheadmin.evidence.facts import Evidence, Filesystem
from cacheadmin.inventory.entries import (
    Archive,
    ArchiveContent,
    ArchiveId,
    Bucket,
    CacheIdentity,
    EntryKind,
    Inventory,
    WheelPointer,
)
from cacheadmin.planner import grace
from cacheadmin.planner.grace import Mark, Period, UvAtWork, divide, marks, remaining
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.reasons import ARCHIVE_UNREFERENCED, BUCKET_UNNEEDED

NEEDED, OLD = "wheels-v6", "wheels-v1"
RUNS = 3
EVIDENCE = Evidence(0, Filesystem("ext4", "/", "/dev/x", (), False, None, False, False, None))


class Broken(AssertionError):
    """A uv command failed, or an environment lost what it links."""


@dataclass(frozen=True)
class Process:
    """A uv process: its script, how far it came, and the archive it knows."""

    name: str
    script: tuple[str, ...]
    done: int = 0
    knows: str = ""

    @property
    def at_work(self) -> bool:
        return 0 < self.done < len(self.script)


@dataclass(frozen=True)
class Ours:
    """A prune of ours: what it saw and means to do."""

    step: int = 0
    run: int = 0
    division: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    times: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class World:
    archives: frozenset[str]
    # (bucket, archive it points to); a bucket without is gone.
    pointers: tuple[tuple[str, str], ...]
    times: tuple[tuple[str, int], ...]
    processes: tuple[Process, ...]
    links: frozenset[str] = frozenset()
    ours: Ours = field(default_factory=Ours)
    # (working, ((path, identity, state), ...)) of each grace period.
    periods: tuple[tuple[frozenset[tuple[int, int]], tuple[tuple[str, str, str], ...]], ...] = ()

    def pointed_by(self, bucket: str) -> str:
        return dict(self.pointers).get(bucket, "")

    def working(self) -> frozenset[tuple[int, int]]:
        return frozenset((n, n) for n, one in enumerate(self.processes) if one.at_work)


# uv processes, a step at a time.


def unpack(name: str) -> Callable[[World, int], World]:
    def step(world: World, number: int) -> World:
        return knowing(replace(world, archives=world.archives | {name}), number, name)

    return step


def look(bucket: str) -> Callable[[World, int], World]:
    return lambda world, number: knowing(world, number, world.pointed_by(bucket))


def publish(world: World, number: int) -> World:
    """Write the pointer of the needed bucket, as an install or a revalidation does."""
    known = world.processes[number].knows
    if not known:
        return world
    pointers = dict(world.pointers) | {NEEDED: known}
    times = dict(world.times)
    times[NEEDED] += 1
    return replace(
        world, pointers=tuple(sorted(pointers.items())), times=tuple(sorted(times.items()))
    )


def link(world: World, number: int) -> World:
    known = world.processes[number].knows
    if not known:
        return world
    if known not in world.archives:
        raise Broken(f"{world.processes[number].name} found {known}, and it is gone")
    return replace(world, links=world.links | {known})


def knowing(world: World, number: int, archive: str) -> World:
    processes = list(world.processes)
    processes[number] = replace(processes[number], knows=archive)
    return replace(world, processes=tuple(processes))


def nothing(world: World, _number: int) -> World:
    return world


STEPS: dict[str, Callable[[World, int], World]] = {
    "start": nothing,
    "end": nothing,
    "look": look(NEEDED),
    "look in old": look(OLD),
    "unpack B": unpack("B"),
    "unpack C": unpack("C"),
    "publish": publish,
    "link": link,
}

READER = Process("reader", ("start", "look", "link", "end"))
REVALIDATES = Process("revalidates", ("start", "look", "publish", "end"))
INSTALLER = Process("installer", ("start", "unpack B", "publish", "link", "end"))
GIVES_UP = Process("gives up", ("start", "unpack C", "end"))
OLD_READER = Process("old reader", ("start", "look in old", "link", "end"))
OLD_PUBLISHER = Process("old publisher", ("start", "look in old", "publish", "end"))


# Our prune, a step at a time.


def inventory_of(world: World) -> Inventory:
    archives = {
        ArchiveId(name): Archive(
            ArchiveId(name), f"archive-v0/{name}", ArchiveContent.WHEEL, "six", "1", 0, 1, 1
        )
        for name in sorted(world.archives)
    }
    pointers = tuple(
        WheelPointer(
            f"{bucket}/pypi/six/1",
            bucket,
            "six",
            "1",
            frozenset({ArchiveId(archive)}),
            ArchiveId(archive),
            True,
            0,
            1,
        )
        for bucket, archive in world.pointers
        if archive
    )
    return Inventory(
        CacheIdentity("/cache", 1, 1),
        0,
        buckets=tuple(Bucket(bucket, "wheels", 1, True) for bucket, _ in world.pointers),
        archives=archives,
        wheel_pointers=pointers,
        watched={f"{bucket}/pypi/six": time for bucket, time in world.times},
    )


def removals_of(world: World) -> tuple[Decision, ...]:
    """Mark: the old bucket goes unless a release that has it runs; so do archives nobody needs."""
    old_runs = any(one.at_work and "look in old" in one.script for one in world.processes)
    found = []
    if OLD in dict(world.pointers) and not old_runs:
        found.append(Decision(EntryKind.BUCKET, OLD, None, None, BUCKET_UNNEEDED))
    pointing = {NEEDED} | ({OLD} if old_runs else set())
    alive = world.links | {world.pointed_by(bucket) for bucket in pointing}
    found += [
        Decision(EntryKind.ARCHIVE, f"archive-v0/{name}", "six", "1", ARCHIVE_UNREFERENCED)
        for name in sorted(world.archives - alive)
    ]
    return tuple(found)


def moment_of(world: World) -> UvAtWork:
    return UvAtWork("boot", "namespace", world.working())


def periods_of(world: World) -> list[Period]:
    return [
        Period(
            UvAtWork("boot", "namespace", working),
            {path: Mark(identity, state) for path, identity, state in rows},
        )
        for working, rows in world.periods
    ]


def plan(world: World) -> World:
    return replace(world, ours=replace(world.ours, division=_division(_at_rest(world))))


def _at_rest(world: World) -> World:
    """Leave out what our own decisions don't depend on, so that each is made once."""
    processes = tuple(
        replace(one, knows="", done=1 if one.at_work else 0) for one in world.processes
    )
    return replace(world, processes=processes, ours=Ours(times=world.ours.times))


@cache
def _division(world: World) -> tuple[tuple[str, ...], tuple[str, ...]]:
    division = divide(
        removals_of(world), inventory_of(world), EVIDENCE, periods_of(world), moment_of(world)
    )
    return tuple(d.path for d in division.now), tuple(d.path for d in division.later)


def look_again_and_move(world: World) -> World:
    """The look under way and the renames; what a newcomer needs is put back, so it stays."""
    dead = {decision.path for decision in removals_of(world)}
    for path in world.ours.division[0]:
        if path in dead:
            world = moved(world, path)
    return world


def moved(world: World, path: str) -> World:
    if path == OLD:
        pointers = tuple(pair for pair in world.pointers if pair[0] != OLD)
        times = tuple(pair for pair in world.times if pair[0] != OLD)
        return replace(world, pointers=pointers, times=times)
    name = path.removeprefix("archive-v0/")
    if name in world.links:
        raise Broken(f"{name} is linked, and was removed")
    return replace(world, archives=world.archives - {name})


def read_times(world: World) -> World:
    return replace(world, ours=replace(world.ours, times=world.times))


def begin_period(world: World) -> World:
    return replace(world, periods=_periods(_at_rest(world), frozenset(world.ours.division[1])))


@cache
def _periods(world: World, wanted: frozenset[str]) -> tuple:
    seen = inventory_of(replace(world, times=world.ours.times))
    deferred = [d for d in removals_of(world) if d.path in wanted]
    fresh = marks(deferred, seen, seen.watched, now_ns=None)
    kept, waiting = remaining(periods_of(world), moment_of(world), fresh)
    new = {path: mark for path, mark in fresh.items() if path not in waiting}
    periods = [*kept, Period(moment_of(world), new)] if new else [*kept]
    return tuple(
        (
            period.begun.working,
            tuple(sorted((path, m.identity, m.state) for path, m in period.marks.items())),
        )
        for period in periods
    )


OUR_STEPS: tuple[Callable[[World], World], ...] = (
    plan,
    look_again_and_move,
    read_times,
    begin_period,
)


def successors(world: World, runs: int) -> Iterator[World]:
    for number, process in enumerate(world.processes):
        if process.done < len(process.script):
            after = STEPS[process.script[process.done]](world, number)
            processes = list(after.processes)
            processes[number] = replace(processes[number], done=process.done + 1)
            yield replace(after, processes=tuple(processes))
    ours = world.ours
    if ours.run < runs:
        after = OUR_STEPS[ours.step](world)
        last = ours.step == len(OUR_STEPS) - 1
        following = Ours(0, ours.run + 1) if last else replace(after.ours, step=ours.step + 1)
        yield replace(after, ours=following)
        if ours.step:
            # Killed here: what was moved stays moved, what was to be written is not.
            yield replace(world, ours=Ours(0, ours.run + 1))


def explore(*processes: Process) -> set[World]:
    """Go through all interleavings; return the worlds in which everything has ended."""
    first = World(
        archives=frozenset({"A", "O"}),
        pointers=((OLD, "O"), (NEEDED, "A")),
        times=((OLD, 1), (NEEDED, 1)),
        processes=processes,
    )
    # Three at once make many worlds: two prunes of ours are enough there.
    return explore_from(first, runs=RUNS if len(processes) < 3 else 2)


def replaced_once() -> World:
    """A was found by one who will publish it again, and B has just taken its place.

    Somebody may read the pointer to A meanwhile, before C replaces it once more.
    """
    knower = Process("revalidates", ("start", "look", "publish", "end"), done=2, knows="A")
    second = Process("second installer", ("start", "unpack C", "publish", "end"))
    return World(
        archives=frozenset({"A", "B"}),
        pointers=((NEEDED, "B"),),
        times=((NEEDED, 2),),
        processes=(knower, READER, second),
    )


def explore_from(first: World, runs: int = 2) -> set[World]:
    """As ``explore``, from any beginning."""
    _division.cache_clear()
    _periods.cache_clear()
    seen = {first}
    waiting = [first]
    ends = set()
    while waiting:
        world = waiting.pop()
        further = list(successors(world, runs))
        if not further:
            ends.add(world)
        for one in further:
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return ends


CASTS = (
    (READER, INSTALLER),
    (READER, INSTALLER, GIVES_UP),
    (REVALIDATES, INSTALLER, READER),
    (OLD_READER, INSTALLER),
    (OLD_READER, OLD_PUBLISHER),
    (OLD_PUBLISHER, INSTALLER, READER),
)


@pytest.mark.parametrize("cast", CASTS, ids=lambda cast: ", ".join(one.name for one in cast))
def test_no_interleaving_breaks_anybody(cast: tuple[Process, ...]) -> None:
    ends = explore(*cast)
    # It is no use to be safe by removing nothing.
    assert any("O" not in world.archives for world in ends)
    if INSTALLER in cast:
        assert any("A" not in world.archives for world in ends)


def test_what_was_published_again_and_read_is_not_removed() -> None:
    ends = explore_from(replaced_once())
    assert any("A" not in world.archives for world in ends)


def test_without_waiting_somebody_would_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Period, "is_over", lambda *_: True)
    with pytest.raises(Broken):
        explore(READER, INSTALLER)


def test_without_comparing_the_folders_somebody_would_be_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grace, "_state", lambda *_: "always the same")
    with pytest.raises(Broken):
        explore_from(replaced_once())


def test_with_pointers_that_go_in_the_same_run_somebody_would_be_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grace, "_published", lambda *_: frozenset())
    monkeypatch.setattr(grace, "_ripe", lambda _periods, _now, dead: frozenset(dead))
    with pytest.raises(Broken):
        explore(OLD_READER, INSTALLER)


def test_a_time_that_could_hide_a_second_change_never_equals() -> None:
    world = World(
        archives=frozenset({"A"}),
        pointers=((NEEDED, ""),),
        times=((NEEDED, 1000),),
        processes=(),
    )
    inventory = inventory_of(world)
    (decision,) = removals_of(world)
    young = marks([decision], inventory, inventory.watched, now_ns=1010, grain_ns=20)
    assert young[decision.path].state == grace.UNSURE
    moment = UvAtWork("boot", "namespace", frozenset())
    period = Period(moment, young)
    assert divide([decision], inventory, EVIDENCE, [period], moment).now == ()
    old = marks([decision], inventory, inventory.watched, now_ns=2000, grain_ns=20)
    period = Period(moment, old)
    assert divide([decision], inventory, EVIDENCE, [period], moment).now == (decision,)
    # Of another pid namespace nothing is known; after a reboot all have ended.
    elsewhere = replace(moment, namespace="another")
    assert divide([decision], inventory, EVIDENCE, [period], elsewhere).now == ()
    rebooted = replace(moment, boot="another", namespace="another")
    assert divide([decision], inventory, EVIDENCE, [period], rebooted).now == (decision,)
