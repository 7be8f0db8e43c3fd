"""Measure a whole cache once, and say what belongs to whom in every way that is asked.

Files are counted in the smallest groups there are: one for each archive, one
for each sort of thing around archives. Whatever a report groups by is made of
these afterwards, exactly as if it had been measured so.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cache as remembering
from typing import TYPE_CHECKING

from cacheadmin.accounting import Accounting, Measured, PackedTally, Ranges, Size, Tally
from cacheadmin.errors import CacheadminError
from cacheadmin.fs.measurement import Walk
from cacheadmin.fs.small_files import ReadFailure, failure
from cacheadmin.inventory.measurement import (
    Counting,
    add_packed,
    owner_below,
    parts_of,
    unmeasured,
)
from cacheadmin.planner.cached_environments import cached_names
from cacheadmin.policy.teams import team_of
from cacheadmin.readers import Question
from cacheadmin.snapshot.archive_measurement import measure_archives
from cacheadmin.state.archive_sizes import open_archive_sizes
from cacheadmin.text.accounts import account_name
from cacheadmin.usage.groupings import By
from cacheadmin.usage.groups import (
    Classifier,
    Group,
    Grouping,
    PackageVersion,
    Sort,
    Thing,
    packages_of_paths,
    thing_of_archive,
)
from cacheadmin.uv.layout import ROOTS_KINDS, parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.charges import FilesystemCosts
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.usage.groupings import By


@frozen
class Usage:
    """What a cache takes, in one grouping."""

    by: By
    """What the groups are."""
    groups: Measured[Group]
    """The size of each group by itself, and what groups share."""
    archives: Mapping[Group, int]
    """How many archives each group has."""
    total: Size
    """The size of the whole cache.

    Less than the sum where groups share inodes; more of it may be reclaimable than of the groups
    one by one.
    """
    unread: tuple[ReadFailure, ...]
    """What could not be looked at; it is in no number."""
    from_state: int
    """How many archives were not measured again, because their sizes were remembered."""
    warning: str = ""
    """Why nothing could be remembered, or empty."""


@frozen
class Piece:
    """The smallest group: one archive, or everything alike around archives."""

    thing: Thing
    """What it is, and whose."""
    archive: ArchiveId | None = None
    """The archive; None for everything around archives."""


@frozen
class MeasuredCache:
    """A cache that was measured once, for every grouping."""

    pieces: Measured[int]
    """The size of each smallest group, by its place in ``things``, and what they share."""
    things: Sequence[Piece]
    """What each of the smallest groups is."""
    total: Size
    """The size of the whole cache."""
    unread: tuple[ReadFailure, ...]
    """What could not be looked at; it is in no number."""
    from_state: int
    """How many archives were not measured again, because their sizes were remembered."""
    warning: str
    """Why nothing could be remembered, or empty."""
    policy: Policy
    """The policy, whose teams are used for grouping."""
    root: str
    """Absolute path of the cache."""
    user: Callable[[int], str]
    """Returns an account's name, by uid."""
    _by: dict[By, Usage] = field(default_factory=dict, compare=False, repr=False)

    def by(self, by: By) -> Usage:
        """Return the usage in one grouping."""
        known = self._by.get(by)
        if known is None:
            known = self._by[by] = self._grouped(by)
        return known

    def _grouped(self, by: By) -> Usage:
        grouping = _grouping(self.policy, self.root, self.user, by)
        # There are very many pieces and few groups: each piece's group is hashed once.
        numbers: dict[Group, int] = {}
        of_piece = [
            numbers.setdefault(grouping.group_of(piece.thing), len(numbers))
            for piece in self.things
        ]
        groups = list(numbers)
        archives = Counter(
            number
            for piece, number in zip(self.things, of_piece, strict=True)
            if piece.archive is not None
        )
        return Usage(
            by=by,
            groups=self.pieces.regrouped(of_piece.__getitem__).renamed(groups.__getitem__),
            archives=Counter({groups[number]: count for number, count in archives.items()}),
            total=self.total,
            unread=self.unread,
            from_state=self.from_state,
            warning=self.warning,
        )

    def archives(self) -> Measured[ArchiveId | None]:
        """Return the size of each archive; None stands for all the rest."""
        return self.pieces.regrouped(lambda number: self.things[number].archive)


def measure_cache(snapshot: Snapshot) -> MeasuredCache:
    """Measure a cache for any grouping, and remember the sizes of its archives."""
    accounting: Accounting[int] = Accounting()
    things: list[Piece] = []
    store = open_archive_sizes(snapshot.state)
    known = store.read()
    archives = measure_archives(
        snapshot.readers,
        snapshot.cache.fd,
        list(snapshot.inventory.archives.values()),
        known,
        snapshot.sizing.charges,
    )
    names = cached_names(snapshot.case)
    for one in archives:
        accounting.add(len(things), one.tally)
        things.append(Piece(thing_of_archive(one.archive, names), one.archive.id))
    others = _measure_others(snapshot, accounting, things, names)
    unread = [*(problem for one in archives for problem in one.failures), *others]
    held: Ranges = ()
    if accounting.shares_among_itself():
        held = snapshot.sizing.shared_with_environments()
    pieces = accounting.finish(held)
    remember = {one.archive.id: one.remember for one in archives if one.remember is not None}
    warning = ""
    try:
        if remember != known:
            store.replace(remember)
    except CacheadminError as error:
        # Everything was measured: only the next time takes as long again.
        warning = error.message
    return MeasuredCache(
        pieces=pieces,
        things=things,
        total=pieces.together(pieces),
        unread=tuple({problem.path: problem for problem in unread}.values()),
        from_state=sum(one.from_state for one in archives),
        warning=warning,
        policy=snapshot.policy,
        root=snapshot.cache.identity.path,
        user=remembering(account_name),
    )


