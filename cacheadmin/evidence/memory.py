"""What earlier looks saw of environments, and whether it still holds. Pure: reads no disk.

Most environments are as they were yesterday. An environment is known by device
and inode of its folder; what was seen of it is taken again while its stamp
(``evidence.stamps``) is as it was and every archive that it leads to is the one
that it led to then. So an answer from memory is the answer that looking gives,
but for what no time tells: files edited in place, deeper down. Therefore:
- ``scan.full_every`` after the last full look, a full look is due;
- the last look and the check after the moves never ask the memory;
- whatever does not fit is looked at again.

Losing the memory costs time, nothing else. It is one host's: device numbers
mean nothing elsewhere. Archives are numbers in here, and sets of them runs of
32-bit integers: environments share them, and there are very many.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cacheadmin import __version__
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    InstalledUv,
    LinkMode,
)
from cacheadmin.evidence.stamps import Stamp
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.uv.layout import CONTENT_KINDS

if TYPE_CHECKING:
    from cacheadmin.evidence.environments import Candidate, Scanned, ScanOptions
    from cacheadmin.inventory.entries import Inventory

Identity = tuple[int, int]

# Raised with every change of what a look sees, or of how it is written down here.
_FORMAT = 1

_MOST_ROWS = 200_000

# Full looks of one day's environments are not all due on one day.
_SPREAD = 4

_NUMBERS = "I"
_FRACTION_BITS = 32
_SCATTER = 2_654_435_761


class _Row(NamedTuple):
    """One environment as it is written down; paths below it are relative."""

    device: int
    inode: int
    kind: str
    is_full: bool
    looked_ns: int
    seen_ns: int
    paths: list[str]
    digest: bytes
    spellings: list[str]
    may_clone: bool
    uid: int | None
    uv_version: str | None
    modes: dict[str, int]
    archives: bytes
    hardlinked: bytes
    copied: list[str]
    commits: list[str]
    links: int
    installed_uv: list[list[Any]]
    changed_ns: int | None
    watched: dict[str, int]
    fingerprint: str


_TYPES: tuple[tuple[type, ...], ...] = (
    *((int,), (int,), (str,), (bool,), (int,), (int,), (list,), (bytes,), (list,), (bool,)),
    *((int, type(None)), (str, type(None)), (dict,), (bytes,), (bytes,), (list,), (list,)),
    *((int,), (list,), (int, type(None)), (dict,), (str,)),
)


@dataclass(slots=True)
class Written:
    """What a memory is written down as: plain data, but for where it is kept."""

    names: list[str]
    """Ids of archives; rows hold places in this list."""
    inodes: list[int]
    """The inode of each archive's folder."""
    rows: list[_Row]
    """One for each environment."""


