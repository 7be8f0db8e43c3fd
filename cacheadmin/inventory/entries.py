"""What a uv cache consists of, as plain facts. Pure: nothing here reads a disk.

A cache is a folder of *buckets* (``wheels-v5``), each written by a range of uv
releases, and one archive bucket that all releases share. The reader in
``inventory.reader`` turns a folder into an :class:`Inventory`; the planner
decides over it. ``path`` is always relative to the cache root, with ``/``
between its parts, and may hold surrogate escapes (bytes that are not UTF-8).
Times are nanoseconds since the epoch, as the filesystem gave them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import NewType

from cacheadmin.values import frozen

ArchiveId = NewType("ArchiveId", str)


class EntryKind(StrEnum):
    """The kinds of entry that a plan speaks of (public, in JSON)."""

    BUCKET = "bucket"
    ARCHIVE = "archive"
    WHEEL = "wheel"
    REVISION = "revision"
    ENVIRONMENT = "environment"
    BUILD = "build"
    STRAY = "stray"
    FILE = "file"
    SOURCE = "source"


class ArchiveContent(StrEnum):
    """What an archive holds."""

    WHEEL = "wheel"
    ENVIRONMENT = "environment"
    UNKNOWN = "unknown"


@frozen
class CacheIdentity:
    """The root folder of a cache, and what tells it from every other folder."""

    path: str
    """Its absolute path without links; empty for the state of no cache (`open_releases`)."""
    device: int
    """The device that the filesystem gives for it (``st_dev``)."""
    inode: int
    """Its inode on that device."""


@frozen
class Write:
    """The newest write that one user made in a bucket."""

    uid: int
    """The owner of the written files."""
    written_ns: int
    """The newest modification time of these files."""


@frozen
class Bucket:
    """One versioned top-level folder, ``<kind>-v<version>``."""

    name: str
    """The folder's name, which is also its path in the cache: ``wheels-v5``."""
    kind: str
    """The name without version: ``wheels``."""
    version: int
    """The number after ``-v``."""
    known: bool
    """Whether the release table has a bucket of this name; if not, it must be kept."""
    writes: tuple[Write, ...] = ()
    """The newest write of each user, newest first: it tells who still uses a release.

    Empty where only entries are read (``archive-v0``, ``builds-v0``). Facts section 6.
    """


@frozen
class Archive:
    """One unpacked wheel, or one cached environment, under ``archive-v0``."""

    id: ArchiveId
    """The folder's name, by which pointers and links name it."""
    path: str
    """Path relative to the cache, ``archive-v0/<id>``."""
    content: ArchiveContent
    """What it holds, judged by the names at its top."""
    package: str | None
    """Normalized name of the wheel's package; None for every other content."""
    version: str | None
    """Version of that package, as ``*.dist-info`` spells it; None without a package."""
    uid: int
    """Owner of the archive's folder."""
    inode: int
    """Inode of the archive's folder."""
    mtime_ns: int
    """Modification time of the archive's folder."""


@frozen
class OnTrial:
    """An entry that was removed on trial: its folder is in ours, a tripwire is in its place.

    It is no entry any more; a use of the tripwire brings it back (``trial``).
    """

    entry: str
    """Path of the entry it was, relative to the cache."""

    package: str | None
    """Package it holds; None where it names none, or can't be read."""

    version: str | None
    """Version of that package."""

    uid: int
    """Owner of the entry's folder; 0 where that could not be looked at."""

    mtime_ns: int
    """Modification time of the entry's folder; 0 where that could not be looked at."""


@frozen
class WheelPointer:
    """What makes uv find a wheel's archive: ``<K>``, ``<K>.http``, ``<K>.rev``.

    Of these three files and links at least one is there.
    """

    path: str
    """Path of ``<K>`` relative to the cache, without suffix, whether or not that link exists."""
    bucket: str
    """Name of the bucket it is in."""
    package: str
    """Normalized name of the package: that of the folder it is in."""
    version: str | None
    """Version of the package, from ``<K>``; None where ``<K>`` holds none."""
    archives: frozenset[ArchiveId]
    """Every archive that a pointer file or the link names."""
    linked_archive: ArchiveId | None
    """The archive that the link ``<K>`` names; None without a link.

    uv's own prune looks at nothing else.
    """
    understood: bool
    """Whether all its pointer files could be read and have a shape that some release writes.

    If not, it may name any archive: nothing may be concluded from what it does not name.
    """
    uid: int
    """Owner of the newest of its files."""
    mtime_ns: int
    """Modification time of the newest of its files."""
    files: tuple[str, ...] = ()
    """Names of its files and link in their folder, metadata included, locks not."""


