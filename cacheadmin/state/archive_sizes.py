"""Remember what archives measured: they never change, and there are many files in each.

Only archives that shared nothing with anything are remembered; whether one
still does is for the reader to find out (``usage.archives``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cacheadmin.damage import DAMAGE
from cacheadmin.fs.accounting import Size
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.state.fast_reading import read_size_rows
from cacheadmin.state.location import sqlite_path
from cacheadmin.state.store import State
from cacheadmin.values import frozen


@frozen
class RememberedSize:
    """The size of the archive folder of this inode and mtime (ns).

    ``probe`` is a file in it, relative to it, that uv links whenever it links
    the archive.
    """

    inode: int
    mtime_ns: int
    probe: str
    size: Size


class ArchiveSizes(State):
    """The sizes of one cache's archives, in the same state as everything else."""

    def read(self) -> dict[ArchiveId, RememberedSize]:
        """Return what is remembered. Raises StateUnusable, NotPermitted."""
        with self._explained():
            file = sqlite_path(self.url)
            rows = self._read_by_sqlalchemy() if file is None else read_size_rows(file, self._key)
        sizes = ((ArchiveId(archive), _size(record)) for archive, record in rows)
        return {archive: size for archive, size in sizes if size is not None}

    def replace(self, sizes: Mapping[ArchiveId, RememberedSize]) -> None:
        """Remember these and forget all others of the cache."""
        from sqlalchemy import delete, insert

        from cacheadmin.state.models import ArchiveSizeRow

        rows = [
            {"cache": self._key, "archive": archive, "record": json.dumps(_record(size))}
            for archive, size in sizes.items()
        ]
        with self._session() as session:
            session.execute(delete(ArchiveSizeRow).where(ArchiveSizeRow.cache == self._key))
            if rows:
                session.execute(insert(ArchiveSizeRow), rows)

    def _read_by_sqlalchemy(self) -> list[tuple[str, str]]:
        from sqlalchemy import select

        from cacheadmin.state.models import ArchiveSizeRow

        query = select(ArchiveSizeRow.archive, ArchiveSizeRow.record)
        with self._session() as session:
            found = session.execute(query.where(ArchiveSizeRow.cache == self._key))
            return [(archive, record) for archive, record in found]


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
