"""Which writes a power cut leaves: what was flushed, and of the rest any part.

A disk may keep what it was sent since its last flush in memory, and write it in any
order. So besides the cut at each flush there are cuts between two: some of the writes
since are there, in whole or up to some sector, and the others are not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.power_cuts.recorded_disk import SECTOR, Entry


@dataclass(frozen=True)
class Cut:
    """One power cut."""

    flushed: int
    """So many entries of the log are there for sure."""

    pending: tuple[Entry, ...]
    """What else is there, of the entries after those."""

    words: str

    def __str__(self) -> str:
        return self.words


def all_cuts(log: Sequence[Entry], begin: int, between: int, seed: int) -> Iterator[Cut]:
    """Yield the cut at each flush since ``begin``, and ``between`` ones before the next."""
    chance = random.Random(seed)
    flushed = begin
    pending: list[Entry] = []
    for number in range(begin, len(log)):
        entry = log[number]
        if entry.flushes and pending:
            yield from _between(flushed, pending, between, chance)
            yield Cut(number + 1, (), f"at flush {number}")
        if entry.flushes:
            flushed, pending = number + 1, []
        if entry.content:
            pending.append(entry)
    if pending:
        # The command has ended, and nothing of this was waited for.
        yield from _between(flushed, pending, between, chance)


def _between(
    flushed: int, pending: Sequence[Entry], number: int, chance: random.Random
) -> Iterator[Cut]:
    for _ in range(number):
        share = chance.choice((0.2, 0.5, 0.8))
        kept = [one for one in pending if chance.random() < share]
        if kept and chance.random() < 0.5:
            place = chance.randrange(len(kept))
            kept[place] = _torn(kept[place], chance)
        # Writes to one place keep their order: who writes again has waited for the first.
        words = f"with {len(kept)} of {len(pending)} writes after entry {flushed}"
        yield Cut(flushed, tuple(kept), words)


def _torn(entry: Entry, chance: random.Random) -> Entry:
    sectors = len(entry.content) // SECTOR
    length = chance.randrange(sectors) * SECTOR
    return Entry(entry.offset, entry.content[:length], entry.flushes, entry.lasts)