@frozen
class SourceRevision:
    """One revision folder of a source distribution, ``.../<revid>``."""

    path: str
    """Path of the folder, relative to the cache."""
    bucket: str
    """Name of the bucket it is in."""
    package: str | None
    """Normalized name of the package; None where path, wheels and metadata name none."""
    version: str | None
    """Version of that package; None where none is named."""
    current: bool | None
    """Whether ``revision.http`` or ``revision.rev`` beside it names it.

    None without such a file (git sources have none) or where one could not be
    understood: such a folder is never superseded.
    """
    archives: frozenset[ArchiveId]
    """Archives that links in the folder lead to."""
    uid: int
    """Owner of the folder."""
    mtime_ns: int
    """Modification time of the folder itself."""
    links: Mapping[str, ArchiveId] = field(default_factory=dict)
    """The archive that each link in the folder leads to, by the link's name."""
    files: tuple[str, ...] = ()
    """Names of the revision files beside it; none where the folder itself is what uv looks for."""
    wheels: tuple[str, ...] = ()
    """Names of the built ``.whl`` files in it."""
    unpacked: tuple[str, ...] = ()
    """Names of the unpacked sources in it: ``src``, before 0.5 ``source``."""

    @property
    def understood(self) -> bool:
        """Whether it is known which revision is current: a file that can't be read hides that."""
        return self.current is not None or not self.files

    @property
    def file_paths(self) -> tuple[str, ...]:
        """The revision files beside it, as paths relative to the cache."""
        folder = self.path.rpartition("/")[0]
        return tuple(f"{folder}/{name}" for name in self.files)

    @property
    def found_by_name(self) -> bool:
        """Whether uv looks for this very folder: a git commit, which no revision file names."""
        return not self.files and "/git/" in self.path

    @property
    def parts(self) -> tuple[str, ...]:
        """What is in it beside metadata and links, as paths relative to the cache."""
        return tuple(f"{self.path}/{name}" for name in (*self.wheels, *self.unpacked))


@frozen
class GitSource:
    """A git database, or a checkout of one commit, in ``git-v*``.

    Nothing points to it: uv looks for it by the digest of the repository, and
    by the commit.
    """

    path: str
    """Its entry path: ``git-v2/db/<digest>``, or ``git-v2/checkouts/<digest>/<commit>``."""
    bucket: str
    """The bucket it lies in."""
    commit: str | None
    """The first digits of the commit that is checked out; None for a database."""
    database: str | None
    """For a checkout, the path of the database it was cloned from; None where that is unknown."""
    files: tuple[str, ...]
    """Paths of files beside it that say it is whole (``<commit>.ok``)."""
    uid: int
    """Owner of its folder."""
    mtime_ns: int
    """Modification time of its folder."""


@frozen
class CachedEnvironment:
    """A tool, script or project environment in ``environments-v*``."""

    path: str
    """Path relative to the cache."""
    bucket: str
    """Name of the bucket it is in."""
    archive: ArchiveId | None
    """The archive that is the environment, where the entry is a link to one (``uvx``).

    None where the entry itself is the environment.
    """
    uid: int
    """Owner of the entry: of the folder, or of the link itself."""
    changed_ns: int
    """Newest modification time of the entry, its ``pyvenv.cfg`` and its archive."""


@frozen
class Build:
    """A build or temporary folder: ``.tmp*`` in ``builds-v0``, the root, or a source bucket."""

    path: str
    """Path relative to the cache."""
    uid: int
    """Owner of the folder."""
    changed_ns: int
    """Newest time found in it, at most three folders deep."""


@frozen
class Stray:
    """Something that no uv release puts there."""

    path: str
    """Path relative to the cache."""
    what: str
    """What it is, in words: ``a file where archives are``."""
    removable: bool
    """Whether every uv release's own prune removes such a thing from a bucket that it owns.

    True for a plain file in ``archive-v0``, False for an unknown name in the root:
    that belongs to a user and is kept.
    """
    uid: int
    """Its owner; 0 where it could not be looked at."""
    changed_ns: int
    """Its newest time; the time of the look where it could not be looked at."""


