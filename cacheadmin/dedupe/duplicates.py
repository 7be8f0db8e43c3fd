"""Files that several archives have, each in blocks of its own.

The same wheel is unpacked once for each release's buckets, each index, each user: two
archives of one package and version hold the same files. They are paired by their
paths and sizes; whether they are equal is asked of the kernel, or of their hashes
where only a number is wanted. All of it is done in readers: the files are users'.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from cacheadmin.fs.extents import Extent, extents_of
from cacheadmin.fs.small_files import open_directory_beneath
from cacheadmin.inventory.entries import ArchiveContent
from cacheadmin.readers import Question, note_step
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import Archive, Inventory
    from cacheadmin.readers import Readers

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DEPTH = 64
_PART = 5000
_PIECE_BYTES = 1024 * 1024


@frozen
class Copies:
    """One file of a package, in several archives."""

    package: str
    """Its package, as ``name version``."""
    name: str
    """Its path in each archive."""
    size: int
    """Its length in bytes, in all of them."""
    archives: tuple[str, ...]
    """Entries of the archives that have it, sorted, one for each inode."""


@dataclass(slots=True)
class OpenFile:
    """One of the copies, opened."""

    fd: int
    """Descriptor of the open file."""
    status: os.stat_result
    """Its status (``fstat``) when it was opened."""
    extents: tuple[Extent, ...]
    """Where its bytes lie on the device."""

    @property
    def places(self) -> frozenset[int]:
        """Where on the device its pieces begin."""
        return frozenset(one.physical for one in self.extents)

    @property
    def shares(self) -> bool:
        """Whether another file has some of its blocks."""
        return any(one.shared for one in self.extents)

    @property
    def allocated_bytes(self) -> int:
        """What it takes on the device."""
        return self.status.st_blocks * 512


@frozen
class FoundFile:
    """A regular file of an archive that holds anything."""

    name: str
    """Its path in the archive."""
    size: int
    """Its length in bytes."""
    device: int
    """Its device."""
    inode: int
    """Its inode on that device."""


def copies_in(readers: Readers, cache_fd: int, inventory: Inventory) -> Iterator[Copies]:
    """Yield every file that two or more archives of one package and version have."""
    alike: dict[tuple[str, str], list[Archive]] = defaultdict(list)
    for archive in inventory.archives.values():
        if archive.content is ArchiveContent.WHEEL and archive.package and archive.version:
            alike[archive.package, archive.version].append(archive)
    owners = {archive.path: archive.uid for archive in inventory.archives.values()}
    question: Question[str, tuple[FoundFile, ...]] = Question(
        partial(_files_in_parts, cache_fd),
        tuple[FoundFile, ...],
        in_parts=True,
        whose=owners.get,
        blame=owners.get,
    )
    for (package, version), archives in sorted(alike.items()):
        if len(archives) < 2:
            continue
        found: dict[tuple[str, int], dict[tuple[int, int], str]] = defaultdict(dict)
        # What no reader could list is left as it is.
        for reply in readers.replies(question, sorted(archive.path for archive in archives)):
            for file in chain.from_iterable(reply.parts):
                # Two links to one inode share already.
                identity = (file.device, file.inode)
                found[file.name, file.size].setdefault(identity, reply.item)
        for (name, size), by_inode in found.items():
            if len(by_inode) > 1:
                yield Copies(f"{package} {version}", name, size, tuple(by_inode.values()))


def _files_in_parts(cache_fd: int, archive: str) -> Iterator[tuple[FoundFile, ...]]:
    """Yield the regular files of an archive that hold anything; runs in a reader."""
    files = _files(cache_fd, archive)
    while part := tuple(islice(files, _PART)):
        yield part


@contextmanager
def opened(cache_fd: int, copies: Copies) -> Iterator[list[OpenFile]]:
    """Open the copies that are still there and can be looked at."""
    with ExitStack() as stack:
        yield list(_open_all(cache_fd, copies, stack))


def sharable(files: list[OpenFile]) -> tuple[OpenFile, list[OpenFile]] | None:
    """Return whose blocks to share, and the files that would free their own; None: none would.

    A file that shares its blocks with clones in environments frees nothing by
    sharing others: its blocks stay theirs.
    """
    if len(files) < 2:
        return None
    source = next((one for one in files if one.shares), files[0])
    targets = [
        one
        for one in files
        if one is not source and one.extents and not one.shares and not one.places & source.places
    ]
    return (source, targets) if targets and source.extents else None


def equal_to(source: OpenFile, targets: Iterable[OpenFile]) -> list[OpenFile]:
    """Return the targets with the content of the source, by their hashes."""
    digest = _digest(source.fd)
    return [one for one in targets if _digest(one.fd) == digest]


def _open_all(cache_fd: int, copies: Copies, stack: ExitStack) -> Iterator[OpenFile]:
    for archive in copies.archives:
        folder, _, name = f"{archive}/{copies.name}".rpartition("/")
        try:
            folder_fd = open_directory_beneath(cache_fd, folder)
        except OSError:
            continue
        try:
            fd = os.open(name, _FLAGS, dir_fd=folder_fd)
        except OSError:
            continue
        finally:
            os.close(folder_fd)
        stack.callback(os.close, fd)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size != copies.size:
            continue
        extents = extents_of(fd)
        if extents is not None:
            yield OpenFile(fd, status, extents)


def _files(cache_fd: int, archive: str) -> Iterator[FoundFile]:
    """Yield the regular files of an archive that hold anything."""
    waiting = [("", 0)]
    while waiting:
        inner, depth = waiting.pop()
        try:
            fd = open_directory_beneath(cache_fd, f"{archive}/{inner}".rstrip("/"))
        except OSError:
            continue
        try:
            for name in sorted(os.listdir(fd)):
                path = f"{inner}/{name}" if inner else name
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode) and depth < _DEPTH:
                    waiting.append((path, depth + 1))
                elif stat.S_ISREG(status.st_mode) and status.st_size:
                    yield FoundFile(path, status.st_size, status.st_dev, status.st_ino)
        finally:
            os.close(fd)


def _digest(fd: int) -> bytes:
    digest = hashlib.blake2b()
    position = 0
    while piece := os.pread(fd, _PIECE_BYTES, position):
        digest.update(piece)
        position += len(piece)
        note_step()
    return digest.digest()
