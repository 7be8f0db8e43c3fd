"""Archives as numbers: how a reader says which ones an environment leads to.

A thousand environments lead to each archive. As text, each of them would bring an
id of its own into this process; as a number it is four bytes, and the id is the
one that the inventory has. Both sides know the same inventory: a reader is forked
with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import cached_property

from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.values import frozen

_NUMBERS = "I"


@frozen
class NumberedArchives:
    """A set of archives."""

    numbers: bytes
    """Places in the inventory, as 32-bit integers of this host."""
    others: tuple[ArchiveId, ...]
    """Ids of archives that the inventory has not: on trial, or gone."""


class ArchiveNumbers:
    """The numbers of one inventory's archives."""

    def __init__(self, archives: Iterable[ArchiveId]) -> None:
        self._ids = tuple(archives)

    @cached_property
    def _numbers(self) -> dict[ArchiveId, int]:
        return {one: number for number, one in enumerate(self._ids)}

    def numbered(self, archives: Iterable[ArchiveId]) -> NumberedArchives:
        """Return archives as numbers."""
        known, others = array(_NUMBERS), []
        for one in archives:
            number = self._numbers.get(one)
            if number is None:
                others.append(one)
            else:
                known.append(number)
        return NumberedArchives(known.tobytes(), tuple(others))

    def named(self, archives: NumberedArchives) -> frozenset[ArchiveId]:
        """Return them by their ids. Raises IndexError and ValueError for what are no numbers."""
        named = map(self._ids.__getitem__, array(_NUMBERS, archives.numbers))
        return frozenset(named).union(archives.others) if archives.others else frozenset(named)