@frozen
class LooseFile:
    """A content in ``files-v*`` with no other hard link: no archive or environment shares it."""

    path: str
    """Its entry path, ``files-v0/<2 digits>/<64 digits>``."""
    uid: int
    """Owner of the file."""
    changed_ns: int
    """Its newest time; the last other link's removal counts, since that changes it."""


@frozen
class UnreadEntry:
    """Something that could not be read: what is in it is unknown."""

    path: str
    """Its path, relative to the cache."""
    reason: str
    """Why, in words that follow "it could not be read: "."""
    uid: int | None = None
    """Its owner; None where that is not known."""
    tells_who_writes: bool = False
    """Whether its owner and time were seen and count as a write: only its content is unknown."""


@frozen
class Inventory:
    """Everything found in one cache."""

    cache: CacheIdentity
    """The cache that was read."""
    read_at_ns: int
    """When reading began."""
    buckets: tuple[Bucket, ...] = ()
    """Its buckets, of known and unknown names; without those that hold only our roots."""
    archives: Mapping[ArchiveId, Archive] = field(default_factory=dict)
    """Unpacked wheels and environments, by id."""
    wheel_pointers: tuple[WheelPointer, ...] = ()
    """What leads uv to archives of wheels."""
    revisions: tuple[SourceRevision, ...] = ()
    """Revision folders of source distributions."""
    environments: tuple[CachedEnvironment, ...] = ()
    """Entries of ``environments-v*``."""
    builds: tuple[Build, ...] = ()
    """Temporary folders."""
    strays: tuple[Stray, ...] = ()
    """What no uv release puts where it is."""
    loose_files: tuple[LooseFile, ...] = ()
    """Contents in ``files-v*`` that nothing shares, by their link count."""
    git_sources: tuple[GitSource, ...] = ()
    """Git databases and checkouts."""
    unreadable: tuple[UnreadEntry, ...] = ()
    """What could not be read: it may hold anything."""
    watched: Mapping[str, int] = field(default_factory=dict)
    """Modification time of each folder that may lead to archives, as it was when read.

    By path: folders with pointers, revisions, cached environments and interpreter
    records. A transaction reads again only what changed since.
    """
    on_trial: Mapping[str, OnTrial] = field(default_factory=dict)
    """What is on trial, by the path of the entry it was; decoys among them."""


def archive_path(archive: ArchiveId) -> str:
    """Return the entry path of an archive: all releases share one bucket."""
    return f"archive-v0/{archive}"


def archive_id(entry: str) -> ArchiveId:
    """Return the id in an entry path ``archive-v0/<id>`` (or deeper)."""
    return ArchiveId(entry.split("/", 2)[1] if "/" in entry else entry)


@frozen
class EntryPath:
    """The path of an entry in its parts: ``wheels-v5/pypi/six/1.17.0-py2.py3-none-any``."""

    bucket: str
    """The first part: a bucket's name, or that of something else in the cache's root."""
    kind: str
    """The bucket's name before its ``-v``: ``wheels``; empty where it has none."""
    name: str
    """What follows the bucket, with ``/`` between its parts; empty for the bucket itself."""

    @classmethod
    def of(cls, path: str) -> EntryPath:
        """Return the parts of a path that is relative to the cache."""
        bucket, _, name = path.partition("/")
        return cls(bucket, bucket.rpartition("-v")[0], name)


def bucket_of(entry: str) -> str:
    """Return the bucket of an entry path: its first part, which is also that of a bucket itself."""
    return entry.partition("/")[0]


def archive_in(entry: str) -> ArchiveId | None:
    """Return the id of the archive that an entry path names, or lies in; None for another entry.

    Asked for each of many marks: it makes no ``EntryPath``.
    """
    bucket, _, name = entry.partition("/")
    if bucket.rpartition("-v")[0] != "archive":
        return None
    return ArchiveId(name.partition("/")[0] or bucket)


def with_folders_above(path: str) -> Iterator[str]:
    """Yield a relative path, then each folder it lies in, the innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def lies_in(path: str, entries: Container[str]) -> bool:
    """Whether a relative path, or a folder above it, is one of these."""
    return any(above in entries for above in with_folders_above(path))
