"""Tell a clone (shared extents) from a copy. For the report only.

Both survive a prune alike; only the bytes that a removal frees differ. uv
clones by default since 0.10.5, on filesystems that can (facts section 5).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from cacheadmin.accounting import Ranges, Tally
from cacheadmin.evidence.facts import Environment, EnvironmentKind, LinkMode
from cacheadmin.fs.charges import FilesystemCosts
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.measurement import Walk
from cacheadmin.fs.small_files import open_directory
from cacheadmin.inventory.measurement import Counting, parts_of
from cacheadmin.readers import Question, Readers
from cacheadmin.values import frozen


def shares_extents(path: str) -> bool:
    """Whether a file's extents are shared with another file.

    False where the filesystem cannot tell, and for empty files.
    """
    try:
        return bool(shared_extents(path).ranges)
    except OSError:
        return False


@frozen
class ExtentsPart:
    """Some of the extents that files below a folder share."""

    ranges: tuple[tuple[int, int], ...]
    """(first, past the last) byte on the device of each."""


@frozen
class SharingFolder:
    """An environment whose files may share blocks with others."""

    path: str
    """Its absolute path."""
    device: int
    """The device on which files share blocks with the cache."""
    uid: int | None
    """Its owner."""


def read_extents(folder: SharingFolder) -> Iterator[ExtentsPart]:
    """Yield the shared extents of a folder's files; none on another filesystem."""
    try:
        fd = open_directory(os.path.dirname(folder.path))
    except OSError:
        return
    try:
        name = os.path.basename(folder.path)
        if os.stat(name, dir_fd=fd, follow_symlinks=False).st_dev != folder.device:
            return
        counting = Counting()
        for _ in parts_of(Walk(counting.choose, FilesystemCosts(clones=True)), fd, name):
            yield ExtentsPart(tuple(counting.tally.extents))
            counting.tally = Tally()
        yield ExtentsPart(tuple(counting.tally.extents))
    except OSError:
        return
    finally:
        os.close(fd)


EXTENTS: Question[SharingFolder, ExtentsPart] = Question(
    read_extents, ExtentsPart, in_parts=True, blame=lambda folder: folder.uid
)


def extents_of_environments(
    environments: Iterable[Environment], device: int, readers: Readers
) -> Ranges:
    """Return the shared extents of environments that clones may lie in.

    Cached ones are left out: they are entries of the cache. So are those on
    another filesystem than ``device``, by its number, which can't share.
    """
    folders = [
        SharingFolder(environment.path, device, environment.uid)
        for environment in environments
        if environment.kind is not EnvironmentKind.CACHED
        and (
            environment.link_modes.get(LinkMode.COPY) or environment.link_modes.get(LinkMode.CLONE)
        )
    ]
    return [
        extent
        for reply in readers.replies(EXTENTS, folders)
        for part in reply.parts
        for extent in part.ranges
    ]
