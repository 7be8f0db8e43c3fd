"""How many bytes come back when something goes. Pure: what was seen is handed in.

Three things keep a removal from giving back what ``du`` says:

- *hardlinks*: an inode frees its blocks when its last name goes. It counts
  once, and only for what holds all its names;
- *clones*: an extent that another file shares stays with that file. It counts
  only when every file that was found on it goes, and there were at least two:
  where one alone was found, the other is one that no user has looked at;
- *sparse and compressed files*: blocks count, not lengths.

So the bytes of several entries are not the sum of their bytes: two entries
may free together what neither frees alone, and an inode with a name in both
is one inode. Whatever is counted belongs to a *group* (an entry of a plan, a
package); :class:`Measured` holds each group's size by itself, and says what
any set of groups comes to when it goes together.

btrfs reports the blocks of compressed files as if they were not compressed
(``st_blocks`` and FIEMAP both): bytes are then an upper bound.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cacheadmin.values import frozen

G = TypeVar("G", bound=Hashable)
H = TypeVar("H", bound=Hashable)

Ranges = Sequence[tuple[int, int]]

# Device, inode, links, names seen, logical, allocated and own bytes, shared extents.
_LINKED_NUMBERS = 8

# One extent in so many groups is a user's trick, or a filesystem's own
# deduplication; it then counts as staying.
_MAX_GROUPS = 64


@frozen
class Size:
    """How large something is."""

    logical_bytes: int
    """Length of its files, in bytes."""
    allocated_bytes: int
    """Bytes that its files and folders take on the disk, inodes where they are charged."""
    reclaimable_bytes: int
    """Bytes that come back when all of it is removed, and nothing else."""
    files: int
    """How many inodes it has: files, links and folders."""


@frozen
class PackedTally:
    """A tally as numbers in a row, to be sent from one process to another."""

    sums: tuple[int, int, int, int]
    """Logical, allocated and own bytes, and files."""
    linked: bytes
    """Eight numbers of 64 bits for each inode with several names."""
    shared: bytes
    """Pairs of such numbers: shared extents, of these inodes first, then of all others."""


@dataclass(slots=True)
class _Linked:
    """An inode of ``links`` names, ``seen`` of them here. ``shared`` are its shared extents."""

    links: int
    seen: int
    logical: int
    allocated: int
    own: int
    shared: Ranges


class Tally:
    """Adds up the inodes of one group."""

    __slots__ = ("allocated", "files", "linked", "logical", "own", "shared")

    def __init__(self) -> None:
        self.logical = 0
        self.allocated = 0
        self.own = 0
        self.files = 0
        self.linked: dict[tuple[int, int], _Linked] = {}
        self.shared: list[tuple[int, int]] = []

    def add(
        self, logical: int, allocated: int, shared: Ranges = (), own: int | None = None
    ) -> None:
        """Add an inode with one name, or a folder.

        ``own`` are the bytes on which it is alone, without ``shared``; all by default.
        """
        self.files += 1
        self.logical += logical
        self.allocated += allocated
        self.own += allocated if own is None else own
        self.shared += shared

    def knows(self, identity: tuple[int, int]) -> bool:
        """Count one more name of an inode; False when it was not added yet."""
        known = self.linked.get(identity)
        if known is None:
            return False
        known.seen += 1
        return True

    def add_linked(
        self,
        identity: tuple[int, int],
        links: int,
        logical: int,
        allocated: int,
        shared: Ranges = (),
        own: int | None = None,
    ) -> None:
        """Add the first name of an inode that has ``links`` of them."""
        own = allocated if own is None else own
        self.files += 1
        self.logical += logical
        self.allocated += allocated
        self.linked[identity] = _Linked(links, 1, logical, allocated, own, shared)

    def add_size(self, size: Size) -> None:
        """Add what was measured before and shares nothing with anything."""
        self.files += size.files
        self.logical += size.logical_bytes
        self.allocated += size.allocated_bytes
        self.own += size.reclaimable_bytes

    def packed(self) -> PackedTally:
        """Return it in a form that can be sent."""
        linked, shared = array("Q"), array("Q")
        for (device, number), inode in self.linked.items():
            linked.extend((device, number, inode.links, inode.seen))
            linked.extend((inode.logical, inode.allocated, inode.own, len(inode.shared)))
            shared.extend(edge for extent in inode.shared for edge in extent)
        shared.extend(edge for extent in self.shared for edge in extent)
        sums = (self.logical, self.allocated, self.own, self.files)
        return PackedTally(sums, linked.tobytes(), shared.tobytes())

    @classmethod
    def unpacked(cls, sent: PackedTally) -> Tally:
        """Return what was packed. Raises ValueError for bytes that are no tally."""
        numbers, edges = array("Q"), array("Q")
        numbers.frombytes(sent.linked)
        edges.frombytes(sent.shared)
        if len(numbers) % _LINKED_NUMBERS or len(edges) % 2:
            raise ValueError("no tally")
        extents = list(zip(edges[::2], edges[1::2], strict=True))
        tally = cls()
        tally.logical, tally.allocated, tally.own, tally.files = sent.sums
        first = 0
        for start in range(0, len(numbers), _LINKED_NUMBERS):
            device, number, links, seen, logical, allocated, own, count = numbers[
                start : start + _LINKED_NUMBERS
            ]
            shared = extents[first : first + count]
            first += count
            tally.linked[device, number] = _Linked(links, seen, logical, allocated, own, shared)
        tally.shared = extents[first:]
        return tally

    def merge(self, other: Tally) -> None:
        """Add all that another tally of the same group holds."""
        self.files += other.files
        self.logical += other.logical
        self.allocated += other.allocated
        self.own += other.own
        self.shared += other.shared
        for identity, theirs in other.linked.items():
            ours = self.linked.get(identity)
            if ours is None:
                self.linked[identity] = theirs
                continue
            ours.seen += theirs.seen
            self.files -= 1
            self.logical -= theirs.logical
            self.allocated -= theirs.allocated

    def alone(self) -> Size:
        """Return the size of what stands alone."""
        return Size(self.logical, self.allocated, self.own, self.files)

    @property
    def extents(self) -> Ranges:
        """The extents that its files share with any others."""
        return [*self.shared, *(one for inode in self.linked.values() for one in inode.shared)]

    @property
    def stands_alone(self) -> bool:
        """Whether nothing in it has another name or shares an extent."""
        return not self.linked and not self.shared and self.own == self.allocated


@dataclass(slots=True)
class Common:
    """What groups have in common: counted in each, and freed when all of them go."""

    logical: int = 0
    """Length of the inodes that have names in all of these groups, in bytes."""
    allocated: int = 0
    """Bytes that these inodes take on the disk."""
    files: int = 0
    """How many inodes these are."""
    reclaimable: int = 0
    """Bytes that come back only when all these groups are removed."""
    freed_allocated: int = 0
    """Allocated bytes of those inodes that have no name elsewhere."""
    freed_files: int = 0
    """How many of these inodes there are."""


@frozen
class Measured(Mapping[G, Size], Generic[G]):
    """The size of each group by itself, and what groups have in common."""

    sizes: Mapping[G, Size]
    """The size of each group; its ``reclaimable_bytes`` if that group alone is removed."""
    common: Mapping[frozenset[G], Common] = field(default_factory=dict)
    """What each set of groups has in common; empty where groups share nothing."""

    def __getitem__(self, group: G) -> Size:
        return self.sizes[group]

    def __iter__(self) -> Iterator[G]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def together(self, groups: Iterable[G]) -> Size:
        """Return the size of a set of groups: what it frees when all of it goes.

        Groups that were not measured count as nothing.
        """
        chosen = {group for group in groups if group in self.sizes}
        logical = sum(self.sizes[group].logical_bytes for group in chosen)
        allocated = sum(self.sizes[group].allocated_bytes for group in chosen)
        reclaimable = sum(self.sizes[group].reclaimable_bytes for group in chosen)
        files = sum(self.sizes[group].files for group in chosen)
        for holders, common in self.common.items():
            again = len(holders & chosen) - 1
            if again > 0:
                logical -= again * common.logical
                allocated -= again * common.allocated
                files -= again * common.files
            if holders <= chosen:
                reclaimable += common.reclaimable
        return Size(logical, allocated, reclaimable, files)

    def renamed(self, name_of: Callable[[G], H]) -> Measured[H]:
        """Return the same by other names, a different one for each group."""
        common = {frozenset(map(name_of, one)): shared for one, shared in self.common.items()}
        return Measured({name_of(group): size for group, size in self.sizes.items()}, common)

    def regrouped(self, group_of: Callable[[G], H]) -> Measured[H]:
        """Return the same in larger groups: as if they had been measured as such."""
        target = {group: group_of(group) for group in self.sizes}
        numbers: dict[H, list[int]] = {}
        for group, size in self.sizes.items():
            sums = numbers.setdefault(target[group], [0, 0, 0, 0])
            sums[0] += size.logical_bytes
            sums[1] += size.allocated_bytes
            sums[2] += size.reclaimable_bytes
            sums[3] += size.files
        common: dict[frozenset[H], Common] = {}
        for holders, shared in self.common.items():
            counts = Counter(target[group] for group in holders)
            for larger, count in counts.items():
                numbers[larger][0] -= (count - 1) * shared.logical
                numbers[larger][1] -= (count - 1) * shared.allocated
                numbers[larger][3] -= (count - 1) * shared.files
            if len(counts) == 1:
                numbers[next(iter(counts))][2] += shared.reclaimable
                continue
            still = common.setdefault(frozenset(counts), Common())
            still.logical += shared.logical
            still.allocated += shared.allocated
            still.files += shared.files
            still.reclaimable += shared.reclaimable
            still.freed_allocated += shared.freed_allocated
            still.freed_files += shared.freed_files
        return Measured({group: Size(*sums) for group, sums in numbers.items()}, common)


class Accounting(Generic[G]):
    """The tallies of all groups, and what they amount to."""

    def __init__(self) -> None:
        self.tallies: dict[G, Tally] = {}

    def add(self, group: G, tally: Tally) -> None:
        """Add a tally to a group; groups may be added to again and again."""
        known = self.tallies.get(group)
        if known is None:
            self.tallies[group] = tally
        else:
            known.merge(tally)

    def shares_among_itself(self) -> bool:
        """Whether an extent has two users here, so that it matters if there is another."""
        return next(_shared_within(self._extents()[0]), None) is not None

    def finish(self, held: Ranges = ()) -> Measured[G]:
        """Return the sizes; ``held`` are extents that files elsewhere are known to share."""
        own = {group: tally.own for group, tally in self.tallies.items()}
        common: dict[frozenset[G], Common] = {}
        for holders, inode, complete in self._linked():
            if len(holders) > 1:
                shared = common.setdefault(holders, Common())
                shared.logical += inode.logical
                shared.allocated += inode.allocated
                shared.files += 1
                if complete:
                    shared.reclaimable += inode.own
                    shared.freed_allocated += inode.allocated
                    shared.freed_files += 1
            elif complete:
                own[next(iter(holders))] += inode.own
        users, partly = self._extents()
        users += [(start, end, None) for start, end in (*held, *partly)]
        for holders, length in _shared_within(users):
            if len(holders) > 1:
                common.setdefault(holders, Common()).reclaimable += length
            else:
                own[next(iter(holders))] += length
        sizes = {
            group: Size(tally.logical, tally.allocated, own[group], tally.files)
            for group, tally in self.tallies.items()
        }
        return Measured(sizes, common)

    def _linked(self) -> Iterator[tuple[frozenset[G], _Linked, bool]]:
        """Yield each inode with several names, the groups they lie in, and if all were seen."""
        several: dict[tuple[int, int], list[G]] = {}
        for group, tally in self.tallies.items():
            for identity, inode in tally.linked.items():
                if inode.seen >= inode.links:
                    yield frozenset((group,)), inode, True
                else:
                    several.setdefault(identity, []).append(group)
        for identity, groups in several.items():
            inodes = [self.tallies[group].linked[identity] for group in groups]
            complete = sum(inode.seen for inode in inodes) >= inodes[0].links
            yield frozenset(groups), inodes[0], complete

    def _extents(self) -> tuple[list[tuple[int, int, frozenset[G] | None]], list[tuple[int, int]]]:
        """Return shared extents with the groups that must go to free them, and those that stay.

        The latter are of inodes that keep a name elsewhere.
        """
        users: list[tuple[int, int, frozenset[G] | None]] = []
        partly: list[tuple[int, int]] = []
        for group, tally in self.tallies.items():
            alone = frozenset((group,))
            users += [(start, end, alone) for start, end in tally.shared]
        for holders, inode, complete in self._linked():
            if complete:
                users += [(start, end, holders) for start, end in inode.shared]
            else:
                partly += inode.shared
        return users, partly


def _shared_within(
    users: Sequence[tuple[int, int, frozenset[G] | None]],
) -> Iterator[tuple[frozenset[G], int]]:
    """Yield (groups that must all go, bytes) for what several users here share.

    A user None stays, whatever goes.
    """
    points: list[tuple[int, bool, frozenset[G] | None]] = []
    for start, end, groups in users:
        points += [(start, True, groups), (end, False, groups)]
    points.sort(key=lambda point: point[0])
    active: Counter[frozenset[G] | None] = Counter()
    number, last = 0, 0
    for position, begins, groups in points:
        if position > last and number > 1 and not active[None] and len(active) <= _MAX_GROUPS:
            yield frozenset().union(*(found for found in active if found)), position - last
        last = position
        if begins:
            active[groups] += 1
            number += 1
        else:
            number -= 1
            active[groups] -= 1
            if not active[groups]:
                del active[groups]