class Memory:
    """What is remembered of the environments of one cache, for one look.

    ``every_ns``: how often an environment is looked at in full. ``now_ns`` is
    the moment of the look.
    """

    def __init__(
        self, written: Written | None, inventory: Inventory, *, now_ns: int, every_ns: int
    ) -> None:
        self._now_ns = now_ns
        self._every_ns = every_ns
        kept = written if written is not None else Written([], [], [])
        self._names = kept.names
        self._inodes = kept.inodes
        self._inventory = inventory
        self._rows: dict[Identity, _Row] = {(row.device, row.inode): row for row in kept.rows}
        self._seen: set[Identity] = set()
        self._is_changed = False
        self.recalled = 0
        """How many environments this look did not look at."""
        self.looked_ns: dict[str, int] = {}
        """When each of these was looked at, by its path."""
        self._sets: dict[bytes, frozenset[ArchiveId] | None] = {}
        self._there: list[ArchiveId | None] = [
            self._same_archive(name, inode)
            for name, inode in zip(self._names, self._inodes, strict=True)
        ]
        # One file may belong to several archives there.
        self._shares_files = any(bucket.kind in CONTENT_KINDS for bucket in inventory.buckets)

    def _same_archive(self, name: str, inode: int) -> ArchiveId | None:
        archive = self._inventory.archives.get(ArchiveId(name))
        return archive.id if archive is not None and archive.inode == inode else None

    def stamp(self, identity: Identity) -> Stamp | None:
        """Return the stamp of an environment; None for one that is not remembered."""
        row = self._rows.get(identity)
        if row is None:
            return None
        return Stamp(tuple(row.paths), row.digest, tuple(row.spellings), row.may_clone)

    def knows(self, identity: Identity | None) -> bool:
        """Whether anything is remembered of an environment, still valid or not."""
        return identity in self._rows

    def recall(
        self, candidate: Candidate, identity: Identity, options: ScanOptions
    ) -> Environment | None:
        """Return what was seen of an environment whose stamp is as it was.

        None where it has to be looked at all the same: a full look is due
        or asked for, an archive that it leads to has changed, or copies may have
        become clones.
        """
        row = self._rows.get(identity)
        if row is None or row.kind != candidate.kind.value or self._is_due(row):
            return None
        if (options.deep and not row.is_full) or (row.hardlinked and self._shares_files):
            return None
        if options.report_clones and row.may_clone and LinkMode.COPY.value in row.modes:
            return None
        archives, hardlinked = self._archives(row.archives), self._archives(row.hardlinked)
        if archives is None or hardlinked is None:
            return None
        self._seen.add(identity)
        self.recalled += 1
        self.looked_ns[candidate.path] = row.looked_ns
        return _environment(row, candidate, archives, hardlinked)

    def _is_due(self, row: _Row) -> bool:
        """Whether the time for a full look has come; for each environment at another moment."""
        age_ns = self._now_ns - row.looked_ns
        scattered = (row.inode * _SCATTER) % (1 << _FRACTION_BITS)
        early_ns = (self._every_ns * scattered) >> _FRACTION_BITS
        if row.is_full:
            early_ns //= _SPREAD
        # A clock that was set back makes every age doubtful.
        return not 0 <= age_ns < self._every_ns - early_ns

    def _archives(self, numbers: bytes) -> frozenset[ArchiveId] | None:
        """Return the archives of a set; None where one of them is not there as it was."""
        if numbers in self._sets:
            return self._sets[numbers]
        found: Any = frozenset(map(self._there.__getitem__, array(_NUMBERS, numbers)))
        answer: frozenset[ArchiveId] | None = None if None in found else found
        self._sets[numbers] = answer
        return answer

    def note(self, identity: Identity, scanned: Scanned, *, is_full: bool) -> None:
        """Remember what a look saw, if it has a stamp; forget what was seen before."""
        if self._rows.pop(identity, None) is not None:
            self._is_changed = True
        if scanned.stamp is None:
            return
        row = self._row(identity, scanned.environment, scanned.stamp, is_full=is_full)
        if row is not None:
            self._rows[identity] = row
            self._seen.add(identity)
            self._is_changed = True

    def _row(
        self, identity: Identity, environment: Environment, stamp: Stamp, *, is_full: bool
    ) -> _Row | None:
        archives = self._numbers_of(environment.archives)
        hardlinked = self._numbers_of(environment.hardlinked_archives)
        if archives is None or hardlinked is None:
            return None
        home = f"{environment.path}/"
        return _Row(
            *identity,
            environment.kind.value,
            is_full,
            self._now_ns,
            self._now_ns,
            list(stamp.paths),
            stamp.digest,
            list(stamp.spellings),
            stamp.may_clone,
            environment.uid,
            environment.uv_version,
            _modes(environment),
            archives,
            hardlinked,
            sorted(environment.copied),
            sorted(environment.commits),
            environment.links,
            [
                [uv.version, uv.path.removeprefix(home), uv.uid, uv.installed_ns]
                for uv in environment.installed_uv
            ],
            environment.changed_ns,
            {path.removeprefix(home): ns for path, ns in environment.watched.items()},
            environment.fingerprint,
        )

    def _numbers_of(self, archives: Iterable[ArchiveId]) -> bytes | None:
        """Return archives as numbers; None where one is not there (it is on trial, say)."""
        numbers = array(_NUMBERS)
        for one in sorted(archives):
            number = self._number_of(one)
            if number is None:
                return None
            numbers.append(number)
        return numbers.tobytes()

    def _number_of(self, archive: ArchiveId) -> int | None:
        known = self._numbers.get(archive)
        if known is not None:
            return known
        found = self._inventory.archives.get(archive)
        if found is None:
            return None
        self._numbers[archive] = number = len(self._names)
        self._names.append(archive)
        self._inodes.append(found.inode)
        self._there.append(found.id)
        return number

    @property
    def _numbers(self) -> dict[ArchiveId, int]:
        """The number of each archive that is there as it was; made when first needed."""
        if self._numbered is None:
            self._numbered = {
                one: number for number, one in enumerate(self._there) if one is not None
            }
        return self._numbered

    _numbered: dict[ArchiveId, int] | None = None

    def written(self) -> Written | None:
        """Return what to keep; None where it is as it was.

        Environments that no look has met for ``scan.full_every`` are dropped:
        they would be looked at in full anyway.
        """
        rows = [row for identity, row in self._rows.items() if self._is_kept(identity, row)]
        stale_ns = self._every_ns // 8
        aged = any(
            self._now_ns - self._rows[identity].seen_ns > stale_ns for identity in self._seen
        )
        if not (self._is_changed or aged or len(rows) != len(self._rows)):
            return None
        if len(rows) > _MOST_ROWS:
            rows = sorted(rows, key=lambda row: row.seen_ns)[-_MOST_ROWS:]
        met = [
            row._replace(seen_ns=self._now_ns) if (row.device, row.inode) in self._seen else row
            for row in rows
        ]
        return self._compacted(met)

    def _is_kept(self, identity: Identity, row: _Row) -> bool:
        return identity in self._seen or 0 <= self._now_ns - row.seen_ns <= self._every_ns

    def _compacted(self, rows: list[_Row]) -> Written:
        """Give archives new numbers where most numbers are of archives that are gone."""
        there = sum(one is not None for one in self._there)
        if len(self._names) <= 2 * there + 1000:
            return Written(self._names, self._inodes, rows)
        numbers: dict[int, int] = {}
        names: list[str] = []
        inodes: list[int] = []
        for old, one in enumerate(self._there):
            if one is not None:
                numbers[old] = len(names)
                names.append(one)
                inodes.append(self._inodes[old])
        renumbered = []
        for row in rows:
            both = [array(_NUMBERS, row.archives), array(_NUMBERS, row.hardlinked)]
            # One that leads to what is gone is looked at again in any case.
            if all(number in numbers for one in both for number in one):
                sets = [array(_NUMBERS, map(numbers.__getitem__, one)).tobytes() for one in both]
                renumbered.append(row._replace(archives=sets[0], hardlinked=sets[1]))
        return Written(names, inodes, renumbered)


