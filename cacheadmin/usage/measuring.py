"""Measure a whole cache, and say what belongs to whom."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as remembering
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.clones import extents_of_environments
from cacheadmin.fs.accounting import Accounting, Measured, Ranges, Size, Tally
from cacheadmin.fs.measuring import Walk, in_threads
from cacheadmin.fs.reading import ReadFailure, failure
from cacheadmin.policy.teams import team_of
from cacheadmin.state.archive_sizes import RememberedSize, open_archive_sizes
from cacheadmin.usage.archives import MeasuredArchive, measure_archive
from cacheadmin.usage.groups import (
    By,
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

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.situation import Situation


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache takes. ``groups`` has each group's size, ``archives`` its number of archives.

    ``total`` is less than the sum where groups share inodes, and more of it
    may be reclaimable. ``unread`` could not be looked at and is in no number.
    ``from_state`` archives were not measured again; ``warning`` says why
    nothing could be remembered, or is empty.
    """

    by: By
    groups: Measured[Group]
    archives: Mapping[Group, int]
    total: Size
    unread: tuple[ReadFailure, ...]
    from_state: int
    warning: str = ""


def measure_usage(situation: Situation, by: By) -> Usage:
    """Return the usage of a cache, and remember the sizes of its archives."""
    grouping = _grouping(situation, by)
    accounting: Accounting[Group] = Accounting()
    store = open_archive_sizes(situation.state)
    known = store.read()
    archives = _measure_archives(situation, known)
    count: Counter[Group] = Counter()
    for one in archives:
        group = grouping.group_of(thing_of_archive(one.archive))
        accounting.add(group, one.tally)
        count[group] += 1
    others = _measure_others(situation, grouping, accounting)
    unread = [*(problem for one in archives for problem in one.failures), *others]
    held: Ranges = ()
    if accounting.shares_among_itself():
        environments = situation.evidence.environments
        held = extents_of_environments(environments, situation.cache.identity.device)
    groups = accounting.finish(held)
    remember = {one.archive.id: one.remember for one in archives if one.remember is not None}
    warning = ""
    try:
        if remember != known:
            store.replace(remember)
    except CacheadminError as error:
        # Everything was measured: only the next time takes as long again.
        warning = error.message
    return Usage(
        by=by,
        groups=groups,
        archives=count,
        total=groups.together(groups),
        unread=tuple({problem.path: problem for problem in unread}.values()),
        from_state=sum(one.from_state for one in archives),
        warning=warning,
    )


def _grouping(situation: Situation, by: By) -> Grouping:
    policy, root = situation.policy, situation.cache.identity.path

    @remembering
    def team(bucket: str | None, uid: int) -> str | None:
        return team_of(policy, root if bucket is None else f"{root}/{bucket}", uid)

    return Grouping(by, situation.case.user, team)


def _measure_archives(
    situation: Situation, known: Mapping[ArchiveId, RememberedSize]
) -> list[MeasuredArchive]:
    fd, charges = situation.cache.fd, situation.charges
    archives = list(situation.inventory.archives.values())
    return in_threads(lambda archive: measure_archive(fd, archive, known, charges), archives)


def _measure_others(
    situation: Situation, grouping: Grouping, accounting: Accounting[Group]
) -> list[ReadFailure]:
    """Count everything but archives, the root folder itself included."""
    cache, inventory = situation.cache, situation.inventory
    leave_out = frozenset(archive.path for archive in inventory.archives.values())
    packages = packages_of_paths(inventory)
    buckets = {bucket.name for bucket in inventory.buckets}
    charges = situation.charges
    try:
        names = sorted(os.listdir(cache.fd))
    except OSError as error:
        return [failure(cache.identity.path, error)]

    def count(name: str) -> tuple[_Counting, list[ReadFailure]]:
        counting = _Counting(grouping, packages, _is_ours_alone(name, buckets))
        walk = Walk(counting.choose, charges, leave_out)
        walk.count(cache.fd, name)
        return counting, walk.failures

    root = os.fstat(cache.fd)
    tally = Tally()
    tally.add(root.st_size, root.st_blocks * 512 + charges.inode_bytes)
    accounting.add(grouping.group_of(Thing(None, Sort.OTHER, None, None, root.st_uid)), tally)
    unread: list[ReadFailure] = []
    for counting, failures in in_threads(count, names):
        unread += failures
        for group, found in counting.tallies.items():
            accounting.add(group, found)
    return unread


def _is_ours_alone(name: str, buckets: set[str]) -> bool:
    """Whether a folder that looks like a bucket holds nothing but planted roots.

    The inventory leaves those out.
    """
    parsed = parse_bucket_name(name)
    return parsed is not None and parsed[0] in ROOTS_KINDS and name not in buckets


class _Counting:
    """Chooses the tally for each file of one walk."""

    def __init__(
        self, grouping: Grouping, packages: Mapping[str, PackageVersion], ours: bool
    ) -> None:
        self.tallies: dict[Group, Tally] = {}
        self._of_thing: dict[Thing, Tally] = {}
        self._grouping = grouping
        self._classifier = Classifier(packages, ours=ours)

    def choose(self, path: str, status: os.stat_result) -> Tally:
        """Return the tally of whatever lies at a path."""
        is_folder = stat.S_ISDIR(status.st_mode)
        thing = self._classifier.thing_at(path, status.st_uid, is_folder=is_folder)
        tally = self._of_thing.get(thing)
        if tally is None:
            tally = self.tallies.setdefault(self._grouping.group_of(thing), Tally())
            self._of_thing[thing] = tally
        return tally
