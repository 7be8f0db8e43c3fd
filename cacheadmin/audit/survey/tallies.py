"""What a survey counts: per problem, owner and bucket a number and a few examples.

A cache has millions of entries, and one wrong umask makes half of them wrong:
so nothing is listed, everything is counted. What users can multiply at will
(owners through user namespaces, buckets, links) is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from cacheadmin.fs.small_files import ReadFailure
from cacheadmin.values import frozen

_EXAMPLES = 3
_MAX_KEYS = 2000

# Inodes with several names that are matched with each other. More are counted
# as if each name were an inode of its own; a survey takes no memory without end.
MAX_TRACKED = 500_000


class SurveyProblem(Enum):
    """What an entry is counted for; rules turn these into findings."""

    CLOSED_FOLDER = auto()
    CLOSED_INNER_FOLDER = auto()
    STICKY_FOLDER = auto()
    CLOSED_LOCK = auto()
    CLOSED_MARKER = auto()
    UNREADABLE = auto()
    UNREADABLE_ARCHIVE = auto()
    OTHER_GROUP = auto()
    NO_SETGID = auto()
    NO_DEFAULT_LIST = auto()
    WORLD_WRITABLE = auto()
    SETUID = auto()
    SPECIAL = auto()
    LINK_FOLLOWED = auto()
    LINK_OUT = auto()
    HARDLINKED = auto()
    OWNED = auto()


@dataclass(slots=True)
class Count:
    """How many entries of one owner in one bucket have one problem."""

    problem: SurveyProblem
    """What is wrong with them."""
    uid: int | None
    """Their owner; None where there were too many different owners to tell."""
    bucket: str
    """Name of the bucket; empty for what lies in no known bucket."""
    count: int = 0
    """How many entries."""
    size_bytes: int = 0
    """Their lengths together in bytes, for hard-linked files; else 0."""
    examples: list[str] = field(default_factory=list)
    """A few of them, by path relative to the cache."""

    def add(self, count: int, examples: Iterable[str], size_bytes: int = 0) -> None:
        """Count some more."""
        self.count += count
        self.size_bytes += size_bytes
        for example in examples:
            if len(self.examples) >= _EXAMPLES:
                break
            self.examples.append(example)


@dataclass(slots=True)
class Linked:
    """A file with several names in the cache, or outside of it."""

    links: int
    """How many names its inode has, here and elsewhere."""
    met: int
    """How many of these names the walk has met in the cache."""
    uid: int
    """The account that owns it."""
    bucket: str
    """The bucket of the first name that was met; empty outside of buckets."""
    size_bytes: int
    """Its length in bytes."""
    example: str
    """The first name that was met, relative to the cache."""
    explained: bool = False
    """Whether one of its names lies in an archive that a known environment holds links to."""


@frozen
class SentTallies:
    """Counts as a reader sends them."""

    counts: tuple[Count, ...]
    """The counts."""
    linked: tuple[tuple[int, Linked], ...]
    """Files with several names, with their inodes."""
    unread: tuple[ReadFailure, ...]
    """The first few places that were not looked at."""
    unread_count: int
    """How many places were not looked at."""
    entries: int
    """How many entries were met."""


@dataclass(slots=True)
class Tallies:
    """The counts of one part of a walk, or of all of it."""

    counts: dict[tuple[SurveyProblem, int | None, str], Count] = field(default_factory=dict)
    """The counts, by problem, owner and bucket."""
    linked: dict[int, Linked] = field(default_factory=dict)
    """Files with several names, by inode; emptied when they are counted."""
    unread: list[ReadFailure] = field(default_factory=list)
    """The first few places that were not looked at."""
    unread_count: int = 0
    """How many places were not looked at."""
    entries: int = 0
    """How many entries were met."""

    def add(
        self,
        problem: SurveyProblem,
        uid: int | None,
        bucket: str,
        examples: Iterable[str],
        count: int = 1,
        size_bytes: int = 0,
    ) -> None:
        """Count entries of one owner in one bucket."""
        key = (problem, uid, bucket)
        found = self.counts.get(key)
        if found is None:
            if len(self.counts) >= _MAX_KEYS:
                key = (problem, None, "")
            found = self.counts.setdefault(key, Count(*key))
        found.add(count, examples, size_bytes)

    def add_unread(self, failure: ReadFailure) -> None:
        """Count a place that could not be looked at."""
        self.unread_count += 1
        if len(self.unread) < _EXAMPLES:
            self.unread.append(failure)

    def add_linked(self, inode: int, found: Linked) -> None:
        """Count one name, or several, of a file that has more."""
        known = self.linked.get(inode)
        if known is not None:
            known.met += found.met
            known.explained |= found.explained
        elif len(self.linked) < MAX_TRACKED:
            self.linked[inode] = found
        elif found.links > found.met and not found.explained:
            self._add_outside(found)

    def merge(self, other: Tallies) -> None:
        """Add the counts of another part of the walk."""
        for count in other.counts.values():
            self.add(
                count.problem,
                count.uid,
                count.bucket,
                count.examples,
                count.count,
                count.size_bytes,
            )
        for inode, linked in other.linked.items():
            self.add_linked(inode, linked)
        self.unread = [*self.unread, *other.unread][:_EXAMPLES]
        self.unread_count += other.unread_count
        self.entries += other.entries

    def sent(self) -> SentTallies:
        """Return them as a reader sends them."""
        return SentTallies(
            tuple(self.counts.values()),
            tuple(self.linked.items()),
            tuple(self.unread),
            self.unread_count,
            self.entries,
        )

    @classmethod
    def received(cls, sent: SentTallies) -> Tallies:
        """Return what a reader sent."""
        return cls(
            {(count.problem, count.uid, count.bucket): count for count in sent.counts},
            dict(sent.linked),
            list(sent.unread),
            sent.unread_count,
            sent.entries,
        )

    def settle_links(self) -> None:
        """Count the files that have names the walk did not meet; call it when all is merged."""
        for linked in self.linked.values():
            if linked.links > linked.met and not linked.explained:
                self._add_outside(linked)
        self.linked = {}

    def of(self, *problems: SurveyProblem) -> Iterator[dict[SurveyProblem, Count]]:
        """Yield the counts of some problems for each bucket and owner that has any of them."""
        found: dict[tuple[str, int], dict[SurveyProblem, Count]] = {}
        for count in self.counts.values():
            if count.problem in problems:
                place = (count.bucket, -1 if count.uid is None else count.uid)
                found.setdefault(place, {})[count.problem] = count
        for _, counts in sorted(found.items()):
            yield {problem: counts[problem] for problem in problems if problem in counts}

    def each(self, problem: SurveyProblem) -> Iterator[Count]:
        """Yield the counts of one problem, by bucket and owner."""
        for counts in self.of(problem):
            yield counts[problem]

    def of_owners(self, *problems: SurveyProblem) -> Iterator[dict[SurveyProblem, Count]]:
        """Yield the counts of some problems for each owner, all buckets together.

        For what one umask did everywhere, and one command repairs. The bucket
        is named where there is only one, else it is empty.
        """
        found: dict[int, list[Count]] = {}
        for counts in self.of(*problems):
            for count in counts.values():
                found.setdefault(-1 if count.uid is None else count.uid, []).append(count)
        for _, of_one in sorted(found.items()):
            buckets = {count.bucket for count in of_one}
            bucket = buckets.pop() if len(buckets) == 1 else ""
            merged: dict[SurveyProblem, Count] = {}
            for count in of_one:
                into = merged.setdefault(count.problem, Count(count.problem, count.uid, bucket))
                into.add(count.count, count.examples, count.size_bytes)
            yield {problem: merged[problem] for problem in problems if problem in merged}

    def each_owner(self, problem: SurveyProblem) -> Iterator[Count]:
        """Yield the counts of one problem by owner, all buckets together."""
        for counts in self.of_owners(problem):
            yield counts[problem]

    def _add_outside(self, linked: Linked) -> None:
        self.add(
            SurveyProblem.HARDLINKED,
            linked.uid,
            linked.bucket,
            (linked.example,),
            size_bytes=linked.size_bytes,
        )