def _modes(environment: Environment) -> dict[str, int]:
    """Return the link modes of distributions; clones are copies until they are looked at."""
    modes = {mode.value: count for mode, count in environment.link_modes.items()}
    clones = modes.pop(LinkMode.CLONE.value, 0)
    if clones:
        modes[LinkMode.COPY.value] = modes.get(LinkMode.COPY.value, 0) + clones
    return modes


def _environment(
    row: _Row,
    candidate: Candidate,
    archives: frozenset[ArchiveId],
    hardlinked: frozenset[ArchiveId],
) -> Environment:
    home = candidate.path
    return Environment(
        path=home,
        kind=candidate.kind,
        status=EnvironmentStatus.OK,
        sources=candidate.sources,
        uid=row.uid,
        uv_version=row.uv_version,
        link_modes={LinkMode(mode): count for mode, count in row.modes.items()},
        archives=archives,
        hardlinked_archives=hardlinked,
        links=row.links,
        installed_uv=tuple(
            InstalledUv(version, _at(home, path), uid, ns)
            for version, path, uid, ns in row.installed_uv
        ),
        changed_ns=row.changed_ns,
        watched={_at(home, path): ns for path, ns in row.watched.items()},
        fingerprint=row.fingerprint,
        copied=frozenset(row.copied),
        commits=frozenset(row.commits),
        identity=(row.device, row.inode),
    )


def _at(home: str, path: str) -> str:
    return path if path.startswith("/") else f"{home}/{path}"


# As plain data


def context(inventory: Inventory, aliases: Iterable[str]) -> list[Any]:
    """Return what a memory depends on as a whole: another one's is of no use."""
    cache = inventory.cache
    return [
        _FORMAT,
        __version__,
        sys.byteorder,
        array(_NUMBERS).itemsize,
        [cache.path, cache.device, cache.inode],
        list(aliases),
    ]


def to_plain(written: Written, about: list[Any]) -> dict[str, Any]:
    """Return a memory as plain data; ``about`` is its ``context``."""
    return {
        "about": about,
        "names": written.names,
        "inodes": written.inodes,
        "rows": [list(row) for row in written.rows],
    }


def from_plain(data: Any, about: list[Any]) -> Written | None:
    """Return a memory that was plain data; None where it is of another context, or damaged."""
    if not isinstance(data, Mapping) or data.get("about") != about:
        return None
    names, inodes, rows = data.get("names"), data.get("inodes"), data.get("rows")
    if not (isinstance(names, list) and isinstance(inodes, list) and isinstance(rows, list)):
        return None
    whole = (
        len(names) == len(inodes)
        and all(type(row) is list and len(row) == len(_TYPES) for row in rows)
        and all(
            set(kinds).issuperset(map(type, column))
            for column, kinds in zip(zip(*rows, strict=True), _TYPES, strict=bool(rows))
        )
    )
    if not whole:
        return None
    found = [_Row._make(row) for row in rows]
    kinds = {kind.value for kind in EnvironmentKind}
    known = all(
        row.kind in kinds
        and all(_are_numbers(one, len(names)) for one in {row.archives, row.hardlinked})
        for row in found
    )
    return Written(names, inodes, found) if known else None


def _are_numbers(numbers: bytes, below: int) -> bool:
    if len(numbers) % array(_NUMBERS).itemsize:
        return False
    return max(array(_NUMBERS, numbers), default=0) < max(below, 1)
