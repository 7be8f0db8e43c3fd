"""Which folders of a cache must be writable for every user who shares it? Pure.

Tried with real releases (0.5.10 and 0.13.8): a cache of one user, where one
kind of folder at a time was made unwritable for a second user.

- In pointer, index and interpreter buckets, at every level, installing, building
  or running a tool fails with "Permission denied" at the first new entry. So it
  does in ``archive-v0`` itself, ``builds-v0`` itself and
  ``environments-v*/<digest>``.
- With the sticky bit on these folders it fails as soon as uv renames a new file over
  another user's: with `--refresh`, and for a tool that another member ran.
- In a finished archive, and below what git checked out or a script's environment
  holds, nothing is made any more: every install works, and only a plain
  user's own `uv cache prune` or `clean` fails there.
- What a source archive unpacked (``src``) keeps the modes its author packed,
  whatever the umask; temporary folders belong to one uv process. Neither says
  anything about how the cache is kept.
"""

from __future__ import annotations

from enum import Enum

from cacheadmin.uv.layout import (
    ROOTS_FOLDER,
    ROOTS_KINDS,
    SOURCE_KINDS,
    UNPACKED_SOURCES,
    is_digest,
    is_temporary,
    parse_bucket_name,
)
from cacheadmin.uv.releases import known_kinds
from cacheadmin.values import frozen

# The shallowest is `sdists-v9/url/<digest>/<revision>/src`; a package may be called src.
_UNPACKED_DEPTH = 4

# Buckets whose first levels are uv's, and all else a program's or a person's.
_SHALLOW = {"archive": 0, "git": 1, "python": 0, "binaries": 0}


class Zone(Enum):
    """How much the rights of a folder matter."""

    NEEDED = "every member's uv makes entries here"
    INNER = "finished: only the process that removes it writes here"
    LOOSE = "one process's or an author's own"


@frozen
class FolderPlace:
    """Where a folder lies."""

    bucket: str = ""
    """Name of its bucket; empty outside known buckets."""
    kind: str = ""
    """Kind of that bucket (``wheels``); empty outside known buckets."""
    depth: int = -1
    """0 for what lies in the cache's root, -1 for the root itself."""
    zone: Zone = Zone.NEEDED
    """How much its rights matter."""
    archive: str = ""
    """Name of the archive that it is or lies in; empty outside ``archive-v*``."""
    in_bin: bool = False
    """Whether the folder itself is called ``bin``."""

    def below(self, name: str) -> FolderPlace:
        """Return the place of a folder in this one."""
        depth = self.depth + 1
        if depth == 0:
            parsed = parse_bucket_name(name)
            if parsed is None or parsed[0] not in known_kinds():
                return FolderPlace(depth=0, zone=Zone.LOOSE, in_bin=name == "bin")
            return FolderPlace(name, parsed[0], 0)
        archive = name if self.kind == "archive" and depth == 1 else self.archive
        zone = self._zone_below(name, depth)
        return FolderPlace(self.bucket, self.kind, depth, zone, archive, name == "bin")

    def _zone_below(self, name: str, depth: int) -> Zone:
        if self.zone is Zone.LOOSE or self.kind == "builds" or is_temporary(name):
            return Zone.LOOSE
        if self.zone is Zone.INNER:
            return Zone.INNER
        if depth == 1 and name == ROOTS_FOLDER and self.kind in ROOTS_KINDS:
            return Zone.LOOSE
        if self.kind in SOURCE_KINDS and depth >= _UNPACKED_DEPTH and name in UNPACKED_SOURCES:
            return Zone.LOOSE
        if self.kind == "environments":
            return Zone.NEEDED if depth == 1 and is_digest(name) else Zone.INNER
        return Zone.INNER if depth > _SHALLOW.get(self.kind, depth) else Zone.NEEDED
