"""What planted roots are called, where they lie, and what they lead to. Pure.

::

    sdists-v9/cacheadmin/root<hex of id>-0-py3-none-any -> ../../archive-v0/<id>

The same in the source bucket of every release, since each release's prune
looks at its own only, and in ``git-v0``. Why so:

- the source bucket: ``prune --ci`` deletes every folder of the wheels bucket,
  but of a source bucket only what lies beside a ``metadata.msgpack``;
- links whose name parses as a wheel's stem: 0.6.0 to 0.7.3 count a link by its
  name (uv-prune-by-release.md), and 0.6.4 neither counts a bare id nor a name
  without a version part;
- a second root in ``git-v0``: ``prune --ci`` of 0.2.29 to 0.4.10 deletes every
  link in the source bucket, but releases before 0.6.0 count the links of all
  their buckets (run 0.2.37, 0.4.7);
- hex: an id may begin with ``-`` or ``_``, a package name may not;
- a relative target: it holds for every host and container that reaches the
  cache by another path.

Source: run 0.2.37 to 0.13.8, with and without ``--ci``.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.uv.layout import (
    ARCHIVES,
    ROOTS_FOLDER,
    SOURCE_KINDS,
    TRIAL_FOLDER,
    is_archive_id,
    parse_bucket_name,
)
from cacheadmin.uv.releases import known_buckets, release_range

__all__ = [
    "ARCHIVES",
    "ROOTS_FOLDER",
    "TRIALS",
    "WantedRoots",
    "archive_of",
    "releases_of",
    "root_name",
]

# What is on trial lies in one folder among the archives: uv's prune takes it for
# one of them, so it needs a root as they do. A tripwire's root leads through it.
TRIALS = ArchiveId(TRIAL_FOLDER)

# What an interrupted replacement of a link leaves in our folder.
UNFINISHED = ".new-"

_PREFIX = "root"
_SUFFIX = "-0-py3-none-any"

# The bucket for releases whose --ci empties the source bucket of links. All
# releases from 0.0.5 to 0.12.18 have it.
_BESIDE_SOURCES = "git-v0"

# What the source bucket is called since 0.4.13, and so for all that come.
_NEWEST_KIND = "sdists"


def root_name(archive: ArchiveId) -> str:
    """Return the name of an archive's root."""
    return f"{_PREFIX}{archive.encode('ascii').hex()}{_SUFFIX}"


def root_target(archive: ArchiveId) -> str:
    """Return what a root's link says, seen from the folder it lies in."""
    return f"../../{ARCHIVES}/{archive}"


def archive_of(name: str) -> ArchiveId | None:
    """Return the archive that a root's name stands for; None for any other name."""
    if not (name.startswith(_PREFIX) and name.endswith(_SUFFIX)):
        return None
    try:
        raw = binascii.unhexlify(name.removeprefix(_PREFIX).removesuffix(_SUFFIX))
        text = raw.decode("ascii")
    except ValueError:
        return None
    archive = ArchiveId(text)
    fits = is_archive_id(text) or archive == TRIALS
    return archive if fits and root_name(archive) == name else None


def is_planted(name: str) -> bool:
    """Whether a name in our folder is one that planting makes."""
    return name.startswith(UNFINISHED) or archive_of(name) is not None


def root_buckets(ahead: int, learned: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the buckets to plant in, by age.

    The source buckets of every release of the table, those among ``learned``
    bucket names (`cacheadmin uv learn`), ``ahead`` versions that no release has
    yet, and ``git-v0``.
    """
    found = {
        (kind == _NEWEST_KIND, version, name)
        for name in (*known_buckets(), *learned)
        for kind, version in [parse_bucket_name(name) or ("", 0)]
        if kind in SOURCE_KINDS
    }
    names = [name for _, _, name in sorted(found)]
    newest = max(version for is_newest, version, _ in found if is_newest)
    future = (f"{_NEWEST_KIND}-v{newest + step}" for step in range(1, ahead + 1))
    return (_BESIDE_SOURCES, *names, *future)


def releases_of(bucket: str) -> str:
    """Return in words whose prune a bucket's roots protect from."""
    if bucket == _BESIDE_SOURCES:
        return "prune --ci of uv 0.2.29 to 0.4.10"
    releases = release_range(bucket)
    if releases is None:
        return "future releases"
    if releases.last is None:
        return f"uv {releases.first} and later"
    return f"uv {releases.first} to {releases.last}"


@dataclass(frozen=True)
class WantedRoots:
    """What should be planted: a root for each archive, in each bucket."""

    buckets: tuple[str, ...]
    """Names of the buckets that get a root for every archive."""
    archives: frozenset[ArchiveId]
    """The archives that get a root in every bucket."""

    @cached_property
    def roots(self) -> Mapping[str, ArchiveId]:
        """Names of the roots, each with its archive (a guard keeps this: no more than needed)."""
        return {root_name(archive): archive for archive in self.archives}

    @cached_property
    def seal_ns(self) -> int:
        """The fraction of a second (ns) that marks a folder whose links were all read.

        A folder's modification time gets it once every root in it was seen to
        say what it should. Any change of a link there moves that time, and
        only the folder's owner can set it back; so a folder that carries the
        seal of exactly these roots need be listed, not read link by link.
        """
        digest = hashlib.blake2b(digest_size=8)
        for archive in sorted(self.archives):
            digest.update(archive.encode("ascii") + b"\n")
        # Never 0: filesystems that keep whole seconds would carry it by nature.
        return 1 + int.from_bytes(digest.digest(), "big") % (NANOSECONDS - 1)
