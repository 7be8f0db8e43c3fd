"""What was read of a cache, or of a part of it: filled by readers, put together by the parent.

A reader fills one and hands it over bit by bit (`EntriesByKind.taken`), so that a
large bucket costs neither side a large answer, and says that it is alive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from os import stat_result

from cacheadmin.inventory.entries import (
    Archive,
    Build,
    CachedEnvironment,
    GitSource,
    LooseFile,
    OnTrial,
    SourceRevision,
    Stray,
    UnreadEntry,
    WheelPointer,
)
from cacheadmin.inventory.seen import ArchiveSeen, FolderSeen

# What is handed over at a time: after so many steps (an entry, or a folder), or so long.
_STEPS = 256
_SECONDS = 0.2

# Why what an account wrote was not read to its end.
OVER_TIME = "reading what this account wrote there takes too much time: the rest was not read"


@dataclass(slots=True)
class EntriesByKind:
    """Entries by kind, and what tells of writes."""

    buckets: list[tuple[str, str, int]] = field(default_factory=list)
    """Buckets: name, kind, version."""
    archives: list[Archive] = field(default_factory=list)
    """Archives."""
    on_trial: list[OnTrial] = field(default_factory=list)
    """What is on trial."""
    wheel_pointers: list[WheelPointer] = field(default_factory=list)
    """Wheel pointers."""
    revisions: list[SourceRevision] = field(default_factory=list)
    """Source revisions."""
    environments: list[CachedEnvironment] = field(default_factory=list)
    """Cached environments."""
    builds: list[Build] = field(default_factory=list)
    """Temporary folders."""
    strays: list[Stray] = field(default_factory=list)
    """What no release puts there."""
    loose_files: list[LooseFile] = field(default_factory=list)
    """Stored files that nothing shares."""
    git_sources: list[GitSource] = field(default_factory=list)
    """Git databases and checkouts."""
    unreadable: list[UnreadEntry] = field(default_factory=list)
    """What could not be read."""
    watched: dict[str, int] = field(default_factory=dict)
    """Modification times of folders in ns, by path."""
    writes: dict[str, dict[int, int]] = field(default_factory=dict)
    """The newest time (ns) each user (uid) wrote a file, by bucket."""
    archives_seen: list[ArchiveSeen] = field(default_factory=list)
    """Of the archives, those that can be remembered."""
    folders_seen: list[FolderSeen] = field(default_factory=list)
    """Of the folders, those that can be remembered."""
    left: list[str] = field(default_factory=list)
    """Paths of archives, and of folders with pointers, that are left to other readers."""
    same_archives: list[int] = field(default_factory=list)
    """Numbers of remembered archives that are as they were, in place of these."""
    same_folders: list[int] = field(default_factory=list)
    """Numbers of remembered folders that are as they were, in place of what is in them."""

    def wrote(self, bucket: str, status: stat_result) -> None:
        """Remember a write by the owner of a file."""
        self.wrote_at(bucket, status.st_uid, status.st_mtime_ns)

    def wrote_at(self, bucket: str, uid: int, written_ns: int) -> None:
        """Remember a write by an account, and when (ns)."""
        newest = self.writes.setdefault(bucket, {})
        newest[uid] = max(newest.get(uid, 0), written_ns)

    def taken(self) -> EntriesByKind:
        """Return what was filled in so far, and begin again."""
        part = EntriesByKind()
        for name in _NAMES:
            filled = getattr(self, name)
            if filled:
                setattr(self, name, getattr(part, name))
                setattr(part, name, filled)
        return part

    def add(self, part: EntriesByKind) -> None:
        """Put a part to the rest."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(part, name))
        self.watched.update(part.watched)
        for bucket, newest in part.writes.items():
            self.writes.setdefault(bucket, {})
            for uid, written_ns in newest.items():
                self.wrote_at(bucket, uid, written_ns)


_NAMES = tuple(one.name for one in fields(EntriesByKind))
_LISTS = tuple(name for name in _NAMES if name not in ("watched", "writes"))


def in_parts(contents: EntriesByKind, steps: Iterable[None]) -> Iterator[EntriesByKind]:
    """Take the steps that fill ``contents``, and yield it in parts, the last one too."""
    count, since = 0, time.monotonic()
    for _ in steps:
        count += 1
        if count >= _STEPS or time.monotonic() - since > _SECONDS:
            yield contents.taken()
            count, since = 0, time.monotonic()
    yield contents.taken()
