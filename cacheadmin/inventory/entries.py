"""What a uv cache consists of, as plain facts. Pure: nothing here reads a disk.

A cache is a folder of *buckets* (``wheels-v5``), each written by a range of uv
releases, and one archive bucket that all releases share. The reader in
``inventory.reading`` turns a folder into an :class:`Inventory`; the planner
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
    """The cache's root folder: resolved absolute path, device and inode."""

    path: str
    device: int
    inode: int


@frozen
class Write:
    """The newest write that one user made in a bucket."""

    uid: int
    written_ns: int


@frozen
class Bucket:
    """One versioned top-level folder, ``<kind>-v<version>``.

    ``known`` is False for a kind or a version that the release table does
    not have: it must be kept. ``writes`` holds the newest write of each user,
    newest first; it is what tells who still uses a release (facts section 6).
    """

    name: str
    kind: str
    version: int
    known: bool
    writes: tuple[Write, ...] = ()


@frozen
class Archive:
    """One unpacked wheel, or one cached environment, under ``archive-v0``.

    ``package`` and ``version`` are None where the content names none.
    """

    id: ArchiveId
    path: str
    content: ArchiveContent
    package: str | None
    version: str | None
    uid: int
    inode: int
    mtime_ns: int


@frozen
class OnTrial:
    """An entry that was removed on trial: it lies in our folder, a tripwire in its place.

    It is no entry any more, and whoever uses it brings it back (``trial``).
    """

    entry: str
    """Path of the entry it was, relative to the cache."""

    package: str | None
    """Package it holds; None where it names none, or can't be read."""

    version: str | None
    """Version of that package."""

    uid: int
    """Owner of the entry's folder."""

    mtime_ns: int
    """Modification time of the entry's folder."""


@frozen
class WheelPointer:
    """What makes uv find a wheel's archive: ``<K>``, ``<K>.http``, ``<K>.rev``.

    ``path`` is the path of ``<K>``, without suffix, whether or not the
    symlink exists; ``files`` the names beside it that are part of it, metadata
    included, locks not. ``archives`` holds every id that the pointer file or the
    symlink names; ``linked_archive`` the one of the symlink alone, which is
    all that uv's own prune looks at. ``understood`` is False for a pointer file
    of a shape that no known release writes: what it names is unknown, so
    nothing may be concluded from its silence.
    """

    path: str
    bucket: str
    package: str
    version: str | None
    archives: frozenset[ArchiveId]
    linked_archive: ArchiveId | None
    understood: bool
    uid: int
    mtime_ns: int
    files: tuple[str, ...] = ()


@frozen
class SourceRevision:
    """One revision folder of a source distribution, ``.../<revid>``.

    ``current`` says whether ``revision.http`` or ``revision.rev`` beside it
    names it; None where there is no such file, or an unreadable one (git
    sources have none): such a folder is never superseded. ``archives`` are
    those its wheel symlinks lead to; ``links`` names each of these symlinks.
    ``mtime_ns`` is the folder's own.
    """

    path: str
    bucket: str
    package: str | None
    version: str | None
    current: bool | None
    archives: frozenset[ArchiveId]
    uid: int
    mtime_ns: int
    links: Mapping[str, ArchiveId] = field(default_factory=dict)
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
    """Whose it is."""
    mtime_ns: int
    """Modification time of its folder."""


@frozen
class CachedEnvironment:
    """A tool, script or project environment in ``environments-v*``.

    ``archive`` is set when the entry is a symlink to an archive that is a
    whole environment (``uvx``); None when the entry itself is the environment.
    ``changed_ns`` is the newest time known of entry and content.
    """

    path: str
    bucket: str
    archive: ArchiveId | None
    uid: int
    changed_ns: int


@frozen
class Build:
    """A build or temporary folder: ``.tmp*`` in ``builds-v0``, the root, or a source bucket.

    ``changed_ns`` is the newest time found in it (bounded depth).
    """

    path: str
    uid: int
    changed_ns: int


@frozen
class Stray:
    """Something that no uv release puts there.

    ``removable`` is True only where every uv release's own prune would treat
    it as rubbish *inside a bucket it owns* (a plain file in ``archive-v0``);
    unknown names in the root are somebody's and stay. ``what`` describes it.
    """

    path: str
    what: str
    removable: bool
    uid: int
    changed_ns: int


@frozen
class LooseFile:
    """A content in ``files-v*`` with no other hard link: no archive or environment shares it."""

    path: str
    """Its entry path, ``files-v0/<2 digits>/<64 digits>``."""
    uid: int
    """Whose it is."""
    changed_ns: int
    """Its newest time; the last other link's removal counts, since that changes it."""


@frozen
class Unreadable:
    """Something that could not be read: what is in it is unknown."""

    path: str
    """Its path, relative to the cache."""
    reason: str
    """Why, in words that follow "it could not be read: "."""
    uid: int | None = None
    """Whose it is; None where that is not known."""


@frozen
class Inventory:
    """Everything found in one cache.

    ``watched`` maps each folder that holds pointers, revisions, cached
    environments or interpreter entries to its modification time when it was
    read: what changed since then is all that a transaction reads again.
    """

    cache: CacheIdentity
    read_at_ns: int
    buckets: tuple[Bucket, ...] = ()
    archives: Mapping[ArchiveId, Archive] = field(default_factory=dict)
    wheel_pointers: tuple[WheelPointer, ...] = ()
    revisions: tuple[SourceRevision, ...] = ()
    environments: tuple[CachedEnvironment, ...] = ()
    builds: tuple[Build, ...] = ()
    strays: tuple[Stray, ...] = ()
    loose_files: tuple[LooseFile, ...] = ()
    """Contents in ``files-v*`` that nothing shares, by their link count."""
    git_sources: tuple[GitSource, ...] = ()
    """Git databases and checkouts."""
    unreadable: tuple[Unreadable, ...] = ()
    watched: Mapping[str, int] = field(default_factory=dict)
    on_trial: Mapping[str, OnTrial] = field(default_factory=dict)
    """What is on trial, by the path of the entry it was; decoys among them."""


def archive_path(archive: ArchiveId) -> str:
    """Return the entry path of an archive: all releases share one bucket."""
    return f"archive-v0/{archive}"


def archive_id(entry: str) -> ArchiveId:
    """Return the id in an entry path ``archive-v0/<id>`` (or deeper)."""
    return ArchiveId(entry.split("/", 2)[1] if "/" in entry else entry)


def with_folders_above(path: str) -> Iterator[str]:
    """Yield a relative path, then each folder it lies in, the innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def lies_in(path: str, entries: Container[str]) -> bool:
    """Whether a relative path, or a folder above it, is one of these."""
    return any(above in entries for above in with_folders_above(path))
