"""Remember what archives measured: they never change, and there are many files in each.

Only archives that shared nothing with anything are remembered; whether one
still does is for the reader to find out (``snapshot.archive_measurement``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cacheadmin.accounting import Size
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.state.store import State
from cacheadmin.state.tables import ARCHIVE_SIZE
from cacheadmin.text.damage import DAMAGE
from cacheadmin.values import frozen


@frozen
class RememberedSize:
    """The size of an archive that shared nothing when it was measured."""

    inode: int
    """Inode of the archive's folder then."""
    mtime_ns: int
    """Modification time of the archive's folder then, in ns since the epoch."""
    probe: str
    """Path in the archive of a file that uv links whenever it links the archive."""
    size: Size
    """What was measured; all allocated bytes are reclaimable."""


class ArchiveSizes(State):
    """The sizes of one cache's archives, in the same state as everything else."""

    def read(self) -> dict[ArchiveId, RememberedSize]:
        """Return what is remembered. Raises StateUnusable, NotPermitted."""
        rows = self._read(ARCHIVE_SIZE, ("archive", "record"), cache=self._key)
        sizes = ((ArchiveId(archive), _size(record)) for archive, record in rows)
        return {archive: size for archive, size in sizes if size is not None}

    def replace(self, sizes: Mapping[ArchiveId, RememberedSize]) -> None:
        """Remember these and forget all others of the cache."""
        self._replace(
            ARCHIVE_SIZE,
            [(self._key, archive, json.dumps(_record(size))) for archive, size in sizes.items()],
        )


def open_archive_sizes(state: State) -> ArchiveSizes:
    """Return the sizes that belong to a cache's state."""
    return ArchiveSizes(state.url, state.cache)


def _record(size: RememberedSize) -> list[object]:
    measured = size.size
    return [
        size.inode,
        size.mtime_ns,
        size.probe,
        measured.logical_bytes,
        measured.allocated_bytes,
        measured.files,
    ]


def _size(record: str) -> RememberedSize | None:
    """Return a size; None for a damaged record: the archive is measured again."""
    try:
        inode, mtime_ns, probe, logical, allocated, files = json.loads(record)
        return RememberedSize(
            int(inode),
            int(mtime_ns),
            str(probe),
            Size(int(logical), int(allocated), int(allocated), int(files)),
        )
    except DAMAGE:
        return None
