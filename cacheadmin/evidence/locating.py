"""Does a link lead into this cache? By identity of folders, not by text.

uv writes the cache's path as the user spelled it: through a link in a home
folder, a bind mount, an automount name, with ``..`` in it (facts section 5).
So the folder that a target passes through is compared by device and inode
with the cache's own buckets, once for each spelling. What cannot be resolved
on this host still counts when it names an archive that exists here (an id is
random; a chance match is out of the question) or starts with an alias of the
policy: unknown is alive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.uv.layout import is_archive_id, parse_bucket_name

# The buckets that something outside can lead into.
_KINDS = frozenset({"archive", "environments", "builds"})

_BUCKET_PART = re.compile(r"/((?:archive|environments|builds)-v\d+)/+([^/]+)(?:/+([^/]+))?")

# The kernel's own limit on a path; a longer target leads nowhere.
_PATH_LIMIT = 4096


class Place(Enum):
    """Where a target lies."""

    INSIDE = "inside"
    FOREIGN = "in another cache"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Located:
    """Where a target lies; ``entry`` is the cache entry it passes through.

    ``archive-v0/<id>``, ``environments-v2/<name>`` (or its second level for
    interpreter digests) or ``builds-v0/<name>``, for targets inside.
    """

    place: Place
    entry: str | None = None


_ELSEWHERE = Located(Place.ELSEWHERE)
_FOREIGN = Located(Place.FOREIGN)


class CacheLocator:
    """Tells for any path whether it leads into one cache.

    ``aliases`` are other absolute paths of the same cache, perhaps valid on
    other hosts only. ``archives`` are the ids that exist. Answers are
    remembered by prefix: one stat for each spelling of a bucket folder.
    """

    def __init__(
        self,
        identity: CacheIdentity,
        buckets: Iterable[str],
        *,
        aliases: Collection[str] = (),
        archives: Collection[str] = (),
    ) -> None:
        self.identity = identity
        self._archives = archives
        self._aliases = tuple(alias.rstrip("/") for alias in (*aliases, identity.path))
        self._folders: dict[tuple[int, int], str] = {}
        self._prefixes: dict[str, str | None] = {}
        self._roots: dict[str, str | None] = {}
        for name in buckets:
            parsed = parse_bucket_name(name)
            if parsed is None or parsed[0] not in _KINDS:
                continue
            try:
                status = os.lstat(f"{identity.path}/{name}")
            except OSError:
                continue
            self._folders[status.st_dev, status.st_ino] = name

    def locate(self, target: str, folder: str) -> Located:
        """Return where a link's text leads, read in ``folder`` (absolute).

        Resolves nothing but the folders the text names; the target itself
        need not exist.
        """
        if len(target) > _PATH_LIMIT:
            return _ELSEWHERE
        path = target if target.startswith("/") else f"{folder}/{target}"
        place = _ELSEWHERE
        # The last mention wins: a cache may itself lie below an odd name.
        for found in reversed(list(_BUCKET_PART.finditer(path))):
            prefix = path[: found.start() + 1 + len(found[1])]
            bucket = self._bucket_at(prefix)
            if bucket is not None:
                return Located(Place.INSIDE, _entry(bucket, found[2], found[3]))
            if self._may_be_ours(prefix, found[1], found[2]):
                return Located(Place.INSIDE, _entry(found[1], found[2], found[3]))
            place = _FOREIGN
        return place

    def locate_resolved(self, path: str) -> Located:
        """Return where a path leads when every link on it is followed.

        Slower than ``locate``: for shortcuts whose text names no bucket.
        """
        try:
            resolved = os.path.realpath(path)
        except (OSError, ValueError):
            return _ELSEWHERE
        return self.locate(resolved, "/")

    def _bucket_at(self, prefix: str) -> str | None:
        if prefix not in self._prefixes:
            try:
                status = os.stat(prefix)
                name = self._folders.get((status.st_dev, status.st_ino))
            except (OSError, ValueError):
                name = None
            self._prefixes[prefix] = name
        return self._prefixes[prefix]

    def _may_be_ours(self, prefix: str, bucket: str, name: str) -> bool:
        root = prefix[: -len(bucket) - 1].rstrip("/")
        if root in self._aliases:
            return True
        exists_elsewhere = self._exists(prefix)
        # A folder that resolves, but is not ours, is another cache.
        return not exists_elsewhere and is_archive_id(name) and name in self._archives

    def _exists(self, prefix: str) -> bool:
        key = prefix
        if key not in self._roots:
            self._roots[key] = "" if os.path.isdir(prefix) else None
        return self._roots[key] is not None


def _entry(bucket: str, first: str, second: str | None) -> str:
    # `environments-v2/<interpreter digest>/<digest>` are links, two levels
    # down; a real environment there is one level down, with files below.
    if bucket.startswith("environments-") and second and _is_digest(first) and _is_digest(second):
        return f"{bucket}/{first}/{second}"
    return f"{bucket}/{first}"


def _is_digest(name: str) -> bool:
    return len(name) == 16 and all(character in "0123456789abcdef" for character in name)