def _grouping(policy: Policy, root: str, user: Callable[[int], str], by: By) -> Grouping:
    @remembering
    def team(bucket: str | None, uid: int) -> str | None:
        return team_of(policy, root if bucket is None else f"{root}/{bucket}", uid)

    return Grouping(by, user, team)


def _measure_others(
    snapshot: Snapshot,
    accounting: Accounting[int],
    things: list[Piece],
    cached: Mapping[str, PackageVersion],
) -> list[ReadFailure]:
    """Count everything but archives, the root folder itself included."""
    cache, inventory = snapshot.cache, snapshot.inventory
    try:
        names = sorted(os.listdir(cache.fd))
    except OSError as error:
        return [failure(cache.identity.path, error)]
    root = os.fstat(cache.fd)
    tally = Tally()
    tally.add(root.st_size, root.st_blocks * 512 + snapshot.sizing.charges.inode_bytes)
    numbers: dict[Thing, int] = {}

    def add(thing: Thing, counted: Tally) -> None:
        number = numbers.setdefault(thing, len(things))
        if number == len(things):
            things.append(Piece(thing))
        accounting.add(number, counted)

    add(Thing(None, Sort.OTHER, None, None, root.st_uid), tally)
    others = _Others(
        cache.fd,
        snapshot.sizing.charges,
        leave_out=frozenset(archive.path for archive in inventory.archives.values()),
        packages={**packages_of_paths(inventory), **cached},
        buckets={bucket.name for bucket in inventory.buckets},
    )
    question: Question[str, OthersPart] = Question(
        others.count, OthersPart, in_parts=True, whose=lambda name: owner_below(cache.fd, name)
    )
    unread: list[ReadFailure] = []
    for reply in snapshot.readers.replies(question, names):
        for part in reply.parts:
            unread += part.failures
            for thing, sent in part.tallies:
                found = Tally()
                add_packed(sent, found, unread)
                add(thing, found)
        if reply.failed is not None:
            unread.append(unmeasured(reply.item, reply.failed))
    return unread


@frozen
class OthersPart:
    """A part of what an entry of the root holds beside archives."""

    tallies: tuple[tuple[Thing, PackedTally], ...]
    """What was counted, by what it is."""
    failures: tuple[ReadFailure, ...] = ()
    """What could not be looked at."""


class _Others:
    """Counts, in a reader, what lies in entries of the root beside archives."""

    def __init__(
        self,
        cache_fd: int,
        charges: FilesystemCosts,
        *,
        leave_out: frozenset[str],
        packages: Mapping[str, PackageVersion],
        buckets: set[str],
    ) -> None:
        self._cache_fd = cache_fd
        self._charges = charges
        self._leave_out = leave_out
        self._packages = packages
        self._buckets = buckets

    def count(self, name: str) -> Iterator[OthersPart]:
        """Yield what one entry holds."""
        counting = _Counting(self._packages, _is_ours_alone(name, self._buckets))
        walk = Walk(counting.choose, self._charges, self._leave_out)
        for _ in parts_of(walk, self._cache_fd, name):
            yield OthersPart(counting.taken())
        yield OthersPart(counting.taken(), tuple(walk.failures))


def _is_ours_alone(name: str, buckets: set[str]) -> bool:
    """Whether a folder that looks like a bucket holds nothing but planted roots.

    The inventory leaves those out.
    """
    parsed = parse_bucket_name(name)
    return parsed is not None and parsed[0] in ROOTS_KINDS and name not in buckets


class _Counting:
    """Chooses the tally for each file of one walk."""

    def __init__(self, packages: Mapping[str, PackageVersion], ours: bool) -> None:
        self._tallies: dict[Thing, Tally] = {}
        self._counting = Counting()
        self._classifier = Classifier(packages, ours=ours)

    def choose(self, path: str, status: os.stat_result) -> Tally:
        """Return the tally of whatever lies at a path."""
        self._counting.choose(path, status)
        is_folder = stat.S_ISDIR(status.st_mode)
        thing = self._classifier.thing_at(path, status.st_uid, is_folder=is_folder)
        tally = self._tallies.get(thing)
        if tally is None:
            tally = self._tallies[thing] = Tally()
        return tally

    def taken(self) -> tuple[tuple[Thing, PackedTally], ...]:
        """Return what was counted, and count again from nothing."""
        sent = tuple((thing, tally.packed()) for thing, tally in self._tallies.items())
        self._tallies = {}
        return sent
